//! The layers station: the best guess after every layer, and how the chosen token came up.
//!
//! Invariants: scales are fixed; the last row is the model's own output; what does not fit folds into one line that
//! says what it hides, the earliest layers first.

mod columns;
mod grid;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use columns::Columns;

use super::own::{self, Row};
use crate::app::App;
use crate::inspect::trace::{Lens, LensRow};
use crate::theme::{Role, Theme};
use crate::ui::widgets::{bar, number, text};

const CAPTION: &str = "The best guess if the network stopped after each layer. Early ones are not thoughts, only read \
                       too soon.";
/// Largest KL on the scale, nats; beyond it the rows are not words yet.
const KL: f32 = 32.0;
/// Powers of ten of the chosen token's bar.
const POWERS: f32 = 6.0;
/// The same where it shows ranks.
const RANKS: f32 = 5.0;

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = Rect { width: area.width.min(own::WIDEST), ..area };
    if area.height < 4 || area.width < 20 {
        return;
    }
    if app.inspector.depths.shows_grid {
        return grid::draw(app, theme, area, buf);
    }
    let caption = own::caption(app, theme, area, CAPTION);
    let seen = app.display().shown_inside();
    let Some(lens) = seen.and_then(|seen| seen.trace.lens.as_ref()).filter(|lens| !lens.rows.is_empty())
    else {
        let subject = own::chose(app, theme, area.width);
        return own::empty(theme, area, &subject, &caption, &own::missing(app), buf);
    };
    let last = lens.rows.last().and_then(|row| row.layer).unwrap_or_default();
    let decided = lens.decided.map_or_else(
        || format!("never on top to the end of {last}"),
        |layer| format!("decided at layer {layer} of {last}"),
    );
    let chose = own::chose(app, theme, area.width);
    let words = [(chose.as_str(), Role::Text), ("   ", Role::Text), (decided.as_str(), Role::Strong)];
    let price = own::live_price(app).unwrap_or_else(|| format!("{:.0} ms", lens.ms));
    own::subject(theme, area, &words, &price, buf);
    let mut at = 1 + own::stack(&caption, area, 1, buf);
    let columns = Columns::of(area.width);
    heads(app, theme, &columns, area, at, buf);
    at += 1;
    let below = below(app, theme, lens, &columns, area.width);
    let told = area.height > at + 6 + below.len() as u16;
    let room = area.height.saturating_sub(at + if told { below.len() as u16 } else { 0 });
    rows(app, theme, lens, &columns, Rect { y: area.y + at, height: room, ..area }, buf);
    if told {
        own::stack(&below, area, at + room, buf);
    }
}

/// The best three of the selected layer, and what the columns mean.
fn below(app: &App, theme: &Theme, lens: &Lens, columns: &Columns, width: u16) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(row) = lens.rows.iter().find(|row| row.layer == Some(app.display().opened_layer())) {
        let best = row.top.iter().map(|top| {
            let name = text::cut(&own::name(app, theme, top.id), 14);
            format!("{name} {}", number::percent(f64::from(top.logprob.exp())))
        });
        let words = std::iter::once(format!("L{} says", app.display().opened_layer())).chain(best);
        let words = words.collect::<Vec<_>>().join("   ");
        rows.push(Row::of(1, text::cut(&words, width.saturating_sub(2)), theme.style(Role::Text)));
    }
    let bar =
        if app.inspector.depths.ranks { "bar: rank, 100 000 to 1" } else { "bar: log₁₀ p, −6 to 0" };
    let texts: &[&str] = if columns.size > 0 {
        &[bar, "KL 0–32 nat", "◆ decided", "share ▒ attention █ ffn"]
    } else {
        &[bar, "KL nat", "◆ decided"]
    };
    let texts: Vec<String> = texts.iter().map(|words| (*words).to_owned()).collect();
    rows.extend(own::packed(&texts, 1, width, theme.style(Role::Muted)));
    rows
}

fn heads(app: &App, theme: &Theme, columns: &Columns, area: Rect, at: u16, buf: &mut Buffer) {
    let style = theme.style(Role::Muted);
    let chosen = text::cut(&own::shown_name(app, theme), columns.bar.1);
    let rival = app.display().rival().map_or_else(String::new, |id| own::name(app, theme, id));
    let row = Row::of(columns.best, "best here", style)
        .until(columns.share, "%", style)
        .and(columns.bar.0, chosen, theme.style(Role::TokenChosen))
        .until(columns.rank, "rank", style)
        .until(
            columns.rival,
            text::cut(&rival, columns.rival - columns.rank - 1),
            theme.style(Role::TokenRival),
        )
        .until(
            columns.kl,
            if columns.next > 0 {
                "KL to end"
            } else if columns.kl_bar.1 > 0 {
                "KL to final"
            } else {
                "KL"
            },
            style,
        );
    let row = if columns.next > 0 {
        row.and(columns.next, "next", style).until(columns.next_share, "%", style)
    } else {
        row
    };
    let row = if columns.size > 0 {
        row.until(columns.size, "size", style).and(columns.parts, "share", style)
    } else {
        row
    };
    row.draw(area, at, buf);
}

fn rows(app: &App, theme: &Theme, lens: &Lens, columns: &Columns, area: Rect, buf: &mut Buffer) {
    let total = lens.rows.len();
    let fit = usize::from(area.height);
    let selected = lens.rows.iter().position(|row| row.layer == Some(app.display().opened_layer()));
    let mut first = total.saturating_sub(fit);
    let mut line = 0;
    if first > 0 {
        // One line is the folded ones'.
        first = (first + 1).min(total);
        // A selected early layer has a row of its own between the folded ones and the last.
        let early = selected.filter(|selected| *selected < first && fit > 4);
        first += usize::from(early.is_some());
        folded(app, theme, &lens.rows[..first], area, buf);
        line = 1;
        if let Some(row) = early.map(|early| &lens.rows[early]) {
            one(app, theme, lens, row, columns).draw(area, line as u16, buf);
            line += 1;
        }
    }
    for row in lens.rows.iter().skip(first).take(fit.saturating_sub(line)) {
        one(app, theme, lens, row, columns).draw(area, line as u16, buf);
        line += 1;
    }
}

/// `em–14 folded: ␣Paris is never better than rank 2678`
fn folded(app: &App, theme: &Theme, rows: &[LensRow], area: Rect, buf: &mut Buffer) {
    let name = own::shown_name(app, theme);
    let until =
        rows.last().and_then(|row| row.layer).map_or_else(|| "em".to_owned(), |layer| format!("em–{layer}"));
    let best = rows.iter().filter_map(|row| row.followed.first()).map(|chosen| chosen.rank).min();
    let words = match best {
        Some(rank) => {
            let rank = number::grouped(rank.into());
            let whole = format!("{until} folded: {name} is never better than rank {rank}");
            let fits = text::width(&whole) < area.width;
            if fits { whole } else { format!("{until} folded: {name} at best rank {rank}") }
        }
        None => format!("{until} folded"),
    };
    let style = theme.style(Role::Muted);
    let unfolds = "↑ unfolds";
    let row = Row::of(1, words.clone(), style);
    let room = area.width.saturating_sub(text::width(&words) + 2);
    let row = if room > text::width(unfolds) + 2 { row.until(area.width - 1, unfolds, style) } else { row };
    row.draw(area, 0, buf);
}

fn one(app: &App, theme: &Theme, lens: &Lens, row: &LensRow, columns: &Columns) -> Row {
    let far = row.kl > 20.0;
    let plain = theme.style(if far { Role::Muted } else { Role::Text });
    let selected = row.layer == Some(app.display().opened_layer());
    let decided = row.layer.is_some() && row.layer == lens.decided;
    let layer = row.layer.map_or_else(|| "em".to_owned(), |layer| layer.to_string());
    let mut drawn = Row::of(0, if selected { "›" } else { " " }, theme.style(Role::Strong))
        .and(1, if decided { "◆" } else { " " }, theme.style(Role::DepthMark))
        .until(4, layer, if selected { theme.style(Role::Strong) } else { plain });
    if let Some(top) = row.top.first() {
        let room = columns.share.saturating_sub(columns.best + 4);
        drawn = drawn.and(columns.best, text::cut(&own::name(app, theme, top.id), room), plain).until(
            columns.share,
            format!("{:.0}", 100.0 * top.logprob.exp()),
            plain,
        );
    }
    if let Some(next) = row.top.get(1).filter(|_| columns.next > 0) {
        let room = columns.next_share.saturating_sub(columns.next + 4);
        drawn = drawn.and(columns.next, text::cut(&own::name(app, theme, next.id), room), plain).until(
            columns.next_share,
            format!("{:.0}", 100.0 * next.logprob.exp()),
            plain,
        );
    }
    if let Some(chosen) = row.followed.first() {
        let share = if app.inspector.depths.ranks {
            1.0 - (chosen.rank.max(1) as f32).log10() / RANKS
        } else {
            (chosen.logprob / std::f32::consts::LN_10 + POWERS) / POWERS
        };
        let glyphs = bar::glyphs(f64::from(share), columns.bar.1, &theme.symbols.bar);
        drawn = drawn.and(columns.bar.0, glyphs, theme.style(Role::TokenChosen)).until(
            columns.rank,
            short(chosen.rank, columns.rival - columns.rank - 1),
            theme.style(Role::TokenChosen),
        );
    }
    if let Some(rival) = row.followed.get(1) {
        drawn = drawn.until(
            columns.rival,
            short(rival.rank, columns.rival - columns.rank - 1),
            theme.style(Role::TokenRival),
        );
    }
    if columns.kl_bar.1 > 0 {
        let glyphs = bar::glyphs(f64::from(row.kl / KL), columns.kl_bar.1, &theme.symbols.bar);
        drawn = drawn.and(columns.kl_bar.0, glyphs, theme.style(Role::KlBar));
        if row.kl > KL {
            drawn = drawn.and(columns.kl_bar.0 + columns.kl_bar.1 - 1, "▸", theme.style(Role::KlBar));
        }
    }
    drawn = drawn.until(columns.kl, format!("{:.1}", row.kl), plain);
    if columns.size > 0 {
        drawn = drawn.until(columns.size, format!("{:.0}", row.norm), plain);
        let both = row.attention_added + row.ffn_added;
        if both > 0.0 {
            let attention = (row.attention_added / both * 6.0).round() as usize;
            drawn = drawn.and(columns.parts, "▒".repeat(attention), theme.style(Role::PartAttn)).and(
                columns.parts + attention as u16,
                "█".repeat(6 - attention),
                theme.style(Role::PartFfn),
            );
        }
    }
    drawn
}

/// A rank in at most so many cells, four or more: in thousands where it is longer.
fn short(rank: u32, room: u16) -> String {
    let whole = rank.to_string();
    if text::width(&whole) <= room { whole } else { format!("{}k", rank / 1000) }
}

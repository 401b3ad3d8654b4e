//! The layers station: the best guess after every layer, and how the chosen token came up.
//!
//! Invariants: scales are fixed; the last row is the model's own output; what does not fit folds into one line that
//! says what it hides, the earliest layers first.

#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::own::{self, Row};
use crate::app::App;
use crate::inspect::trace::{Lens, LensRow};
use crate::theme::{Role, Theme};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::{bar, number, text};

const CAPTION: &str = "The best guess if the network stopped after each layer. Early ones are not thoughts, only read \
                       too soon.";
/// Largest KL on the scale, nats; beyond it the rows are not words yet.
const KL: f32 = 32.0;
/// Powers of ten of the chosen token's bar.
const POWERS: f32 = 6.0;

/// Where the columns end or begin; 0 is a column that has no room.
struct Columns {
    best: u16,
    share: u16,
    bar: (u16, u16),
    rank: u16,
    rival: u16,
    kl_bar: (u16, u16),
    kl: u16,
    size: u16,
    parts: u16,
}

impl Columns {
    fn of(width: u16) -> Self {
        if width >= INSPECTOR.0 {
            let bar = 10;
            Self {
                best: 5,
                share: 18,
                bar: (19, bar),
                rank: 35,
                rival: 41,
                kl_bar: (42, 6),
                kl: 53,
                size: 59,
                parts: 60,
            }
        } else {
            Self {
                best: 5,
                share: 18,
                bar: (19, 8),
                rank: 33,
                rival: 38,
                kl_bar: (0, 0),
                kl: 45,
                size: 0,
                parts: 0,
            }
        }
    }
}

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = Rect { width: area.width.min(own::WIDEST), ..area };
    if area.height < 4 || area.width < 20 {
        return;
    }
    let caption = own::caption(app, theme, area, CAPTION);
    let seen = app.shown_inside();
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
    own::subject(theme, area, &words, &format!("{:.0} ms", lens.ms), buf);
    let mut at = 1 + own::stack(&caption, area, 1, buf);
    let columns = Columns::of(area.width);
    heads(app, theme, &columns, area, at, buf);
    at += 1;
    let legend = u16::from(area.height > at + 6);
    let room = area.height.saturating_sub(at + legend);
    rows(app, theme, lens, &columns, Rect { y: area.y + at, height: room, ..area }, buf);
    if legend > 0 {
        let words = if columns.size > 0 {
            "bar: log p, -6 to 0   ◆ decided   share: ▒ attention █ ffn"
        } else {
            "bar: log p, -6 to 0   KL nat   ◆ decided"
        };
        Row::of(1, words, theme.style(Role::Muted)).draw(area, area.height - 1, buf);
    }
}

fn heads(app: &App, theme: &Theme, columns: &Columns, area: Rect, at: u16, buf: &mut Buffer) {
    let style = theme.style(Role::Muted);
    let chosen = text::cut(&own::shown_name(app, theme), columns.bar.1);
    let rival = app.rival().map_or_else(String::new, |id| own::name(app, theme, id));
    let row = Row::of(columns.best, "best here", style)
        .until(columns.share, "%", style)
        .and(columns.bar.0, chosen, theme.style(Role::TokenChosen))
        .until(columns.rank, "rank", style)
        .until(columns.rival, text::cut(&rival, 5), theme.style(Role::TokenRival))
        .until(columns.kl, "KL", style);
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
    let selected = lens.rows.iter().position(|row| row.layer == Some(app.opened_layer()));
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
            format!("{until} folded: {name} is never better than rank {}", number::grouped(rank.into()))
        }
        None => format!("{until} folded"),
    };
    Row::of(1, words, theme.style(Role::Muted)).draw(area, 0, buf);
}

fn one(app: &App, theme: &Theme, lens: &Lens, row: &LensRow, columns: &Columns) -> Row {
    let far = row.kl > 20.0;
    let plain = theme.style(if far { Role::Muted } else { Role::Text });
    let selected = row.layer == Some(app.opened_layer());
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
    if let Some(chosen) = row.followed.first() {
        let share = (chosen.logprob / std::f32::consts::LN_10 + POWERS) / POWERS;
        let glyphs = bar::glyphs(f64::from(share), columns.bar.1, &theme.symbols.bar);
        drawn = drawn.and(columns.bar.0, glyphs, theme.style(Role::TokenChosen)).until(
            columns.rank,
            short(chosen.rank),
            theme.style(Role::TokenChosen),
        );
    }
    if let Some(rival) = row.followed.get(1) {
        drawn = drawn.until(columns.rival, short(rival.rank), theme.style(Role::TokenRival));
    }
    if columns.kl_bar.1 > 0 {
        let glyphs = bar::glyphs(f64::from(row.kl / KL), columns.kl_bar.1, &theme.symbols.bar);
        drawn = drawn.and(columns.kl_bar.0, glyphs, theme.style(Role::KlBar));
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

/// A rank in at most five cells.
fn short(rank: u32) -> String {
    if rank < 100_000 { rank.to_string() } else { format!("{}k", rank / 1000) }
}

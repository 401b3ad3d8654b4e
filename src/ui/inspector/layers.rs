//! The layers station: the best guess after every layer, and how the chosen token came up.
//!
//! Invariants: scales are fixed; the last row is the model's own output; what does not fit folds into one line that
//! says what it hides, the earliest layers first.

mod grid;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::inspect::trace::{Lens, LensRow};
use crate::theme::{Role, Theme};
use crate::ui::inspector::frame::{self, Frame};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text};

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
    if app.inspector.depths.shows_grid {
        return grid::draw(app, theme, area, buf);
    }
    let Some(frame) = Frame::of(app, theme, area, CAPTION) else { return };
    let area = frame.area;
    let seen = app.display().shown_inside();
    let Some(lens) = seen.and_then(|seen| seen.trace.lens.as_ref()).filter(|lens| !lens.rows.is_empty())
    else {
        return frame.empty(&frame::chose(app, theme, area.width), &frame::missing(app), buf);
    };
    let last = lens.rows.last().and_then(|row| row.layer).unwrap_or_default();
    let decided = lens.decided.map_or_else(
        || format!("never on top to the end of {last}"),
        |layer| format!("decided at layer {layer} of {last}"),
    );
    let chose = frame::chose(app, theme, area.width);
    let words = [(chose.as_str(), Role::Text), ("   ", Role::Text), (decided.as_str(), Role::Strong)];
    let price = frame::read_otherwise(app)
        .or_else(|| frame::live_price(app))
        .unwrap_or_else(|| format!("{:.0} ms", lens.ms));
    frame::subject(theme, area, &words, &price, buf);
    let under = frame.close_under(buf);
    let table = table(app, theme, area.width);
    table.heads().draw(under, 0, buf);
    let under = text::below(under, 1);
    let below = below(app, theme, lens, area.width);
    let below = if under.height > 6 + below.len() as u16 { below } else { Vec::new() };
    let room = under.height - below.len() as u16;
    rows(app, lens, &table, Rect { height: room, ..under }, buf);
    row::stack(&below, under, room, buf);
}

/// The best three of the selected layer, and what the columns mean.
fn below(app: &App, theme: &Theme, lens: &Lens, width: u16) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(row) = lens.rows.iter().find(|row| row.layer == Some(app.display().opened_layer())) {
        let best = row.top.iter().map(|top| {
            let name = text::cut(&frame::name(app, theme, top.id), 14);
            format!("{name} {}", number::percent(f64::from(top.logprob.exp())))
        });
        let words = std::iter::once(format!("L{} says", app.display().opened_layer())).chain(best);
        let words = words.collect::<Vec<_>>().join("   ");
        rows.push(Row::of(1, text::cut(&words, width.saturating_sub(2)), theme.style(Role::Text)));
    }
    let bar =
        if app.inspector.depths.ranks { "bar: rank, 100 000 to 1" } else { "bar: log₁₀ p, −6 to 0" };
    let texts: &[&str] = if width >= INSPECTOR.0 {
        &[bar, "KL 0–32 nat", "◆ decided", "share ▒ attention █ ffn"]
    } else {
        &[bar, "KL nat", "◆ decided"]
    };
    let mut texts: Vec<String> = texts.iter().map(|words| (*words).to_owned()).collect();
    // Narrow, the subject has no room for it.
    texts.extend(frame::read_otherwise(app).filter(|_| width < INSPECTOR.0));
    rows.extend(row::packed(&texts, 1, width, theme.style(Role::Muted)));
    rows
}

/// Columns from which on the next best token has its own.
const NEXT: u16 = 78;

/// Cells of a rank.
fn rank_room(width: u16) -> u16 {
    if width >= INSPECTOR.0 { 5 } else { 4 }
}

/// The table: layer, best token with its share, the next one, the chosen token's bar and rank, the rival's rank, distance
/// to the end with its bar, length, shares. What has no room goes in the order next, share, size, KL bar; figures stay.
fn table<'a>(app: &App, theme: &'a Theme, width: u16) -> Table<'a, 12> {
    let (full, wide) = (width >= INSPECTOR.0, width >= NEXT);
    let by_width = |columns: [u16; 3]| columns[usize::from(full) + usize::from(wide)];
    let share = by_width([18, 18, 17]);
    let bar = (by_width([19, 19, 31]), by_width([8, 10, 12]));
    let rival = app.display().rival().map_or_else(String::new, |id| frame::name(app, theme, id));
    let chosen = text::cut(&frame::shown_name(app, theme), bar.1);
    let distance = if wide {
        "KL to end"
    } else if full {
        "KL to final"
    } else {
        "KL"
    };
    let columns = [
        Column::right("", 4),
        Column::left("best here", 5, share - 9),
        Column::right("%", share),
        Column::left("next", 19, 7).when(wide),
        Column::right("%", 30).when(wide),
        Column::left(chosen, bar.0, bar.1).styled(theme.style(Role::TokenChosen)),
        Column::right("rank", by_width([33, 35, 49])),
        Column::right(text::cut(&rival, rank_room(width)), by_width([38, 41, 55]))
            .styled(theme.style(Role::TokenRival)),
        Column::left("", by_width([0, 42, 56]), 6).when(full),
        Column::right(distance, by_width([45, 53, 67])),
        Column::right("size", by_width([0, 59, 71])).when(full),
        Column::left("share", by_width([0, 60, 72]), 6).when(full),
    ];
    Table::of(theme, columns)
}

fn rows(app: &App, lens: &Lens, table: &Table<'_, 12>, area: Rect, buf: &mut Buffer) {
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
        folded(app, table.theme, &lens.rows[..first], area, buf);
        line = 1;
        if let Some(row) = early.map(|early| &lens.rows[early]) {
            one(app, lens, table, row, area.width).draw(area, line as u16, buf);
            line += 1;
        }
    }
    for row in lens.rows.iter().skip(first).take(fit.saturating_sub(line)) {
        one(app, lens, table, row, area.width).draw(area, line as u16, buf);
        line += 1;
    }
}

/// `em–14 left out: ␣Paris is never better than rank 2678`
fn folded(app: &App, theme: &Theme, rows: &[LensRow], area: Rect, buf: &mut Buffer) {
    let name = frame::shown_name(app, theme);
    let until =
        rows.last().and_then(|row| row.layer).map_or_else(|| "em".to_owned(), |layer| format!("em–{layer}"));
    let ranks = || rows.iter().filter_map(|row| row.followed.first()).map(|chosen| chosen.rank);
    let said = match ranks().min() {
        Some(1) => {
            let count = match ranks().filter(|rank| *rank == 1).count() {
                1 => "one".to_owned(),
                count => count.to_string(),
            };
            [
                format!("{until} left out: {name} was on top in {count} of them"),
                format!("{until} left out: {name} was on top"),
            ]
        }
        Some(rank) => {
            let rank = number::grouped(rank.into());
            [
                format!("{until} left out: {name} is never better than rank {rank}"),
                format!("{until} left out: {name} at best rank {rank}"),
            ]
        }
        None => [format!("{until} left out"), format!("{until} left out")],
    };
    let [whole, short] = said;
    let words = if text::width(&whole) < area.width { whole } else { short };
    let style = theme.style(Role::Muted);
    let unfolds = "↑ shows";
    let row = Row::of(1, words.clone(), style);
    let room = area.width.saturating_sub(text::width(&words) + 2);
    let row = if room > text::width(unfolds) + 2 { row.until(area.width - 1, unfolds, style) } else { row };
    row.draw(area, 0, buf);
}

fn one(app: &App, lens: &Lens, table: &Table<'_, 12>, row: &LensRow, width: u16) -> Row {
    let theme = table.theme;
    let plain = theme.style(if row.kl > 20.0 { Role::Muted } else { Role::Text });
    let strong = theme.style(Role::Strong);
    let selected = row.layer == Some(app.display().opened_layer());
    let decided = row.layer.is_some() && row.layer == lens.decided;
    let layer = row.layer.map_or_else(|| "em".to_owned(), |layer| layer.to_string());
    let name = |at: usize| Cell::maybe(row.top.get(at).map(|top| frame::name(app, theme, top.id)), plain);
    let share = |at: usize| {
        Cell::maybe(row.top.get(at).map(|top| format!("{:.0}", 100.0 * top.logprob.exp())), plain)
    };
    let rank = |at: usize, role| {
        let rank = row.followed.get(at).map(|followed| short(followed.rank, rank_room(width)));
        Cell::maybe(rank, theme.style(role))
    };
    let chosen = row.followed.first().map_or(0.0, |chosen| {
        if app.inspector.depths.ranks {
            1.0 - (chosen.rank.max(1) as f32).log10() / RANKS
        } else {
            (chosen.logprob / std::f32::consts::LN_10 + POWERS) / POWERS
        }
    });
    let drawn = table.row([
        Cell::of(layer, if selected { strong } else { plain }),
        name(0),
        share(0),
        name(1),
        share(1),
        Cell::Bar(chosen.into(), theme.style(Role::TokenChosen)),
        rank(0, Role::TokenChosen),
        rank(1, Role::TokenRival),
        Cell::Bar((row.kl / KL).into(), theme.style(Role::KlBar)),
        Cell::of(format!("{:.1}", row.kl), plain),
        Cell::of(format!("{:.0}", row.norm), plain),
        Cell::Empty,
    ]);
    let drawn = drawn.and(0, if selected { "›" } else { " " }, strong).and(
        1,
        if decided { "◆" } else { " " },
        theme.style(Role::DepthMark),
    );
    let both = row.attention_added + row.ffn_added;
    match table.place(11) {
        Some((at, cells)) if both > 0.0 => {
            let attention = (row.attention_added / both * f32::from(cells)).round() as u16;
            let part = |glyph: &str, cells: u16| glyph.repeat(usize::from(cells));
            drawn.and(at, part("▒", attention), theme.style(Role::PartAttn)).and(
                at + attention,
                part("█", cells - attention),
                theme.style(Role::PartFfn),
            )
        }
        _ => drawn,
    }
}

/// A rank in at most so many cells, four or more: in thousands where it is longer.
fn short(rank: u32, room: u16) -> String {
    let whole = rank.to_string();
    if text::width(&whole) <= room { whole } else { format!("{}k", rank / 1000) }
}

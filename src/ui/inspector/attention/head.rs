//! The opened head: what it reads most, the strips of q·k and softmax, the last rows of its matrix or else the text by
//! how much of it is read, and what it writes, told as tokens.
//!
//! Invariant: a bar is a share of the head's whole reading, the first token's included, though that may be left out
//! of the list, which then says what it held.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::reading::Reading;
use super::{Shown, ink, matrix, share};
use crate::inspect::trace::{HeadClass, HeadRow};
use crate::theme::{Role, Theme};
use crate::token::TokenId;
use crate::ui::inspector::frame;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{chart, number, text};

/// Lowest and highest q·k on the strip.
const SCORE: (f32, f32) = (-24.0, 8.0);

/// The table of positions: place, token, q·k, weight, length, bar. Three of its heads depend on what is listed.
fn table<'a>(theme: &'a Theme, width: u16, [score, norm, of]: [&str; 3]) -> Table<'a, 6> {
    let name = if width >= 44 { (width / 4).min(18) } else { 8 };
    let scored = width >= 33;
    let weight = name + if scored { 19 } else { 12 };
    let written = weight + 6;
    // A bar of a few cells says less than the figure beside it.
    let cells = match width.saturating_sub(written + 2).min(24) {
        0..6 => 0,
        cells => cells,
    };
    let columns = [
        Column::right("", 5),
        Column::left("token", 6, name),
        Column::right(score, name + 12).when(scored),
        Column::right("weight", weight),
        Column::right(norm, written),
        Column::left(if cells > 8 { of } else { "" }, written + 1, cells),
    ];
    Table::of(theme, columns)
}

/// Draws it.
pub fn draw(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let theme = shown.theme;
    let (style, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let mut rows = vec![Row::of(1, shown.title(), theme.style(Role::Strong))];
    if let Some(words) = shown.words() {
        rows.extend(row::wrapped(&words, 1, area.width, style));
    }
    if shown.app.inspector.attention.read_by {
        rows.extend(readers(shown, area));
        row::stack(&rows, area, 0, buf);
        return;
    }
    let Some(row) = shown.row() else {
        rows.extend(from_overview(shown));
        rows.extend(row::wrapped(&frame::missing(shown.app), 1, area.width, muted));
        row::stack(&rows, area, 0, buf);
        return;
    };
    rows.extend(row::wrapped(&facts(shown, row), 1, area.width, muted));
    let reading = Reading::of(shown, row);
    let height = area.height.saturating_sub(rows.len() as u16);
    let told = if height >= 16 { told(shown, area.width) } else { Vec::new() };
    let (strips, ends) = (if height >= 10 { 5 } else { 0 }, told.len() as u16);
    let height = height - ends;
    let picture = if height >= 18 { height / 3 } else { 0 };
    let listed = usize::from(height.saturating_sub(strips + picture + u16::from(height >= 10)));
    rows.extend(list(shown, &reading, area.width, listed.min(15)));
    let mut at = row::stack(&rows, area, 0, buf) + u16::from(height >= 10);
    if strips > 0 {
        at = self::strips(shown, &reading, area, at, buf) + 1;
    }
    let below = area.height - ends;
    if picture > 0 && at < below {
        let under = Rect { y: area.y + at, height: below - at, ..area };
        if !matrix::small(shown, under, buf) {
            ink::draw(shown, &reading, under, buf);
        }
    }
    row::stack(&told, area, below, buf);
}

/// What the head writes, as tokens: which it raises, which it lowers, what it does to the chosen one and its rival.
fn told(shown: &Shown<'_>, width: u16) -> Vec<Row> {
    let Some(told) = shown.app.display().told_head() else { return Vec::new() };
    let theme = shown.theme;
    let (style, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let name = |id: &TokenId| text::cut(&frame::name(shown.app, theme, *id), 14);
    let names = |some: &[(TokenId, f32)]| {
        let names: Vec<String> = some.iter().map(|(id, _)| name(id)).collect();
        let mut rows = row::wrapped(&names.join(" "), 1, width, style);
        rows.truncate(2);
        rows
    };
    let mut rows = vec![Row::of(1, "writes toward", muted)];
    rows.extend(names(&told.promotes));
    rows.push(Row::of(1, "and away from", muted));
    rows.extend(names(&told.suppresses).into_iter().take(1));
    let push = |(id, push): &(TokenId, f32)| format!("for {} {}", name(id), number::signed((*push).into()));
    let mut facts: Vec<String> = told.followed.iter().take(2).map(push).collect();
    facts.push(format!("of ‖h‖ {} %", number::decimals(f64::from(told.share) * 100.0, 0)));
    rows.extend(row::packed(&facts, 1, width, style));
    rows
}

/// Window, learned sink and flash attention, in words.
fn facts(shown: &Shown<'_>, row: &HeadRow) -> String {
    let mut facts = Vec::new();
    if let Some(window) = shown.layer().and_then(|layer| layer.window) {
        facts.push(format!("window of {window} tokens"));
    }
    if row.sink > 0.0 {
        facts.push(format!("a learned sink took {}", share(row.sink)));
    }
    if shown.attention.flash {
        facts.push("weights taken beside flash attention".into());
    }
    facts.join("; ")
}

/// Where the head's rows are not there: the positions that the grid knows of.
fn from_overview(shown: &Shown<'_>) -> Vec<Row> {
    let top = shown.reading().map_or(&[] as &[(u32, f32)], |reading| &reading.top);
    let style = shown.theme.style(Role::Text);
    let row = |(position, weight): &(u32, f32)| {
        Row::default()
            .until(5, position.to_string(), style)
            .and(6, text::cut(&shown.token(*position as usize), 14), style)
            .until(28, percent(*weight), style)
    };
    top.iter().map(row).collect()
}

fn percent(share: f32) -> String {
    format!("{}%", number::decimals(f64::from(share) * 100.0, 1))
}

/// The strongest positions, largest share first, in so many rows at most.
fn list(shown: &Shown<'_>, reading: &Reading<'_>, width: u16, most: usize) -> Vec<Row> {
    let theme = shown.theme;
    let (style, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let row = reading.row;
    let rests = shown.reading().is_some_and(|head| head.class == HeadClass::Sink);
    let hidden = reading.len() > 1 && (rests || shown.app.inspector.attention.hides_first);
    let mut order: Vec<usize> = (usize::from(hidden)..reading.len()).collect();
    let by_share = |a: &usize, b: &usize| reading.share(*b).total_cmp(&reading.share(*a)).then(a.cmp(b));
    // A long text has far more positions than rows; only those in view need an order.
    let ordered = most.min(order.len());
    if ordered > 0 && ordered < order.len() {
        order.select_nth_unstable_by(ordered, by_share);
    }
    order[..ordered].sort_unstable_by(by_share);
    let norm = if row.value_norms.is_empty() { "" } else { "‖·‖" };
    let of = if reading.written { "of ‖·‖" } else { "of weight" };
    let table = table(theme, width, ["q·k", norm, of]);
    let mut rows = vec![table.heads()];
    if hidden {
        let kept = row.weights.first().copied().unwrap_or_default();
        rows.push(Row::of(1, format!("first token, left out: {}", percent(kept)), muted));
    }
    let fits = most.saturating_sub(rows.len());
    let whole = order.len() <= fits;
    let shown_rows = if whole { order.len() } else { fits.saturating_sub(1) };
    rows.extend(order[..shown_rows].iter().map(|position| {
        let figure = |of: &[f32], digits| of.get(*position).map(|of| number::decimals((*of).into(), digits));
        table.row([
            Cell::of(position.to_string(), muted),
            Cell::of(shown.token(*position), style),
            Cell::maybe(figure(&row.scores, 2), style),
            Cell::of(percent(row.weights[*position]), style),
            Cell::maybe(figure(&row.value_norms, 1), style),
            Cell::Bar(reading.share(*position).into(), theme.style(Role::AttnStrong)),
        ])
    }));
    if !whole && fits > 0 {
        let rest = &order[shown_rows..];
        let weight: f32 = rest.iter().map(|at| row.weights[*at]).filter(|weight| weight.is_finite()).sum();
        rows.push(table.row([
            Cell::of(rest.len().to_string(), muted),
            Cell::of("others", muted),
            Cell::Empty,
            Cell::of(percent(weight), muted),
            Cell::Empty,
            Cell::Empty,
        ]));
    }
    rows
}

/// q·k, mask, softmax and what is written, a column a position, the last that fit; gives the row after them.
fn strips(shown: &Shown<'_>, reading: &Reading<'_>, area: Rect, at: u16, buf: &mut Buffer) -> u16 {
    let theme = shown.theme;
    let row = reading.row;
    let mut strips: Vec<(&str, Vec<f32>, f32)> = Vec::new();
    if !row.scores.is_empty() {
        let above = row.scores.iter().map(|score| (score - SCORE.0).max(0.0)).collect();
        strips.push(("q·k −24…8", above, SCORE.1 - SCORE.0));
    }
    let mask = strips.len();
    strips.push(("softmax 0…1", row.weights.clone(), 1.0));
    if row.value_norms.len() == row.weights.len() && reading.sum > 0.0 {
        strips.push(("mix ‖·‖ 0…1", row.value_norms.iter().map(|norm| norm / reading.sum).collect(), 1.0));
    }
    let mut line = at;
    for (index, (label, values, top)) in strips.into_iter().enumerate() {
        if index == mask && line < area.height {
            mask_strip(shown, row.weights.len(), area.width).draw(area, line, buf);
            line += 1;
        }
        if line >= area.height {
            break;
        }
        Row::of(1, label, theme.style(Role::Muted)).draw(area, line, buf);
        let room = text::row(area, line, 16);
        let room = Rect { width: room.width.saturating_sub(1), ..room };
        chart::draw(buf, room, values.into_iter(), top, &theme.symbols.column, theme.style(Role::ProbBar));
        line += 1;
    }
    line
}

/// What the mask adds to q·k: nothing, or −∞ outside the window.
fn mask_strip(shown: &Shown<'_>, count: usize, width: u16) -> Row {
    let theme = shown.theme;
    let window = shown.layer().and_then(|layer| layer.window).map_or(count, |window| window as usize);
    let cell = |at: usize| match (at + window < count, theme.symbols.ascii) {
        (true, _) => "/",
        (false, true) => ".",
        (false, false) => "·",
    };
    let room = usize::from(width.saturating_sub(17));
    let cells: String = (count.saturating_sub(room)..count).map(cell).collect();
    let label = if theme.symbols.ascii { "mask 0 or /-inf" } else { "mask 0 or /−∞" };
    Row::of(1, label, theme.style(Role::Muted)).and(16, cells, theme.style(Role::AttnOutside))
}

/// Which later tokens read this one, the largest weight first.
fn readers(shown: &Shown<'_>, area: Rect) -> Vec<Row> {
    let theme = shown.theme;
    let (style, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let here = shown.here();
    let name = text::cut(&shown.token(here), 14);
    let mut rows = row::wrapped(&format!("who reads #{here} {name}"), 1, area.width, style);
    let Some((ids, matrix)) = shown.app.display().shown_readers() else {
        rows.extend(row::wrapped(&shown.app.display().rows_missing(), 1, area.width, muted));
        return rows;
    };
    let first = matrix.first as usize;
    let mut readers: Vec<(usize, f32)> = matrix.column(here).collect();
    readers.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let table = table(theme, area.width, [""; 3]);
    rows.push(table.heads());
    let room = usize::from(area.height).saturating_sub(rows.len() + 4);
    for (reader, weight) in readers.iter().take(room) {
        let named = ids.get(*reader).map_or_else(String::new, |id| frame::name(shown.app, theme, *id));
        rows.push(table.row([
            Cell::of(reader.to_string(), muted),
            Cell::of(named, style),
            Cell::Empty,
            Cell::of(percent(*weight), style),
            Cell::Empty,
            Cell::Bar((*weight).into(), theme.style(Role::AttnStrong)),
        ]));
    }
    let last = first + matrix.len().saturating_sub(1);
    let told = format!("of the tokens #{} to #{last}; {:.0} ms", here.max(first), matrix.ms);
    rows.extend(row::wrapped(&told, 1, area.width, muted));
    rows
}

//! The message's tokens: place, id, text, bytes, surprise and rank, a row each.
//!
//! Invariant: columns are fixed by the width, whatever the tokens hold; the word under the cursor is in view.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::message::{Entry, Message};
use crate::theme::Role;
use crate::token::TokenKind;
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::Row;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, token};

/// The table, and whether it has its full form.
fn table<'a>(message: &Message<'a>, width: u16) -> (Table<'a, 6>, bool) {
    let full = width >= INSPECTOR.0;
    let by_width = |narrow: u16, wide: u16| if full { wide } else { narrow };
    let columns = [
        Column::right("#", 7),
        Column::right("id", by_width(14, 15)),
        Column::left("token", by_width(15, 17), by_width(8, 12)),
        Column::left("bytes", by_width(24, 30), by_width(10, 23)),
        Column::right(if full { "surprise bit" } else { "bit" }, by_width(40, 60)),
        Column::right("rank", by_width(46, 67)),
    ];
    (Table::of(message.theme, columns), full)
}

/// Draws heads, at most so many rows of tokens, and the totals; gives the rows it took.
pub fn draw(message: &Message<'_>, area: Rect, rows: u16, buf: &mut Buffer) -> u16 {
    let (table, full) = table(message, area.width);
    table.heads().draw(area, 0, buf);
    let rows = rows.saturating_sub(1).min(area.height.saturating_sub(1));
    let first = first(message, usize::from(rows));
    let listed = message.entries.iter().enumerate().skip(first).take(usize::from(rows));
    let mut at = 1;
    for (index, entry) in listed {
        line(message, &table, full, (index, entry)).draw(area, at, buf);
        at += 1;
    }
    let totals = Row::of(1, totals(message, full), message.theme.style(Role::Text));
    totals.draw(area, at, buf);
    at + 1
}

/// The first token listed: the word stands in the middle where there is more than fits.
fn first(message: &Message<'_>, rows: usize) -> usize {
    let marked = &message.marked;
    if message.is_draft {
        // What stands above the word that is typed at does not move until the list is full.
        return marked.end.saturating_sub(rows);
    }
    let middle = marked.start.saturating_sub(rows.saturating_sub(marked.len()) / 2);
    // A word longer than the list: the token under the cursor is what must be seen.
    let seen = middle.max((message.here + 1).saturating_sub(rows));
    seen.min(message.entries.len().saturating_sub(rows))
}

fn line(message: &Message<'_>, table: &Table<'_, 6>, full: bool, (index, entry): (usize, &Entry<'_>)) -> Row {
    let (theme, step) = (message.theme, entry.step.as_ref());
    let marked = message.marked.contains(&index);
    let here = index == message.here;
    let kind = match (step.id, message.vocabulary) {
        (Some(id), Some(vocabulary)) => vocabulary.kind(id),
        _ => TokenKind::Normal,
    };
    let text_role = if marked { Role::Strong } else { Role::Text };
    let role = if kind == TokenKind::Control { Role::TokenSpecial } else { text_role };
    let unknown = || "–".to_owned();
    let place = entry.place.map_or_else(unknown, |place| place.to_string());
    let id = number::id(step.id);
    let name = token::written(step.id, &step.bytes, message.vocabulary, &theme.symbols);
    let rank = match step.rank {
        0 => unknown(),
        rank if full => number::grouped(rank.into()),
        rank => rank.to_string(),
    };
    let style = theme.style(text_role);
    let bits = step.surprisal_bits();
    let surprise = if bits.is_finite() {
        Cell::of(number::decimals(bits.into(), 2), theme.mag(level(bits)))
    } else {
        Cell::of(unknown(), style)
    };
    let row = table.row([
        Cell::of(place, style),
        Cell::of(id, style),
        Cell::of(name, theme.style(role)),
        Cell::of(hex(&step.bytes, full), theme.style(Role::Muted)),
        surprise,
        Cell::of(rank, style),
    ]);
    let strong = theme.style(Role::Strong);
    let mark = if theme.symbols.ascii { "|" } else { "▐" };
    let row = if marked { row.and(0, mark, strong) } else { row };
    if here { row.and(1, theme.symbols.here, strong) } else { row }
}

/// Step of the ramp for a surprise, a bit a step, as the text is coloured.
fn level(bits: f32) -> usize {
    bits.round().clamp(0.0, 8.0) as usize
}

/// `20 52 65 79`, without blanks in the narrow form.
fn hex(bytes: &[u8], full: bool) -> String {
    let all: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    if all.is_empty() { "–".into() } else { all.join(if full { " " } else { "" }) }
}

/// `11 tokens   37 bytes   3.4 bytes a token   1.8 tokens a word`
fn totals(message: &Message<'_>, full: bool) -> String {
    let count = message.entries.len();
    let all = || message.entries.iter().flat_map(|entry| &entry.step.bytes);
    let bytes = all().count();
    let mut blank = true;
    let mut words = 0;
    for byte in all() {
        let is_blank = byte.is_ascii_whitespace();
        words += usize::from(blank && !is_blank);
        blank = is_blank;
    }
    let ratio = |a: usize, b: usize| number::decimals(a as f64 / b.max(1) as f64, 1);
    let mut totals = format!(
        "{}   {}   {} bytes a token",
        number::counted(count, "token"),
        number::counted(bytes, "byte"),
        ratio(bytes, count)
    );
    if full {
        totals = format!("{totals}   {} tokens a word", ratio(count, words));
    }
    totals
}

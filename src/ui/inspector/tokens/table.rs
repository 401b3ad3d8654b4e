//! The message's tokens: place, id, text, bytes, surprise and rank, a row each.
//!
//! Invariant: columns are fixed by the width, whatever the tokens hold; the word under the cursor is in view.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::message::{Entry, Message};
use crate::theme::Role;
use crate::token::TokenKind;
use crate::ui::inspector::own::Row;
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::{number, text, token};

/// Where columns begin and end.
struct Columns {
    place: u16,
    id: u16,
    name: (u16, u16),
    bytes: (u16, u16),
    surprise: u16,
    rank: u16,
    full: bool,
}

impl Columns {
    fn of(width: u16) -> Self {
        if width >= INSPECTOR.0 {
            Self { place: 7, id: 15, name: (17, 29), bytes: (30, 53), surprise: 60, rank: 67, full: true }
        } else {
            Self { place: 7, id: 14, name: (15, 23), bytes: (24, 34), surprise: 40, rank: 46, full: false }
        }
    }
}

/// Draws heads, at most so many rows of tokens, and the totals; gives the rows it took.
pub fn draw(message: &Message<'_>, area: Rect, rows: u16, buf: &mut Buffer) -> u16 {
    let theme = message.theme;
    let columns = Columns::of(area.width);
    let muted = theme.style(Role::Muted);
    let surprise = if columns.full { "surprise bit" } else { "bit" };
    Row::default()
        .until(columns.place, "#", muted)
        .until(columns.id, "id", muted)
        .and(columns.name.0, "token", muted)
        .and(columns.bytes.0, "bytes", muted)
        .until(columns.surprise, surprise, muted)
        .until(columns.rank, "rank", muted)
        .draw(area, 0, buf);
    let rows = rows.saturating_sub(1).min(area.height.saturating_sub(1));
    let first = first(message, usize::from(rows));
    let listed = message.entries.iter().enumerate().skip(first).take(usize::from(rows));
    let mut at = 1;
    for (index, entry) in listed {
        line(message, &columns, index, entry, area, at, buf);
        at += 1;
    }
    let totals = Row::of(1, totals(message, columns.full), theme.style(Role::Text));
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

fn line(
    message: &Message<'_>,
    columns: &Columns,
    index: usize,
    entry: &Entry<'_>,
    area: Rect,
    at: u16,
    buf: &mut Buffer,
) {
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
    let id = step.id.map_or_else(unknown, |id| id.0.to_string());
    let name = token::written(step.id, &step.bytes, message.vocabulary, &theme.symbols);
    let rank = match step.rank {
        0 => unknown(),
        rank if columns.full => number::grouped(rank.into()),
        rank => rank.to_string(),
    };
    let style = theme.style(text_role);
    let mut row = Row::default()
        .until(columns.place, place, style)
        .until(columns.id, id, style)
        .and(columns.name.0, text::cut(&name, columns.name.1 - columns.name.0), theme.style(role))
        .and(columns.bytes.0, hex(&step.bytes, columns), theme.style(Role::Muted))
        .until(columns.rank, rank, style);
    if marked {
        row = row.and(0, if theme.symbols.ascii { "|" } else { "▐" }, theme.style(Role::Strong));
    }
    if here {
        row = row.and(1, theme.symbols.here, theme.style(Role::Strong));
    }
    let bits = step.surprisal_bits();
    row = if bits.is_finite() {
        let style = theme.mag(level(bits));
        row.until(columns.surprise, number::decimals(bits.into(), 2), style)
    } else {
        row.until(columns.surprise, unknown(), theme.style(text_role))
    };
    row.draw(area, at, buf);
}

/// Step of the ramp for a surprise, a bit a step, as the text is coloured.
fn level(bits: f32) -> usize {
    bits.round().clamp(0.0, 8.0) as usize
}

/// `20 52 65 79`, without blanks in the narrow form; cut where it does not fit.
fn hex(bytes: &[u8], columns: &Columns) -> String {
    let gap = if columns.full { " " } else { "" };
    let all: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let room = columns.bytes.1 - columns.bytes.0;
    if all.is_empty() { "–".into() } else { text::cut(&all.join(gap), room) }
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

//! The tokens station: the message as numbered pieces, and how the word under the cursor became its pieces.
//!
//! Invariants: nothing here is computed from text; ids, bytes and numbers are the message's own, the merges
//! those that the tokenizer told.

mod cuts;
mod facts;
mod message;
mod stairs;
mod table;
#[cfg(test)]
mod tests;
mod tried;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::theme::{Role, Theme};
use crate::ui::inspector::frame::{self, Frame};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::{number, text};
use message::Message;

/// Columns from which on the staircase stands beside the table.
const BESIDE: u16 = 114;
/// Columns of the table then.
const TABLE: u16 = INSPECTOR.0;
/// Fewest rows of tokens, where both stand one under the other.
const FEWEST: u16 = 5;
/// Rows from which on the special tokens are there however long the message is.
const HIGH: u16 = 30;

const CAPTION: &str =
    "The model never sees letters, only numbered pieces of text. ▐ marks the word under the cursor.";

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let words = if theme.symbols.ascii { CAPTION.replace('▐', "|") } else { CAPTION.to_owned() };
    let Some(frame) = Frame::of(app, theme, area, &words) else { return };
    let area = frame.area;
    let message = Message::of(app, theme);
    subject(&message, area, buf);
    let under = frame.under(buf);
    if area.width >= BESIDE {
        left_side(&message, text::split(under, TABLE).0, buf);
        right_side(&message, text::split(under, TABLE + 1).1, buf);
    } else if app.inspector.tokens.trying.is_some() {
        trying(&message, under, buf);
    } else {
        one_under_the_other(&message, under, buf);
    }
}

/// The table, the line in which a word is tried, and the special tokens.
fn left_side(message: &Message<'_>, area: Rect, buf: &mut Buffer) {
    let facts = facts::special(message, area.width);
    let tried = tried::rows(message, area.width);
    let most = (area.height / 2).max(area.height.saturating_sub((facts.len() + tried.len()) as u16 + 4));
    let mut at = list(message, area, most.max(1), buf) + 1;
    at += row::stack(&tried, area, at, buf) + 1;
    row::stack(&facts, area, at, buf);
}

/// The staircase, the cuts, and what the vocabulary is.
fn right_side(message: &Message<'_>, area: Rect, buf: &mut Buffer) {
    let mut under = cuts::rows(message, area.width);
    if !under.is_empty() {
        under.push(Row::default());
    }
    under.extend(facts::size(message, area.width));
    under.extend(facts::rule(message, area.width));
    let room = area.height.saturating_sub(under.len() as u16 + 1).max(area.height / 2);
    let stairs = staircase(message, area.width, usize::from(room));
    let used = row::stack(&stairs, Rect { height: room.min(area.height), ..area }, 0, buf);
    row::stack(&under, area, if used > 0 { used + 1 } else { 0 }, buf);
}

/// Nothing where there is no word at all.
fn staircase(message: &Message<'_>, width: u16, most: usize) -> Vec<Row> {
    if message.stair.name.is_empty() { Vec::new() } else { stairs::rows(message, width, most) }
}

/// The table; where no token is known, why.
fn list(message: &Message<'_>, area: Rect, rows: u16, buf: &mut Buffer) -> u16 {
    if message.entries.is_empty() {
        let words = "The tokens of a message are listed here once one is written, or once typed text was scored; \
                     those of what you type are listed as you type.";
        return row::stack(&said(message, words, area.width, Role::Text), area, 0, buf);
    }
    table::draw(message, area, rows, buf)
}

/// In one column, while a word is tried: the line, and the word's staircase.
fn trying(message: &Message<'_>, area: Rect, buf: &mut Buffer) {
    let at = row::stack(&tried::rows(message, area.width), area, 0, buf) + 1;
    let room = area.height.saturating_sub(at);
    row::stack(&staircase(message, area.width, usize::from(room)), area, at, buf);
}

/// Both in one column; where there is no room for both, the one that is opened.
fn one_under_the_other(message: &Message<'_>, area: Rect, buf: &mut Buffer) {
    let least = FEWEST + 3;
    let wanted = staircase(message, area.width, usize::MAX).len() as u16;
    if message.app.inspector.inside.opened && area.height < least + wanted {
        row::stack(&staircase(message, area.width, usize::from(area.height)), area, 0, buf);
        return;
    }
    let special = facts::special(message, area.width);
    // A long message leaves them their rows.
    let kept = if area.height >= HIGH { special.len() as u16 + 1 } else { 0 };
    let stairs = if area.height >= least + 7 { wanted.min(area.height - least - kept) } else { 0 };
    let count = message.entries.len() as u16;
    let tokens = area.height.saturating_sub(stairs + kept + 3).min(count.saturating_add(1)).max(1);
    let mut at = list(message, area, tokens, buf) + 1;
    if stairs > 0 {
        let stairs = staircase(message, area.width, usize::from(area.height.saturating_sub(at + kept)));
        at += row::stack(&stairs, area, at, buf) + 1;
    } else if wanted > 0 && message.entries.is_empty() {
        return;
    }
    if area.height < least + 7 {
        return;
    }
    let parts = [
        special,
        facts::size(message, area.width),
        facts::rule(message, area.width),
        cuts::rows(message, area.width),
        tried::rows(message, area.width),
    ];
    // What does not fit whole is left out: a head without its list says nothing.
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if at + part.len() as u16 <= area.height {
            at += row::stack(part, area, at, buf) + 1;
        }
    }
}

/// `#5–9 ␣Reykjavík itself: 5 tokens, 11 bytes`
fn subject(message: &Message<'_>, area: Rect, buf: &mut Buffer) {
    let theme = message.theme;
    if message.entries.is_empty() {
        return frame::subject(theme, area, &[("no token on display", Role::Text)], "", buf);
    }
    let marked = message.marked.clone();
    let at = |index: usize| message.entries.get(index).and_then(|entry| entry.place);
    let place = match (at(marked.start), at(marked.end.saturating_sub(1))) {
        (Some(first), Some(last)) if first < last => format!("#{first}–{last} "),
        (Some(first), _) => format!("#{first} "),
        _ => String::new(),
    };
    let count = marked.len();
    let listed = message.entries.get(marked).unwrap_or_default();
    let mut bytes = Vec::new();
    for entry in listed {
        bytes.extend_from_slice(&entry.step.bytes);
    }
    let name = if bytes.is_empty() {
        frame::shown_name(message.app, theme)
    } else {
        message::visible(&bytes, theme)
    };
    let counts = format!("{}, {}", number::counted(count, "token"), number::counted(bytes.len(), "byte"));
    let room = area.width.saturating_sub(text::width(&place) + text::width(&counts) + 5);
    let name = text::cut(&name, room);
    let words = match (message.is_draft, area.width >= INSPECTOR.0) {
        (true, true) => " in the draft: ",
        (false, true) => " itself: ",
        (_, false) => ": ",
    };
    let pieces = [
        (place.as_str(), Role::Text),
        (name.as_str(), Role::TokenChosen),
        (words, Role::Text),
        (counts.as_str(), Role::Text),
    ];
    frame::subject(theme, area, &pieces, "vocabulary only, no cost", buf);
}

/// Words at the left edge, wrapped.
fn said(message: &Message<'_>, words: &str, width: u16, role: Role) -> Vec<Row> {
    row::wrapped(words, 1, width, message.theme.style(role))
}

//! The tokens station: the message as numbered pieces, and how the word under the cursor became its pieces.
//!
//! Invariants: nothing here is computed from text; ids, bytes and numbers are the message's own, the merges
//! those that the tokenizer told.

mod facts;
mod stairs;
mod table;
#[cfg(test)]
pub(super) mod tests;

use std::ops::Range;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::own::{self, Row};
use crate::app::{App, LiveStep, TurnToken};
use crate::inspect::pieces::Pieces;
use crate::theme::{Role, Theme};
use crate::token::Vocabulary;
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::text;

/// Columns from which on the staircase stands beside the table.
const BESIDE: u16 = 114;
/// Columns of the table then.
const TABLE: u16 = INSPECTOR.0;
/// Fewest rows of tokens, where both stand one under the other.
const FEWEST: u16 = 5;

const CAPTION: &str =
    "The model never sees letters, only numbered pieces of text. ▐ marks the word under the cursor.";

/// What is on display.
struct Message<'a> {
    app: &'a App,
    theme: &'a Theme,
    shown: &'a LiveStep,
    tokens: Vec<TurnToken<'a>>,
    vocabulary: Option<&'a Vocabulary>,
    /// The word under the cursor, and which of the tokens it is made of.
    word: Option<(String, Range<usize>)>,
    /// How the tokenizer made it.
    pieces: Option<&'a Arc<Pieces>>,
}

impl<'a> Message<'a> {
    fn of(app: &'a App, theme: &'a Theme) -> Option<Self> {
        let shown = app.shown_step().filter(|shown| shown.chat == app.chat.head.id)?;
        let tokens = app.turn_tokens(app.shown_turn(shown.turn)?);
        tokens.get(shown.index)?;
        let word = app.word_on_display();
        let pieces = word.as_ref().and_then(|(text, _)| app.known_pieces(text));
        Some(Self { app, theme, shown, tokens, vocabulary: own::vocabulary(app), word, pieces })
    }

    /// Indices of the tokens of the word; the shown one alone where it has no text.
    fn marked(&self) -> Range<usize> {
        self.word.as_ref().map_or(self.shown.index..self.shown.index + 1, |(_, tokens)| tokens.clone())
    }

    fn word_name(&self) -> String {
        match &self.word {
            Some((text, _)) => stairs::visible(text.as_bytes(), self.theme),
            None => own::shown_name(self.app, self.theme),
        }
    }
}

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = Rect { width: area.width.min(own::WIDEST), ..area };
    if area.height < 4 || area.width < 20 {
        return;
    }
    let words = if theme.symbols.ascii { CAPTION.replace('▐', "|") } else { CAPTION.to_owned() };
    let caption = own::caption(app, theme, area, &words);
    let Some(message) = Message::of(app, theme) else {
        let why =
            "The tokens of a message are listed here once one is written, or once typed text was scored.";
        return own::empty(theme, area, "no token on display", &caption, why, buf);
    };
    subject(&message, area, buf);
    let at = 1 + own::stack(&caption, area, 1, buf);
    let at = at + u16::from(area.height > 20);
    let under = Rect { y: area.y + at, height: area.height.saturating_sub(at), ..area };
    if area.width >= BESIDE {
        let left = Rect { width: TABLE, ..under };
        let right = Rect { x: under.x + TABLE + 1, width: under.width - TABLE - 1, ..under };
        let facts = facts::special(&message, left.width);
        let rows = left.height.saturating_sub(facts.len() as u16 + 4).max(1);
        let used = table::draw(&message, left, rows, buf);
        own::stack(&facts, left, used + 1, buf);
        right_side(&message, right, buf);
    } else {
        one_under_the_other(&message, under, buf);
    }
}

/// The staircase, and what the vocabulary is.
fn right_side(message: &Message<'_>, area: Rect, buf: &mut Buffer) {
    let facts = facts::tokenizer(message, area.width);
    let room = area.height.saturating_sub(facts.len() as u16 + 1);
    let stairs = stairs::rows(message, area.width, usize::from(room));
    let used = own::stack(&stairs, Rect { height: room, ..area }, 0, buf);
    own::stack(&facts, area, used + 1, buf);
}

/// Both in one column; where there is no room for both, the one that is opened.
fn one_under_the_other(message: &Message<'_>, area: Rect, buf: &mut Buffer) {
    let least = FEWEST + 3;
    let wanted = stairs::rows(message, area.width, usize::MAX).len() as u16;
    if message.app.inspector.inside.opened && area.height < least + wanted {
        own::stack(&stairs::rows(message, area.width, usize::from(area.height)), area, 0, buf);
        return;
    }
    let stairs = if area.height >= least + 7 { wanted.min(area.height - least) } else { 0 };
    let tokens = area.height.saturating_sub(stairs + 3).min(message.tokens.len() as u16 + 1).max(1);
    let mut at = table::draw(message, area, tokens, buf) + 1;
    if stairs == 0 {
        return;
    }
    let stairs = stairs::rows(message, area.width, usize::from(area.height.saturating_sub(at)));
    at += own::stack(&stairs, area, at, buf) + 1;
    let mut facts = facts::tokenizer(message, area.width);
    facts.extend(facts::special(message, area.width));
    own::stack(&facts, area, at, buf);
}

/// `#5–9 ␣Reykjavík itself: one word, five tokens, eleven bytes`
fn subject(message: &Message<'_>, area: Rect, buf: &mut Buffer) {
    let theme = message.theme;
    let marked = message.marked();
    let at = |index: usize| message.tokens.get(index).and_then(|token| message.app.place_in_context(token));
    let place = match (at(marked.start), at(marked.end.saturating_sub(1))) {
        (Some(first), Some(last)) if first < last => format!("#{first}–{last} "),
        (Some(first), _) => format!("#{first} "),
        _ => String::new(),
    };
    let count = marked.len();
    let bytes: usize = message.tokens[marked].iter().map(|token| token.step.bytes.len()).sum();
    let counts = format!("{}, {}", own::counted(count, "token"), own::counted(bytes, "byte"));
    let room = area.width.saturating_sub(text::width(&place) + text::width(&counts) + 5);
    let name = text::cut(&message.word_name(), room);
    let words = if area.width >= INSPECTOR.0 { " itself: " } else { ": " };
    let pieces = [
        (place.as_str(), Role::Text),
        (name.as_str(), Role::TokenChosen),
        (words, Role::Text),
        (counts.as_str(), Role::Text),
    ];
    own::subject(theme, area, &pieces, "vocabulary only, no cost", buf);
}

/// Words at the left edge, wrapped.
fn said(message: &Message<'_>, words: &str, width: u16, role: Role) -> Vec<Row> {
    own::wrapped(words, 1, width, message.theme.style(role))
}

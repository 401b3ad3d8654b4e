//! Wrapped texts and their tokens, kept from frame to frame by turn, revision and width.
//!
//! Invariant: a text is wrapped when it is first drawn at a width and when its revision changed; of a reply
//! that is being written only the last row and what is new is wrapped. Tokens are gathered only of messages
//! that come into view. The runtime owns the cache.

use std::collections::HashMap;

use crate::app::App;
use crate::chat::{Conversation, ConversationId, Turn, TurnId, TurnState};
use crate::ui::marks::{self, Marks};
use crate::ui::text::Lines;

/// The wrapped texts of one chat.
#[derive(Debug, Default)]
pub struct Cache {
    chat: Option<ConversationId>,
    texts: HashMap<TurnId, Text>,
    marks: HashMap<TurnId, Marks>,
    /// Where each turn stands in the chat's list, as of the last look.
    places: HashMap<TurnId, usize>,
}

#[derive(Debug)]
struct Text {
    revision: u64,
    special: bool,
    lines: Lines,
}

impl Cache {
    /// The shown branch without deleted turns, first turn first. Unlike [`Conversation::branch`], linear in
    /// its length.
    pub fn branch<'a>(&mut self, chat: &'a Conversation) -> Vec<&'a Turn> {
        if self.chat != Some(chat.head.id) {
            *self = Self { chat: Some(chat.head.id), ..Self::default() };
        }
        let known = |places: &HashMap<_, _>, id| {
            places.get(&id).and_then(|at: &usize| chat.turns.get(*at)).filter(|turn| turn.id == id)
        };
        let mut path = Vec::new();
        let mut next = chat.leaf;
        while let Some(id) = next {
            if path.len() > chat.turns.len() {
                break; // a damaged tree must not hang the app
            }
            if known(&self.places, id).is_none() {
                self.places = chat.turns.iter().enumerate().map(|(at, turn)| (turn.id, at)).collect();
            }
            let Some(turn) = known(&self.places, id) else { break };
            next = turn.parent;
            path.push(turn);
        }
        path.retain(|turn| !turn.deleted);
        path.reverse();
        path
    }

    /// The turn's text, wrapped at this width.
    pub fn wrap(&mut self, app: &App, turn: &Turn, revision: u64, width: u16) -> &Lines {
        let (width, special) = (width.max(1), app.transcript.special);
        let current = |text: &Text| {
            let finished = !text.lines.is_growing() && turn.state != TurnState::Streaming;
            finished && text.revision == revision && text.special == special && text.lines.width() == width
        };
        if !self.texts.get(&turn.id).is_some_and(current) {
            let kept = self.texts.remove(&turn.id).filter(|text| text.special == special);
            let kept = kept.map(|text| text.lines);
            let kept = kept.filter(|lines| lines.is_growing() && lines.width() == width);
            let lines = grown(kept.unwrap_or_else(|| Lines::growing(width)), app, turn);
            self.texts.insert(turn.id, Text { revision, special, lines });
        }
        &self.texts[&turn.id].lines
    }

    /// Gathers the tokens of a turn, if they are not those of this revision.
    pub fn mark(&mut self, app: &App, turn: &Turn) {
        let revision = app.transcript.revisions.get(&turn.id).copied().unwrap_or(0);
        let current = |marks: &Marks| {
            let finished = turn.state != TurnState::Streaming;
            finished && marks.revision == revision && marks.special == app.transcript.special
        };
        if !self.marks.get(&turn.id).is_some_and(current) {
            self.marks.insert(turn.id, Marks::of(app, turn, revision));
        }
    }

    /// The tokens of a turn as they were last gathered.
    #[must_use]
    pub fn marks(&self, turn: TurnId) -> Option<&Marks> {
        self.marks.get(&turn)
    }

    /// The turn's text as it was last wrapped.
    #[must_use]
    pub fn lines(&self, turn: TurnId) -> Option<&Lines> {
        self.texts.get(&turn).map(|text| &text.lines)
    }
}

/// Adds the bytes of the turn that the lines do not hold yet; all of them if the turn is now shorter.
fn grown(mut lines: Lines, app: &App, turn: &Turn) -> Lines {
    let pieces = marks::shown_pieces(app, turn);
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    if total < lines.bytes() {
        lines = Lines::growing(lines.width());
    }
    let mut skip = lines.bytes();
    let mut new = Vec::with_capacity(total - skip);
    for piece in &pieces {
        let bytes: &[u8] = piece;
        let skipped = skip.min(bytes.len());
        skip -= skipped;
        new.extend_from_slice(&bytes[skipped..]);
    }
    if !new.is_empty() {
        lines.append(&new);
    }
    if turn.state != TurnState::Streaming {
        lines.finish();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing;

    #[test]
    fn a_reply_that_grows_keeps_what_was_wrapped() {
        let mut app = testing::app();
        let turn = testing::streaming(&mut app, &["Paris ", "is"]);
        let mut cache = Cache::default();
        let shown = |lines: &Lines| lines.row(0).map(|glyph| glyph.shown).collect::<String>();
        assert_eq!(shown(cache.wrap(&app, app.chat.turn(turn).unwrap(), 1, 20)), "Paris is");
        testing::write(&mut app, turn, &[" big", "\u{1F600}"]);
        assert_eq!(shown(cache.wrap(&app, app.chat.turn(turn).unwrap(), 2, 20)), "Paris is big\u{1F600}");
        app.chat.turn_mut(turn).unwrap().state = TurnState::Done;
        assert!(!cache.wrap(&app, app.chat.turn(turn).unwrap(), 3, 20).is_growing());
    }

    #[test]
    fn the_branch_is_that_of_the_chat_without_deleted_turns() {
        let mut app = testing::app();
        let first = testing::user(&mut app, "one");
        let second = testing::user(&mut app, "two");
        let mut cache = Cache::default();
        let ids = |turns: Vec<&Turn>| turns.iter().map(|turn| turn.id).collect::<Vec<_>>();
        assert_eq!(ids(cache.branch(&app.chat)), [first, second]);
        app.chat.turn_mut(first).unwrap().deleted = true;
        let third = testing::user(&mut app, "three");
        assert_eq!(ids(cache.branch(&app.chat)), [second, third]);
    }
}

//! The token cursor: moving over tokens, words and uncertain tokens, and what it does when messages change.
//!
//! Invariant: after every update the cursor's turn is the selected one. A message whose tokens are not known
//! is sought instead: it gets the cursor as soon as they are.

use unicode_segmentation::UnicodeSegmentation;

use crate::app::{App, ChatView, Colouring, Focus, Outbox, Scroll, TokenCursor, Transcript, TurnToken};
use crate::chat::{Turn, TurnId};
use crate::reasoning::Kind;

/// A way to move inside a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// One token on.
    Next,
    /// One token back.
    Previous,
    /// To the token in which the next word begins.
    NextWord,
    /// To the token in which this word or the one before begins.
    PreviousWord,
    /// To the first token.
    First,
    /// To the last token.
    Last,
}

/// The character of which a token is a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitCharacter {
    /// The character; `None` while its other bytes are missing.
    pub character: Option<char>,
    /// Its first byte that the token holds, counted from 1.
    pub first: usize,
    /// The last.
    pub last: usize,
    /// How many bytes it has in all.
    pub of: usize,
}

impl Transcript {
    /// Whether a token is under the cursor or sought.
    pub(crate) fn has_cursor(&self) -> bool {
        self.cursor.is_some() || self.seeking.is_some()
    }

    /// Back to live.
    pub(crate) fn leave_cursor(&mut self) {
        self.cursor = None;
        self.seeking = None;
    }

    /// Waits for the tokens of a message.
    fn seek(&mut self, id: TurnId) {
        self.selected = Some(id);
        self.cursor = None;
        self.seeking = Some(id);
        self.sought_byte = 0;
        self.reveal = true;
    }

    /// Goes to a byte of a message as [`Self::go_to`] does, and waits there for its tokens where they are not known.
    pub(crate) fn seek_byte(&mut self, view: ChatView<'_>, focus: &mut Focus, turn: TurnId, byte: usize) {
        self.go_to(view, focus, turn, byte);
        if self.cursor.is_none() {
            (self.seeking, self.sought_byte) = (Some(turn), byte);
        }
    }
}

impl Transcript {
    /// Puts the cursor on a token and brings it into view.
    pub(crate) fn point_at(&mut self, focus: &mut Focus, at: TokenCursor) {
        if *focus != Focus::Inspector {
            *focus = Focus::Transcript;
        }
        self.selected = Some(at.turn);
        self.cursor = Some(at);
        self.seeking = None;
        self.reveal = true;
    }

    /// Goes to a byte of a message: the token there gets the cursor, where its tokens are known.
    pub(crate) fn go_to(&mut self, view: ChatView<'_>, focus: &mut Focus, turn: TurnId, byte: usize) {
        *focus = Focus::Transcript;
        self.open_insert(view, turn, byte);
        let tokens = view.shown_turn(turn).map(|turn| view.turn_tokens(turn)).unwrap_or_default();
        if let Some(index) = tokens.iter().position(|token| token.end > byte) {
            self.point_at(focus, TokenCursor { turn, index });
        } else {
            // Its row is the third of the view.
            self.selected = Some(turn);
            self.leave_cursor();
            self.scroll = Scroll::Anchor { turn, row: 1 + byte, moved: -2 };
        }
    }

    /// Another message was selected: the cursor moves along.
    pub(crate) fn carry_cursor(&mut self, view: ChatView<'_>, focus: &mut Focus, id: TurnId) {
        let there = self.cursor.is_some_and(|at| at.turn == id);
        if there || !self.has_cursor() {
            return;
        }
        if view.first_token(id).is_some() {
            let index = self.first_shown(view, id);
            self.point_at(focus, TokenCursor { turn: id, index });
        } else {
            self.seek(id);
        }
    }

    /// The first token that is not folded away.
    fn first_shown(&self, view: ChatView<'_>, id: TurnId) -> usize {
        if self.shows_thoughts(id) || self.is_raw(id) {
            return 0;
        }
        let folded = self.folded_inserts(view, id);
        if !folded.is_empty() {
            let tokens = view.shown_turn(id).map(|turn| view.turn_tokens(turn)).unwrap_or_default();
            let seen = |token: &TurnToken<'_>| folded.iter().all(|insert| !insert.contains(&token.start));
            return tokens.iter().position(seen).unwrap_or(0);
        }
        let split = view.chat.turn(id).map(|turn| view.split(turn)).unwrap_or_default();
        let answer = split.parts.iter().find(|part| part.kind == Kind::Answer);
        answer.map_or(0, |part| part.piece)
    }

    /// Keeps the invariant after whatever happened.
    pub(crate) fn sync_cursor(&mut self, view: ChatView<'_>, out: &mut Outbox, focus: &mut Focus) {
        self.keep_mark(view);
        let selected = self.selected;
        if self.cursor.is_some_and(|at| Some(at.turn) != selected) {
            self.cursor = None;
        }
        let Some(sought) = self.seeking else {
            self.sought_byte = 0;
            return;
        };
        if selected != Some(sought) {
            self.seeking = None;
        } else if view.first_token(sought).is_some() {
            match self.sought_byte {
                0 => {
                    let index = self.first_shown(view, sought);
                    self.point_at(focus, TokenCursor { turn: sought, index });
                }
                byte => self.go_to(view, focus, sought, byte),
            }
            out.dirty = true;
        }
    }

    /// Moves the cursor inside its message; without one it comes in from the side it is moved from.
    pub(crate) fn move_token(&mut self, view: ChatView<'_>, out: &mut Outbox, focus: &mut Focus, how: Move) {
        let Some(id) = self.selected.or(view.chat.leaf) else {
            out.say("there is no message yet");
            return;
        };
        let Some(turn) = view.shown_turn(id) else { return };
        let tokens = view.turn_tokens(turn);
        let Some(last) = tokens.len().checked_sub(1) else {
            self.seek(id);
            return;
        };
        let at = self.cursor.filter(|at| at.turn == id && at.index <= last).map(|at| at.index);
        let index = match (at, how) {
            (_, Move::First) => 0,
            (None, Move::Next | Move::NextWord) => self.first_shown(view, id).min(last),
            (_, Move::Last) | (None, Move::Previous | Move::PreviousWord) => last,
            (Some(at), Move::Next) => (at + 1).min(last),
            (Some(at), Move::Previous) => at.saturating_sub(1),
            (Some(at), Move::NextWord) => next_word(&view.chat.bytes(turn), &tokens, at),
            (Some(at), Move::PreviousWord) => previous_word(&view.chat.bytes(turn), &tokens, at),
        };
        let index = self.passing(view, id, &tokens, (at, index));
        self.point_at(focus, TokenCursor { turn: id, index });
    }

    /// Where a move from one token to another ends: it passes over files that are folded, but for the one it begins in.
    fn passing(
        &self,
        view: ChatView<'_>,
        id: TurnId,
        tokens: &[TurnToken<'_>],
        (from, to): (Option<usize>, usize),
    ) -> usize {
        let mut folded = self.folded_inserts(view, id);
        let here = from.map(|from| tokens[from].start);
        folded.retain(|insert| here.is_none_or(|here| !insert.contains(&here)));
        let seen = |index: &usize| folded.iter().all(|insert| !insert.contains(&tokens[*index].start));
        let (on, back) = ((to..tokens.len()).find(seen), (0..=to).rev().find(seen));
        let onward = from.is_none_or(|from| to >= from);
        let found = if onward { on.or(back) } else { back.or(on) };
        found.unwrap_or(to)
    }

    /// Goes to the nearest token after or before the cursor that surprised the model, in any message.
    pub(crate) fn seek_uncertain(
        &mut self,
        view: ChatView<'_>,
        out: &mut Outbox,
        focus: &mut Focus,
        forward: bool,
    ) {
        let Some(from) = self.selected.or(view.chat.leaf) else {
            out.say("there is no message yet");
            return;
        };
        let threshold = view.config.inspector.uncertain_bits;
        let turns = view.shown_turns();
        let at = turns.iter().position(|id| *id == from).unwrap_or(0);
        let rest: Vec<TurnId> =
            if forward { turns[at..].to_vec() } else { turns[..=at].iter().rev().copied().collect() };
        let found = rest.into_iter().find_map(|id| {
            let tokens = view.turn_tokens(view.shown_turn(id)?);
            let cursor = self.cursor.filter(|cursor| cursor.turn == id).map(|cursor| cursor.index);
            let unsure = |index: &usize| tokens[*index].step.surprisal_bits() >= threshold;
            let index = if forward {
                (cursor.map_or(0, |index| index + 1)..tokens.len()).find(unsure)
            } else {
                (0..cursor.unwrap_or(tokens.len()).min(tokens.len())).rev().find(unsure)
            };
            Some(TokenCursor { turn: id, index: index? })
        });
        if let Some(at) = found {
            self.point_at(focus, at);
        } else {
            let side = if forward { "after" } else { "before" };
            out.say(format!("no token of {threshold} bit surprise or more {side} here"));
        }
    }

    pub(crate) fn select_message(&mut self, view: ChatView<'_>, focus: &mut Focus, down: bool) {
        let branch = view.shown_turns();
        let Some(last) = branch.len().checked_sub(1) else { return };
        let at = self.selected.and_then(|id| branch.iter().position(|other| *other == id));
        let next = match (at, down) {
            (None, _) => last,
            (Some(at), true) => (at + 1).min(last),
            (Some(at), false) => at.saturating_sub(1),
        };
        self.select(view, focus, branch[next]);
    }

    /// Puts the cursor on a message and brings it into view.
    pub(crate) fn select(&mut self, view: ChatView<'_>, focus: &mut Focus, turn: TurnId) {
        *focus = Focus::Transcript;
        self.selected = Some(turn);
        self.reveal = true;
        self.carry_cursor(view, focus, turn);
    }
}

impl App {
    /// Colours by the next thing, or by nothing after the last.
    pub(crate) fn next_colouring(&mut self) {
        let at = Colouring::ALL.iter().position(|one| *one == self.transcript.colouring).unwrap_or(0);
        self.colour(Colouring::ALL[(at + 1) % Colouring::ALL.len()]);
    }

    /// `/colour NAME`; says whether there is such a thing.
    pub(crate) fn colour_named(&mut self, name: &str) -> bool {
        let names: Vec<&str> = Colouring::ALL.iter().map(|one| one.name()).collect();
        let known = Colouring::ALL.iter().find(|one| one.name() == name).copied();
        let known = known.or(match name {
            "surprisal" => Some(Colouring::Surprisal),
            "entropy" => Some(Colouring::Entropy),
            _ => None,
        });
        match known {
            Some(colouring) => self.colour(colouring),
            None => self.out.warn(format!("there is no colouring {name}; there are {}", names.join(", "))),
        }
        known.is_some()
    }

    fn colour(&mut self, colouring: Colouring) {
        self.transcript.colouring = colouring;
        let said = match colouring {
            Colouring::Off => "colours off".to_owned(),
            Colouring::Layer => self.colour_by_layer(),
            some => format!("coloured by {}: {}", some.name(), some.help()),
        };
        self.out.say(said);
    }
}

impl<'a> ChatView<'a> {
    fn first_token(&self, id: TurnId) -> Option<TurnToken<'a>> {
        self.turn_tokens(self.shown_turn(id)?).first().copied()
    }

    /// The character of which a token holds only a part; `None` where it holds whole ones.
    pub fn split_character(&self, turn: &Turn, token: &TurnToken<'_>) -> Option<SplitCharacter> {
        // Most tokens hold whole characters, and the message need not be put together to know it.
        let whole = std::str::from_utf8(&token.step.bytes).is_ok();
        if whole { None } else { split_character(&self.chat.bytes(turn), token.start, token.end) }
    }
}

/// The token that holds a byte.
fn token_of(tokens: &[TurnToken<'_>], byte: usize) -> usize {
    tokens.partition_point(|token| token.end <= byte)
}

/// Stretches of a text that are characters, with where each begins.
fn readable(bytes: &[u8]) -> Vec<(usize, &str)> {
    let mut at = 0;
    let mut stretches = Vec::new();
    for chunk in bytes.utf8_chunks() {
        stretches.push((at, chunk.valid()));
        at += chunk.valid().len() + chunk.invalid().len();
    }
    stretches
}

fn next_word(bytes: &[u8], tokens: &[TurnToken<'_>], at: usize) -> usize {
    let from = tokens[at].start.min(bytes.len());
    let stretches = readable(&bytes[from..]);
    let starts = stretches
        .iter()
        .flat_map(|(base, text)| text.unicode_word_indices().map(move |(start, _)| from + base + start));
    let mut after = starts.map(|start| token_of(tokens, start)).skip_while(|token| *token <= at);
    after.next().unwrap_or(tokens.len() - 1).min(tokens.len() - 1)
}

fn previous_word(bytes: &[u8], tokens: &[TurnToken<'_>], at: usize) -> usize {
    let until = tokens[at].start.min(bytes.len());
    let stretches = readable(&bytes[..until]);
    let starts = stretches
        .iter()
        .rev()
        .flat_map(|(base, text)| text.unicode_word_indices().rev().map(move |(start, _)| base + start));
    let mut before = starts.map(|start| token_of(tokens, start)).skip_while(|token| *token >= at);
    before.next().unwrap_or(0)
}

fn split_character(bytes: &[u8], start: usize, end: usize) -> Option<SplitCharacter> {
    let held = bytes.get(start..end).filter(|held| !held.is_empty())?;
    if std::str::from_utf8(held).is_ok() {
        return None;
    }
    // The first character that is not whole: it begins up to three bytes before the token or inside it.
    let whole = |byte: u8| byte & 0b1100_0000 != 0b1000_0000;
    let inside = std::str::from_utf8(held).map_or_else(|error| error.valid_up_to(), str::len);
    let split = start + inside;
    let begin =
        (split.saturating_sub(3)..=split).rev().find(|at| bytes.get(*at).copied().is_some_and(whole))?;
    let of = match bytes[begin] {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => return None,
    };
    let character = bytes.get(begin..begin + of).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let (first, last) = (start.max(begin) - begin + 1, end.min(begin + of) - begin);
    (first <= last).then_some(SplitCharacter {
        character: character.and_then(|text| text.chars().next()),
        first,
        last,
        of,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_character_knows_which() {
        let check = |text: &str, start, end, expected: Option<(usize, usize, usize)>| {
            let found = split_character(text.as_bytes(), start, end);
            assert_eq!(
                found.map(|split| (split.first, split.last, split.of)),
                expected,
                "{text} {start}..{end}"
            );
        };
        check("a🦀b", 0, 1, None);
        check("a🦀b", 1, 5, None);
        check("a🦀b", 1, 3, Some((1, 2, 4)));
        check("a🦀b", 4, 6, Some((4, 4, 4)));
        check("a🦀b", 0, 2, Some((1, 1, 4)));
        check("字", 1, 2, Some((2, 2, 3)));
        assert_eq!(split_character("🦀".as_bytes(), 1, 2).unwrap().character, Some('🦀'));
        assert_eq!(split_character(b"\xF0\x9F", 0, 2).unwrap().character, None);
        assert_eq!(split_character(b"\xFF", 0, 1), None);
    }
}

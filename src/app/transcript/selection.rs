//! A stretch of the transcript, marked with keys: from one token to the one under the cursor.
//!
//! Invariant: there is a mark only while the token cursor is in the transcript, and what is copied is what is shown as
//! marked, but for what could act.

use std::ops::Range;

use crate::app::{ChatView, Effect, Focus, Outbox, TokenCursor, Transcript, transcript::cursor::Move};
use crate::chat::TurnId;
use crate::command::Command;
use crate::reasoning::Kind;
use crate::sanitize;

impl Transcript {
    /// Marks the token under the cursor as the beginning of what is to be copied, or nothing any more.
    pub(crate) fn toggle_mark(&mut self, view: ChatView<'_>, out: &mut Outbox, focus: &mut Focus) {
        if self.mark.take().is_some() {
            return out.say("nothing is marked any more");
        }
        if self.cursor.is_none() {
            self.move_token(view, out, focus, Move::Next);
        }
        self.mark = self.cursor;
        if self.mark.is_none() {
            return out.say("the tokens of this message are not known yet");
        }
        let key = |command| view.keymap.shown(command);
        out.say(format!(
            "marked from here: {} {} move by tokens, {} {} by words; {} copies, {} gives up",
            key(Command::TokenPrevious),
            key(Command::TokenNext),
            key(Command::WordPrevious),
            key(Command::WordNext),
            key(Command::Copy),
            key(Command::Escape),
        ));
    }

    /// What is marked: messages in their order with the bytes of each; nothing without a mark.
    pub fn marked(&self, view: ChatView<'_>) -> Vec<(TurnId, Range<usize>)> {
        let Some((mark, cursor)) = self.mark.zip(self.cursor) else { return Vec::new() };
        let turns = if mark.turn == cursor.turn { vec![mark.turn] } else { view.shown_turns() };
        let place = |at: TokenCursor| Some((turns.iter().position(|id| *id == at.turn)?, at.index));
        let Some((one, other)) = place(mark).zip(place(cursor)) else { return Vec::new() };
        let (first, last) = if one <= other { (one, other) } else { (other, one) };
        let parts = turns[first.0..=last.0].iter().enumerate().map(|(at, id)| {
            let from = (at == 0).then_some(first.1);
            let to = (first.0 + at == last.0).then_some(last.1);
            (*id, bytes_of(view, *id, from, to))
        });
        parts.filter(|(_, bytes)| !bytes.is_empty()).collect()
    }

    /// Copies what is marked; whether something was.
    pub(crate) fn copy_marked(&mut self, view: ChatView<'_>, out: &mut Outbox) -> bool {
        let marked = self.marked(view);
        if self.mark.take().is_none() {
            return false;
        }
        let parts: Vec<String> = marked.into_iter().map(|(id, bytes)| self.seen(view, id, bytes)).collect();
        out.emit(Effect::Copy(sanitize::for_copy(&parts.join("\n\n"))));
        true
    }

    /// A stretch of a message without what of it is folded away.
    fn seen(&self, view: ChatView<'_>, id: TurnId, bytes: Range<usize>) -> String {
        let Some(turn) = view.shown_turn(id) else { return String::new() };
        let whole = view.chat.bytes(turn);
        let split = view.split(turn);
        let all = self.shows_thoughts(id) || self.is_raw(id) || !split.is_split();
        let whole_of_it = std::iter::once(0..whole.len()).filter(|_| all);
        let parts = whole_of_it.chain(split.ranges(Kind::Answer).filter(|_| !all));
        let inside = parts.map(|part| part.start.max(bytes.start)..part.end.min(bytes.end));
        let inside = inside.filter(|part| part.start < part.end);
        let seen: Vec<u8> = inside.flat_map(|part| whole[part].to_vec()).collect();
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// A mark goes with the cursor, and with its message.
    pub(crate) fn keep_mark(&mut self, view: ChatView<'_>) {
        let there = self.mark.is_some_and(|mark| view.shown_turn(mark.turn).is_some());
        if !there || !self.has_cursor() {
            self.mark = None;
        }
    }
}

/// The bytes of a message from one token to another, whole characters of it; all where there is no such token.
fn bytes_of(view: ChatView<'_>, id: TurnId, from: Option<usize>, to: Option<usize>) -> Range<usize> {
    let Some(turn) = view.shown_turn(id) else { return 0..0 };
    let whole = view.chat.bytes(turn);
    let tokens = view.turn_tokens(turn);
    let start = from.and_then(|from| tokens.get(from)).map_or(0, |token| token.start);
    let end = to.and_then(|to| tokens.get(to)).map_or(whole.len(), |token| token.end);
    let inside = |at: &usize| whole.get(*at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    let start = (0..=start).rev().find(|at| !inside(at)).unwrap_or(0);
    let end = (end..=whole.len()).find(|at| !inside(at)).unwrap_or(whole.len());
    start..end
}

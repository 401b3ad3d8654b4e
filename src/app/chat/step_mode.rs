//! Step mode: a reply goes token by token; each is accepted, replaced or banned.
//!
//! Invariant: the last written token is the proposal, and the engine waits; the mode ends with its reply.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::app::{App, ChatView, Focus, Origin, Outbox, Talk, TokenCursor, chat::alternatives::Refusal};
use crate::engine::protocol::{Immediate, Request};

impl ChatView<'_> {
    /// Whether the keys of step mode count: the reply waits, and what is written or asked elsewhere does not.
    pub(crate) fn steps_here(&self) -> bool {
        matches!(self.focus, Focus::Transcript | Focus::Inspector) && self.paused_here()
    }
}

impl App {
    /// Turns step mode on for the reply being written or the next one, or off.
    pub(crate) fn toggle_step_mode(&mut self) {
        if self.talk.steps.on {
            self.talk.let_run(&mut self.out);
            let slow = self.talk.steps.every_ms.is_some();
            self.out.say(if slow { "the reply goes on, slowly" } else { "replies run freely" });
            return;
        }
        self.talk.steps.on = true;
        // A slow reply that waits for the clock waits for a key from here on.
        self.talk.steps.paused = self.talk.steps.next_at.take().is_some();
        match self.talk.run.as_ref().filter(|run| run.chat == self.talk.chat.head.id) {
            Some(run) => {
                let target = run.request;
                if !self.talk.steps.paused {
                    self.out.requests.tell(Request::Immediate(Immediate::Pace { target, allow: Some(0) }));
                }
                self.set_focus(Focus::Transcript);
            }
            None => self.out.say("the next reply goes token by token"),
        }
    }

    /// The engine waits.
    pub(crate) fn reply_paused(&mut self) {
        if self.talk.waits_for_clock(&mut self.out) {
            return;
        }
        self.talk.steps.on = true;
        self.talk.steps.paused = true;
        if !self.view().paused_here() {
            return;
        }
        self.inspector.held = false;
        self.inspector.show_last_step(view!(self), &mut self.out);
        if self.focus == Focus::Composer && self.composer.is_empty() {
            self.set_focus(Focus::Transcript);
        }
    }

    /// A digit is the label of a candidate while the reply waits; says whether it was one.
    pub(crate) fn step_row(&mut self, key: KeyEvent) -> bool {
        let plain = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        let KeyCode::Char(digit @ '1'..='9') = key.code else { return false };
        let counts = plain && self.view().steps_here();
        if counts {
            self.choose_instead(digit as usize - '1' as usize);
        }
        counts
    }

    /// The candidate of that row takes the proposal's place.
    fn choose_instead(&mut self, row: usize) {
        let Some(at) = self.view().proposal() else { return };
        let Some(step) = self.view().step_at(at).cloned() else { return };
        let Some(id) = step.candidates.get(row).map(|candidate| candidate.id) else { return };
        if step.id == Some(id) {
            self.talk.accept_token(&mut self.out);
            return;
        }
        let taken = self.view().versions_at(at).into_iter().rev().find(|(token, _)| *token == id);
        if let Some((_, turn)) = taken {
            self.talk.stop_for_branch(with!(self), &mut self.out);
            self.go_to(turn);
            self.out.say("that branch is there already; ← → walk the versions");
            return;
        }
        let vocabulary = self.view().vocabulary_at(at);
        match self.try_take(at, id, &step, vocabulary.as_ref(), None) {
            Err(Refusal::Words(why)) => self.out.say(why),
            Err(Refusal::Unknown) => self.out.say("the vocabulary is not there yet"),
            Ok(()) => {}
        }
    }

    /// The proposal is banned in this chat, and another is drawn in its place.
    pub(in crate::app) fn ban_and_draw(&mut self) {
        let Some(at) = self.view().proposal() else { return };
        let Some(id) = self.view().step_at(at).and_then(|step| step.id) else { return };
        let vocabulary = self.view().vocabulary_at(at);
        match self.view().fork(at) {
            Ok(fork) => {
                if self.view().bias_of(id) == f32::NEG_INFINITY
                    || self.talk.toggle_ban(with!(self), &mut self.out, id, vocabulary.as_ref())
                {
                    self.start_branch(&fork, Vec::new());
                }
            }
            Err(why) => self.out.say(why),
        }
    }
}

impl Talk {
    pub(in crate::app) fn accept_token(&mut self, out: &mut Outbox) {
        let Some(run) = &self.run else { return };
        let target = run.request;
        self.steps.paused = false;
        out.requests.tell(Request::Immediate(Immediate::Pace { target, allow: Some(1) }));
    }

    pub(in crate::app) fn let_run(&mut self, out: &mut Outbox) {
        self.steps = self.steps.ended();
        let allow = self.steps.every_ms.map(|_| 1);
        if let Some(run) = &self.run {
            let target = run.request;
            out.requests.tell(Request::Immediate(Immediate::Pace { target, allow }));
        }
    }
}

impl ChatView<'_> {
    /// Whether the shown chat's reply waits for a key.
    pub fn paused_here(&self) -> bool {
        self.steps.paused && self.run.as_ref().is_some_and(|run| run.chat == self.chat.head.id)
    }

    /// The last token of the reply that waits.
    fn proposal(&self) -> Option<TokenCursor> {
        let turn = self.run.as_ref()?.turn;
        let index = self.turn_tokens(self.chat.turn(turn)?).len().checked_sub(1)?;
        Some(TokenCursor { turn, index })
    }

    /// Hash of the vocabulary that a token's ids belong to.
    pub(crate) fn vocabulary_at(&self, at: TokenCursor) -> Option<String> {
        let tokens = self.turn_tokens(self.chat.turn(at.turn)?);
        let (Origin::Written { run, .. } | Origin::Scored { run, .. }) = tokens.get(at.index)?.origin;
        self.runs.get(&run)?.vocabulary.clone()
    }
}

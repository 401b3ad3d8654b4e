//! What if a message had been another one: the replies after it, read again after the edit.
//!
//! Invariant: the chat is changed only when the edit is sent as a version of its own.

use std::sync::Arc;

use super::{Changed, GONE, ink_step};
use crate::app::requests::Answer;
use crate::app::state::ReadAgain;
use crate::app::view::With;
use crate::app::{
    App, ChatView, Focus, Outbox, PromptAction, Query, RereadReply, Talk, TextBox, TextEdit, WhatIf,
    WhatIfPanel,
};
use crate::attachment;
use crate::chat::{Role, TurnId};
use crate::command::Command;
use crate::engine::protocol::{Event, Job, Request, RequestId, Rescored};

impl WhatIf {
    fn foreign(&self, view: ChatView<'_>) -> Option<String> {
        view.foreign(self.replies.iter().map(|reply| reply.turn))
    }

    /// Why the trial does not go on, in one line.
    pub fn missing(&self, view: ChatView<'_>) -> Option<String> {
        let next = self.next()?;
        self.foreign(view).or_else(|| self.reading.refusal(&next).map(str::to_owned))
    }

    /// Brings what is asked in line with what is wanted.
    pub(super) fn sync(&mut self, talk: &Talk, with: With<'_>, out: &mut Outbox, free: bool) {
        let wanted = self.next().filter(|_| self.foreign(talk.view(with)).is_none() && free);
        let mut reading = std::mem::take(&mut self.reading);
        reading.follow(wanted, &mut out.requests, |next| {
            let changed = Changed { turn: self.turn, text: &self.text, stored: None };
            let reply = self.replies.get(next.reply).ok_or(GONE)?;
            let reread = talk.reread_of(with, reply.turn, next.edited.then_some(&changed));
            Ok(Request::Job(Job::Rescore(Box::new(reread.ok_or(GONE)?))))
        });
        self.reading = reading;
    }

    fn read(&mut self, out: &mut Outbox, ReadAgain { reply, edited }: ReadAgain, scored: Arc<Rescored>) {
        let Some(reply) = self.replies.get_mut(reply) else { return };
        *(if edited { &mut reply.after } else { &mut reply.before }) = Some(scored);
        if self.is_unread() {
            out.say("the model reads the same with this edit: that part is not in its prompt");
        }
    }

    pub(super) fn ink(&self, view: ChatView<'_>, turn: TurnId) -> Vec<(usize, usize, i8)> {
        let reply = self.replies.iter().find(|reply| reply.turn == turn);
        let Some((reply, turn)) = reply.zip(view.chat.turn(turn)) else { return Vec::new() };
        let tokens = view.turn_tokens(turn);
        let changes = reply.changes();
        tokens
            .iter()
            .zip(&changes)
            .map(|(token, change)| (token.start, token.end, ink_step(change.bits(), 1)))
            .collect()
    }
}

impl App {
    /// `E`: opens the message for an edit on trial.
    pub(crate) fn open_what_if(&mut self) {
        let Some(turn) = self.transcript.message_on_trial(view!(self)) else {
            return self.out.say("there is no message yet to change");
        };
        let text = match &self.what_if {
            Some(what_if) if what_if.turn == turn && self.overlays.dock() => what_if.text.clone(),
            _ => self.view().turn_text(turn),
        };
        self.edit_on_trial(turn, &text);
    }

    /// Opens a message for an edit on trial, with a text to begin with.
    pub(crate) fn edit_on_trial(&mut self, turn: TurnId, text: &str) {
        if let Err(why) = self.view().replies_after(turn) {
            return self.out.say(why);
        }
        let whose = match self.view().shown_turn(turn).map(|turn| turn.role) {
            Some(Role::User) => "your message",
            Some(Role::Assistant) => "this reply",
            _ => "the system prompt",
        };
        self.overlays.push(TextBox {
            title: format!("What if {whose} were…"),
            input: TextEdit::new(text),
            action: PromptAction::WhatIf(turn),
        });
    }

    /// The edit is there: the replies are read again after it.
    pub(crate) fn try_edit(&mut self, turn: TurnId, text: &str) {
        let before = self.view().turn_on_trial(turn);
        if text == before.trim_end() || text == before {
            return self.out.say("nothing was changed: edit or delete words first");
        }
        let replies = match self.view().replies_after(turn) {
            Ok(replies) => replies,
            Err(why) => return self.out.say(why),
        };
        let known = self.what_if.take().map(|what_if| what_if.replies).unwrap_or_default();
        let unedited = |id: &TurnId| known.iter().find(|reply| reply.turn == *id)?.before.clone();
        let role = self.view().shown_turn(turn).map_or(Role::System, |turn| turn.role);
        self.what_if = Some(Box::new(WhatIf {
            chat: self.talk.chat.head.id,
            turn,
            role,
            before,
            text: text.to_owned(),
            replies: replies
                .into_iter()
                .map(|id| RereadReply { turn: id, before: unedited(&id), after: None })
                .collect(),
            selected: 0,
            reading: Query::default(),
        }));
        self.overlays.remove::<WhatIfPanel>();
        self.overlays.push(WhatIfPanel);
        // The reply comes into view, since that is what is inked.
        self.transcript.leave_cursor();
        self.transcript.selected =
            self.what_if.as_ref().and_then(|what_if| Some(what_if.replies.first()?.turn));
        self.transcript.reveal = true;
    }

    /// The engine answers.
    pub(crate) fn what_if_event(&mut self, id: RequestId, event: Event) {
        let Some(what_if) = &mut self.what_if else { return };
        if let Some(Answer::Whole(of, Event::Rescored(scored))) = what_if.reading.event(id, event) {
            self.out.say_displaced(&scored, false);
            what_if.read(&mut self.out, of, Arc::from(scored));
        }
    }

    /// Ends the trial.
    pub(crate) fn leave_what_if(&mut self) {
        self.what_if = None;
        self.overlays.remove::<WhatIfPanel>();
    }

    /// Makes the edit real: a version of the user's message that is answered again, or this chat's system prompt.
    pub(in crate::app) fn send_trial(&mut self) {
        let Some(what_if) = &self.what_if else { return };
        let (turn, role, text) = (what_if.turn, what_if.role, what_if.text.clone());
        match role {
            Role::Assistant => {
                let key = self.keymap.shown(Command::RegenerateHere);
                self.out.say(format!("a reply is the model's own; {key} lets it write another"));
            }
            Role::System => {
                self.leave_what_if();
                self.talk.set_system(with!(self), &mut self.out, text.trim_end());
            }
            Role::User if self.view().busy_here() => self.out.say_busy(view!(self)),
            Role::User if text.trim().is_empty() => self.out.say("an empty message cannot be sent"),
            Role::User => {
                self.leave_what_if();
                let (chat, parent) =
                    (self.talk.chat.head.id, self.talk.chat.turn(turn).and_then(|turn| turn.parent));
                let turn = self.talk.post(
                    with!(self),
                    &mut self.out,
                    chat,
                    parent,
                    &attachment::typed(text.clone()),
                );
                self.composer.remember(&mut self.out, &text);
                self.transcript.selected = None;
                self.transcript.leave_cursor();
                self.set_focus(Focus::Composer);
                self.transcript.scroll_bottom();
                self.reply(chat, turn);
            }
        }
    }
}

impl ChatView<'_> {
    /// The replies that a message came before, as far as they can be read again; an error says why there is none.
    fn replies_after(&self, turn: TurnId) -> Result<Vec<TurnId>, String> {
        let branch = self.chat.branch();
        let from = match branch.iter().position(|other| other.id == turn) {
            Some(at) => at + 1,
            None if turn == self.system_id() => 0,
            None => return Err("this message is not part of the shown chat".into()),
        };
        let replies: Vec<_> = branch[from..].iter().filter(|turn| turn.role == Role::Assistant).collect();
        let Some(next) = replies.first() else {
            return Err("no reply follows this message yet; select an earlier one".into());
        };
        self.can_reread(next)?;
        Ok(replies.iter().filter(|turn| self.can_reread(turn).is_ok()).map(|turn| turn.id).collect())
    }

    fn turn_on_trial(&self, turn: TurnId) -> String {
        if turn == self.system_id() { self.system_text() } else { self.turn_text(turn) }
    }
}

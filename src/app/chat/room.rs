//! Room in the context: which messages the model no longer reads, so that there is place for its answer.
//!
//! Invariant: what is left out counts only on a branch that still has the first message that was kept; on any other the
//! whole branch is read again.

use std::collections::BTreeSet;

use crate::app::view::With;
use crate::app::{ActiveRun, App, ChatView, LeftOut, Outbox, Talk, Target};
use crate::chat::{Conversation, ConversationId, Role, StopReason, Turn, TurnId};
use crate::config::Overflow;
use crate::engine::protocol::{Immediate, PromptFacts, Request};

/// An answer is given this many tokens at least, where the context is large enough.
const ROOM: u32 = 512;

impl<'a> ChatView<'a> {
    /// The messages left out of the prompt of a branch, given by its last turn.
    pub(crate) fn left_out(
        &self,
        chat: ConversationId,
        last: Option<TurnId>,
    ) -> Option<&'a BTreeSet<TurnId>> {
        let left_out = self.left_out.get(&chat)?;
        let kept = |turn: &Turn| turn.id == left_out.first_kept;
        self.conversation(chat)?.upwards_from(last).any(kept).then_some(&left_out.gone)
    }

    /// The messages of the shown branch that the model no longer reads.
    pub(crate) fn left_out_here(&self) -> Option<&'a BTreeSet<TurnId>> {
        self.left_out(self.chat.head.id, self.chat.leaf)
    }
}

/// How many tokens an answer is given: what was set, or a quarter of the context, neither more than enough.
fn room_for(max_tokens: u32, context: u32) -> u32 {
    let wanted = if max_tokens == 0 { ROOM } else { max_tokens.min(ROOM) };
    wanted.min(context / 4)
}

impl App {
    /// The prompt is known. Where it leaves no room for an answer, older messages are left out and it is asked again;
    /// whether that was done. Room is made for several answers, so that not each reads everything anew.
    pub(crate) fn make_room(&mut self, facts: &PromptFacts) -> bool {
        let Some(active) = self.talk.run.clone() else { return false };
        let Some(context) = self.view().ready().map(|loaded| loaded.context) else { return false };
        let max_tokens = self.talk.runs.get(&active.run).map_or(0, |run| run.sampling.max_tokens);
        let room = room_for(max_tokens, context);
        let wanted = if active.made_room { (room * 2).min(context / 2) } else { room };
        let free = context.saturating_sub(facts.ids.len() as u32);
        if free >= wanted || !self.talk.leave_out_more(with!(self), &mut self.out) {
            return false;
        }
        self.out.requests.tell(Request::Immediate(Immediate::Cancel { target: active.request }));
        self.out.requests.forget(active.request);
        self.talk.ask_reply(with!(self), &mut self.out);
        true
    }

    /// A reply met the end of the context: the oldest messages are left out and it goes on; whether it does.
    pub(crate) fn go_on_at_the_wall(&mut self, stop: StopReason, ended: Option<ActiveRun>) -> bool {
        let Some(ended) = ended.filter(|_| stop == StopReason::Context) else { return false };
        if !self.talk.can_leave_out(with!(self), &ended) {
            return false;
        }
        self.talk.start_run(with!(self), &mut self.out, ended.chat, Target::Continue(ended.turn));
        true
    }
}

impl Talk {
    /// Whether the overflow rule allows to leave out more of what a reply is asked with, and there is more.
    fn can_leave_out(&self, with: With<'_>, active: &ActiveRun) -> bool {
        let allowed = with.config.engine.overflow == Overflow::DropOldest && !active.stopping;
        allowed
            && self.view(with).branch_prompt().is_none()
            && self
                .view(with)
                .conversation(active.chat)
                .is_some_and(|chat| self.read_messages(with, chat, active.turn).len() > 2)
    }

    /// The messages that the prompt of a turn has, those left out not among them; the system prompt is none.
    fn read_messages(&self, with: With<'_>, chat: &Conversation, turn: TurnId) -> Vec<TurnId> {
        let view = self.view(with);
        let gone = view.left_out(chat.head.id, Some(turn));
        super::prompt::branch_to(chat, turn)
            .into_iter()
            .filter(|before| before.role != Role::System && (before.id != turn || before.spans.len() > 1))
            .map(|before| before.id)
            .filter(|id| !gone.is_some_and(|gone| gone.contains(id)))
            .collect()
    }

    /// Leaves out the oldest messages of what the active run is asked with: two, and of many an eighth. Whether there
    /// were any; the newest two always stay.
    pub(crate) fn leave_out_more(&mut self, with: With<'_>, out: &mut Outbox) -> bool {
        let Some(active) = self.run.clone() else { return false };
        if !self.can_leave_out(with, &active) {
            return false;
        }
        let Some(chat) = self.view(with).conversation(active.chat) else { return false };
        let read = self.read_messages(with, chat, active.turn);
        // Whole exchanges: a question goes with its answer.
        let count = (read.len() / 8).next_multiple_of(2).max(2).min(read.len() - 1);
        let mut gone = self.view(with).left_out(active.chat, Some(active.turn)).cloned().unwrap_or_default();
        gone.extend(&read[..count]);
        let left_out = gone.len();
        self.left_out.insert(active.chat, LeftOut { first_kept: read[count], gone });
        if let Some(run) = &mut self.run {
            run.made_room = true;
        }
        out.warn(format!("context is full: the {left_out} oldest messages are left out"));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gets_what_is_wanted_or_a_quarter() {
        let check = |max_tokens, context, room| assert_eq!(room_for(max_tokens, context), room);
        check(0, 160, 40);
        check(20, 160, 20);
        check(0, 8192, 512);
        check(4096, 8192, 512);
    }
}

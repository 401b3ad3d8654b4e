//! How a reply ends: stopped by the user, cut off, or done.
//!
//! Invariant: a run ends once; what was written stays, in the turn and in the store.

use crate::app::view::With;
use crate::app::{App, Outbox, Talk};
use crate::chat::{StopReason, TurnState, Typed, Usage};
use crate::engine::protocol::{Immediate, Request};
use crate::store;

impl App {
    /// Stops what the shown chat writes or waits for.
    pub(crate) fn stop_here(&mut self) {
        let chat = self.talk.chat.head.id;
        if self.talk.queued.as_ref().is_some_and(|queued| queued.chat == chat) {
            self.take_back();
        }
        if self.talk.run.as_ref().is_some_and(|run| run.chat == chat) {
            self.talk.stop_run(&mut self.out);
        }
    }

    /// Stops the reply wherever it is written.
    pub(crate) fn stop_any(&mut self) {
        if self.talk.run.is_some() {
            self.take_back();
            self.talk.stop_run(&mut self.out);
        } else if self.talk.queued.is_some() {
            self.take_back();
        } else {
            self.out.say("nothing is being written");
        }
    }

    /// What waits goes back where it came from: unsent text into the composer.
    fn take_back(&mut self) {
        let Some(queued) = self.talk.queued.take() else { return };
        let mut texts = queued.texts;
        match texts.is_empty() {
            false if queued.chat == self.talk.chat.head.id => {
                texts.extend(Some(self.composer.typed()).filter(|typed| !typed.text.is_empty()));
                self.composer.replace_typed(&self.model, &mut self.out, Typed::joined(&texts));
                self.out.say("not sent: what waited is back in the line");
            }
            false => {}
            true => self.out.say("not asked of the model; Ctrl+R asks for the reply"),
        }
    }
}

impl Talk {
    fn stop_run(&mut self, out: &mut Outbox) {
        let Some(run) = &mut self.run else { return };
        if run.stopping {
            return;
        }
        run.stopping = true;
        let target = run.request;
        out.requests.tell(Request::Immediate(Immediate::Cancel { target }));
    }

    /// Ends the run at once, without waiting for the engine; what was written stays.
    pub(crate) fn end_run(&mut self, with: With<'_>, out: &mut Outbox, why: &str) {
        if self.run.is_some() {
            self.finish_run(with, out, StopReason::Cancelled, TurnState::Interrupted, Some(why.to_owned()));
        }
    }

    /// Takes the reply as it is: everything to the store, then the run is over.
    pub(crate) fn finish_run(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        stop: StopReason,
        state: TurnState,
        note: Option<String>,
    ) {
        self.flush_steps(out);
        let Some(active) = self.run.take() else { return };
        out.requests.forget(active.request);
        self.steps = self.steps.ended();
        if let Some(turn) =
            self.conversation_mut(active.chat).and_then(|conversation| conversation.turn_mut(active.turn))
        {
            turn.state = state;
            turn.note.clone_from(&note);
        }
        out.touch(active.turn);
        out.store(store::Command::FinishTurn(active.turn, state, note));
        if let Some(run) = self.runs.get_mut(&active.run) {
            run.stop = Some(stop);
            if run.usage == Usage::default() {
                run.usage.completion_tokens = active.written;
                run.usage.prompt_tokens = active.prompt.as_ref().map_or(0, |facts| facts.ids.len() as u32);
            }
            let run = run.clone();
            out.store(store::Command::PutRun(Box::new(run)));
        }
        out.last_use = out.now.mono_ms;
        if active.chat != self.chat.head.id {
            self.finished_elsewhere(with, out, active.chat);
        }
    }
}

//! How a reply ends: stopped by the user, cut off, or done.
//!
//! Invariant: a run ends once; what was written stays, in the turn and in the store.

use super::App;
use crate::chat::{StopReason, TurnState, Usage};
use crate::engine::protocol::Request;
use crate::store;

impl App {
    /// Stops what the shown chat writes or waits for.
    pub(crate) fn stop_here(&mut self) {
        let chat = self.talk.chat.head.id;
        if self.talk.queued.as_ref().is_some_and(|queued| queued.chat == chat) {
            self.take_back();
        }
        if self.talk.run.as_ref().is_some_and(|run| run.chat == chat) {
            self.stop_run();
        }
    }

    /// Stops the reply wherever it is written.
    pub(crate) fn stop_any(&mut self) {
        if self.talk.run.is_some() {
            self.take_back();
            self.stop_run();
        } else if self.talk.queued.is_some() {
            self.take_back();
        } else {
            self.out.say("nothing is being written");
        }
    }

    fn stop_run(&mut self) {
        let Some(run) = &mut self.talk.run else { return };
        if run.stopping {
            return;
        }
        run.stopping = true;
        let target = run.request;
        self.out.requests.tell(Request::Cancel { target });
    }

    /// What waits goes back where it came from: unsent text into the composer.
    fn take_back(&mut self) {
        let Some(queued) = self.talk.queued.take() else { return };
        match queued.text {
            Some(text) if queued.chat == self.talk.chat.head.id => {
                let typed = self.composer.text();
                let both = if typed.is_empty() { text } else { format!("{text}\n\n{typed}") };
                self.set_draft(&both);
            }
            Some(_) => {}
            None => self.out.say("not asked of the model; Ctrl+R asks for the reply"),
        }
    }

    /// Ends the run at once, without waiting for the engine; what was written stays.
    pub(crate) fn end_run(&mut self, why: &str) {
        if self.talk.run.is_some() {
            self.finish_run(StopReason::Cancelled, TurnState::Interrupted, Some(why.to_owned()));
        }
    }

    /// Takes the reply as it is: everything to the store, then the run is over.
    pub(crate) fn finish_run(&mut self, stop: StopReason, state: TurnState, note: Option<String>) {
        self.flush_steps();
        let Some(active) = self.talk.run.take() else { return };
        self.out.requests.forget(active.request);
        self.talk.steps = self.talk.steps.ended();
        if let Some(turn) =
            self.conversation_mut(active.chat).and_then(|conversation| conversation.turn_mut(active.turn))
        {
            turn.state = state;
            turn.note.clone_from(&note);
        }
        self.out.touch(active.turn);
        self.out.store(store::Command::FinishTurn(active.turn, state, note));
        if let Some(run) = self.talk.runs.get_mut(&active.run) {
            run.stop = Some(stop);
            if run.usage == Usage::default() {
                run.usage.completion_tokens = active.written;
                run.usage.prompt_tokens = active.prompt.as_ref().map_or(0, |facts| facts.ids.len() as u32);
            }
            let run = run.clone();
            self.out.store(store::Command::PutRun(Box::new(run)));
        }
        self.out.last_use = self.out.now.mono_ms;
        if active.chat != self.talk.chat.head.id {
            self.finished_elsewhere(active.chat);
        }
    }
}

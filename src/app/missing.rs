//! Why there is nothing to see of a token's pass, in one sentence: whoever shows a pass says it from here.
//!
//! Invariant: what no engine could mend (nothing is stored) is said before what another model could, and that before
//! what only has to be waited for.

use super::{App, ChatView, TokenCursor};
use crate::chat::RunId;
use crate::command::Command;
use crate::engine::protocol::{Capability, Event, Failure, FailureKind};

/// The ids before a token are not known.
pub(crate) const NOT_STORED: &str = "what the model had read is not stored";

impl App {
    /// Whoever asked for what the engine cannot do is told so, as if it had answered.
    pub(crate) fn answer_impossible(&mut self) {
        let runner = self.view().ready().map(|loaded| loaded.runner.clone()).unwrap_or_default();
        for (id, lacking) in self.out.requests.take_impossible() {
            let message = lacking.why_not(&runner);
            let event = Event::Failed(Failure { message, kind: FailureKind::Other });
            if let Some(asker) = self.out.requests.answered(id, &event) {
                self.answer(asker, id, event);
            }
        }
    }
}

impl ChatView<'_> {
    /// Why the loaded model cannot read a token's pass again; `None` where it can.
    pub(crate) fn why_unreadable(&self, at: TokenCursor) -> Option<String> {
        self.why_run_unreadable(self.run_at(at))
            .or_else(|| (!self.has_pass(at)).then(|| NOT_STORED.to_owned()))
    }

    /// Why what needs a capability is not to be had from the loaded model, and what would give it; `None` where it is to
    /// be had, or no model is ready.
    pub(crate) fn lacking(&self, capability: Capability) -> Option<String> {
        let loaded = self.ready().filter(|loaded| !loaded.capabilities.has(capability))?;
        Some(capability.why_not(&loaded.runner))
    }

    /// Why the loaded model cannot do what a command asks of it, likewise.
    pub fn lacking_for(&self, command: Command) -> Option<String> {
        needs(command).iter().find_map(|capability| self.lacking(*capability))
    }

    /// Why the loaded model cannot read again what a run wrote; `None` where it can.
    pub(crate) fn why_run_unreadable(&self, run: Option<RunId>) -> Option<String> {
        let Some(run) = run.and_then(|run| self.runs.get(&run)) else {
            return Some("how this was written is not stored".into());
        };
        if self.can_read_again(run.id) {
            return None;
        }
        if let Some(teller) = &run.told_by {
            return Some(format!("{} made this, and tells no more of it", teller.in_words()));
        }
        let (model, key) = (self.config.model_title(&run.model), self.keymap.shown(Command::Models));
        Some(format!("{model} made this; {key} loads it to read it again"))
    }
}

/// What a command asks of the engine, whatever it is given.
fn needs(command: Command) -> &'static [Capability] {
    match command {
        Command::Continue => &[Capability::Continues],
        Command::Step => &[Capability::Ids],
        Command::LookAhead => &[Capability::Beam],
        Command::WhatIf | Command::Weights => &[Capability::Scores],
        Command::Microscope => &[Capability::Contrast],
        Command::Steer => &[Capability::Steering],
        Command::Lora
        | Command::ControlVector
        | Command::SwitchOff
        | Command::SwitchOffEverywhere
        | Command::KeepOff
        | Command::Patch => &[Capability::Changes],
        Command::TokensTry => &[Capability::Pieces],
        Command::EmbeddingArithmetic => &[Capability::Embeddings],
        Command::LayersGrid => &[Capability::LayerGrid],
        Command::AttentionInk
        | Command::AttentionPicture
        | Command::AttentionMatrix
        | Command::AttentionRollout => &[Capability::Attention],
        Command::WhyAskOff => &[Capability::OpensPasses],
        _ => &[],
    }
}

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
        for (id, lacking) in self.out.requests.take_impossible() {
            let message = format!("the engine that runs this model cannot {}", what(lacking));
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

    /// Why the loaded model cannot read again what a run wrote; `None` where it can.
    pub(crate) fn why_run_unreadable(&self, run: Option<RunId>) -> Option<String> {
        let Some(run) = run.and_then(|run| self.runs.get(&run)) else {
            return Some("how this was written is not stored".into());
        };
        if self.can_read_again(run.id) {
            return None;
        }
        let (model, key) = (self.config.model_title(&run.model), self.keymap.shown(Command::Models));
        Some(format!("{model} made this; {key} loads it to read it again"))
    }
}

/// What an engine without a capability cannot do.
fn what(lacking: Capability) -> &'static str {
    match lacking {
        Capability::Scores => "tell how likely a text is",
        Capability::Replay => "read a pass again",
        Capability::Beam => "follow several continuations at once",
        Capability::OpensPasses => "open passes",
        Capability::Attention => "show attention over a text",
        Capability::LayerGrid => "read the layers of many passes",
        Capability::Steering => "find directions to steer along",
        Capability::Embeddings => "look into the embedding table",
        Capability::Pieces => "tell how a text was cut into tokens",
        Capability::Ids => "go on from chosen tokens",
        Capability::Continues => "go on with a message that has begun",
        Capability::Tokenizes => "count the tokens of a text",
        Capability::Renders => "show the prompt that a chat becomes",
        Capability::Watches => "follow chosen tokens",
        Capability::Stages => "record what each sampler left",
        Capability::Changes => "change the network",
    }
}

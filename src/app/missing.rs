//! Why there is nothing to see of a token's pass, in one sentence: whoever shows a pass says it from here.
//!
//! Invariant: what no engine could mend (nothing is stored) is said before what another model could, and that before
//! what only has to be waited for.

use super::{ChatView, TokenCursor};
use crate::chat::RunId;
use crate::command::Command;

/// The ids before a token are not known.
pub(crate) const NOT_STORED: &str = "what the model had read is not stored";

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

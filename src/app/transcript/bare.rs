//! The shown chat as nothing but its text, for the terminal's own selection.
//!
//! Invariant: no line is broken here, so that what is selected comes out as it was written.

use crate::app::{ChatView, Effect, Outbox, Transcript};
use crate::chat::Role;
use crate::model_entry::public_name;
use crate::sanitize;

/// Bytes that are shown; terminals keep about so much.
const MOST: usize = 1 << 20;

impl Transcript {
    /// Shows only the messages of the shown branch, the newest where there are too many.
    pub(crate) fn show_bare(&self, view: ChatView<'_>, out: &mut Outbox) {
        let mut messages = Vec::new();
        let mut left = MOST;
        for turn in view.chat.branch().into_iter().rev().filter(|turn| !turn.deleted) {
            let speaker = match turn.role {
                Role::System => "System".to_owned(),
                Role::User => "You".to_owned(),
                Role::Assistant => turn.model.as_deref().map_or("Model", public_name).to_owned(),
            };
            let id = turn.id;
            let text = if self.shows_thoughts(id) { view.turn_text(id) } else { view.answer_text(id) };
            let text = sanitize::for_copy(text.trim_end());
            let Some(rest) = left.checked_sub(text.len()) else { break };
            left = rest;
            messages.push((sanitize::for_display(&speaker), text));
        }
        messages.reverse();
        if messages.is_empty() {
            out.say("there is no message yet");
        } else {
            out.emit(Effect::ShowText(messages));
        }
    }
}

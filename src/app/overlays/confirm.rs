//! A question with yes and no.
//!
//! Invariant: everything but a yes is a no.

use super::OverlayUnit;
use crate::app::{App, ConfirmAction};
use crate::command::{Command, Context};

/// A question with yes and no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// The question.
    pub question: String,
    /// What yes does.
    pub action: ConfirmAction,
}

impl OverlayUnit for Confirm {
    const CONTEXTS: &'static [Context] = &[Context::Question, Context::Overlay];

    fn command(app: &mut App, command: Command) -> bool {
        let Some(action) = app.overlays.top::<Self>().map(|open| open.action) else { return false };
        match command {
            Command::Choose if action.removes() => {}
            Command::Accept | Command::Choose => {
                app.overlays.pop();
                match action {
                    ConfirmAction::Quit => app.quit(),
                    ConfirmAction::RemoveModel(row) => app.remove_model(row),
                    ConfirmAction::DiscardFetch(row) => {
                        if let Some(item) = app.model.catalogue.get(row) {
                            app.discard_fetch(item.entry.clone());
                        }
                    }
                    ConfirmAction::ColourByLayer => app.inspector.agree_to_layers(),
                    ConfirmAction::Compact => app.use_summary(),
                    ConfirmAction::PurgeChat(chat) => app.talk.purge_chat(with!(app), &mut app.out, chat),
                }
            }
            Command::Decline => app.close_overlay(),
            _ => return false,
        }
        true
    }
}

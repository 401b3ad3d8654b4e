//! The terms of a model, to be accepted before it is fetched.
//!
//! Invariant: nothing is fetched before they were accepted.

use super::{OverlayUnit, list};
use crate::app::{App, ModelStatus};
use crate::command::{Command, Context};
use crate::model_entry::ModelEntry;

/// Terms to accept.
#[derive(Clone, Debug, PartialEq)]
pub struct Licence {
    /// The model.
    pub entry: ModelEntry,
    /// First row shown.
    pub scroll: u16,
}

impl OverlayUnit for Licence {
    const CONTEXTS: &'static [Context] = &[Context::Question, Context::Reader, Context::Overlay];

    fn command(app: &mut App, command: Command) -> bool {
        match command {
            Command::Accept | Command::Choose => app.accept_licence(),
            Command::Decline => app.close_overlay(),
            _ => {
                let furthest = app.geometry.overlay_rows;
                let open = app.overlays.top_mut::<Self>();
                return open.is_some_and(|open| list::scrolled(command, &mut open.scroll, furthest));
            }
        }
        true
    }

    fn closed(self, app: &mut App) {
        if self.entry.name == app.model.name && app.model.status == ModelStatus::Fetching {
            let message = format!("the terms of {} were not accepted; Ctrl+L chooses", self.entry.name);
            app.out.say(message.clone());
            app.model.status = ModelStatus::Failed { message, log_tail: Vec::new() };
        }
    }
}

impl App {
    /// The terms on top were accepted.
    fn accept_licence(&mut self) {
        let Some(entry) = self.overlays.top::<Licence>().map(|open| open.entry.clone()) else { return };
        self.overlays.pop();
        self.model.accepted.insert(entry.name.clone());
        self.fetch_or_ask(entry);
    }
}

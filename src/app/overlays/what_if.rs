//! The keys of a message changed on trial; what is known of it is [`crate::app::App::what_if`].

use super::{Opens, OverlayUnit, list};
use crate::app::App;
use crate::command::{Command, Context};

/// A message changed on trial, beside the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhatIfPanel;

impl OverlayUnit for WhatIfPanel {
    const CONTEXTS: &'static [Context] = &[Context::WhatIf, Context::Overlay];
    const DOCKS: bool = true;
    const OPENS: Opens = &[(Command::WhatIf, App::open_what_if)];

    fn command(app: &mut App, command: Command) -> bool {
        let Some(what_if) = &mut app.what_if else { return false };
        match command {
            Command::WhatIf => {
                let (turn, text) = (what_if.turn, what_if.text.clone());
                app.edit_on_trial(turn, &text);
            }
            Command::WhatIfSend => app.send_trial(),
            _ => {
                let rows = what_if.changes();
                let Some(to) = list::moved(command, what_if.selected, rows.len()) else { return false };
                what_if.selected = to;
                if let Some(change) = rows.get(to) {
                    let at = change.at;
                    app.transcript.point_at(&mut app.focus, at);
                }
            }
        }
        true
    }

    fn closed(self, app: &mut App) {
        app.leave_what_if();
    }
}

//! The list of models to hold against the loaded one, and the keys of the panel that shows what came of it.
//!
//! Invariant: rows are indices into [`crate::app::ModelState::others`].

use crossterm::event::KeyEvent;

use super::list::{self, Listed, as_a_list};
use super::{Opens, OverlayUnit};
use crate::app::{Apart, App, Picker, TokenCursor, input::fuzzy};
use crate::command::{Command, Context};

/// The list of models to hold against the loaded one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// Filter and rows.
    pub picker: Picker,
}

impl OverlayUnit for Others {
    const OPENS: Opens = &[(Command::Microscope, App::open_others)];

    as_a_list!(all);
}

/// Opens the list.
pub(crate) fn open(app: &mut App) {
    list::open(app, Others::default());
}

impl Listed for Others {
    fn picker(&mut self) -> &mut Picker {
        &mut self.picker
    }

    fn rows(app: &App, filter: &str) -> Vec<usize> {
        fuzzy::rank(filter, &app.model.others().map(|entry| entry.name.as_str()).collect::<Vec<_>>())
    }

    fn choose(app: &mut App, row: usize) {
        app.overlays.pop();
        let name = app.model.others().nth(row).map(|entry| entry.name.clone());
        if let Some(name) = name {
            app.hold_against(&name);
        }
    }
}

/// What came of it, beside the transcript; what is known is [`App::microscope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MicroscopePanel;

impl OverlayUnit for MicroscopePanel {
    const CONTEXTS: &'static [Context] = &[Context::Microscope, Context::Overlay];
    const DOCKS: bool = true;

    fn command(app: &mut App, command: Command) -> bool {
        let Some(open) = &mut app.microscope else { return false };
        let rows = open.apart();
        let Some(to) = list::moved(command, open.selected, rows.len()) else { return false };
        open.selected = to;
        if let Some(row) = rows.get(to) {
            let Apart { turn, index, start, is_reply, .. } = *row;
            if is_reply {
                app.transcript.point_at(&mut app.focus, TokenCursor { turn, index });
            } else {
                app.transcript.seek_byte(view!(app), &mut app.focus, turn, start);
            }
        }
        true
    }

    fn closed(self, app: &mut App) {
        app.leave_microscope();
    }
}

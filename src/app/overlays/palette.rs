//! The command palette: every command that can be run from anywhere.
//!
//! Invariant: rows are indices into the command table.

use crossterm::event::KeyEvent;

use super::list::{self, Listed, as_a_list};
use super::{Opens, OverlayUnit};
use crate::app::{App, Focus, Picker, input::fuzzy};
use crate::command::{Command, Context, TABLE};

/// The command palette.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// Filter and rows.
    pub picker: Picker,
}

impl OverlayUnit for Palette {
    const CONTEXTS: &'static [Context] = list::CONTEXTS;
    const OPENS: Opens = &[(Command::Palette, |app| list::open(app, Self::default()))];

    fn command(app: &mut App, command: Command) -> bool {
        list::command::<Self>(app, command)
    }

    as_a_list!();
}

impl Listed for Palette {
    fn picker(&mut self) -> &mut Picker {
        &mut self.picker
    }

    fn rows(_app: &App, filter: &str) -> Vec<usize> {
        let filter = filter.trim_start().trim_start_matches('/');
        let offered: Vec<usize> = (0..TABLE.len()).filter(|at| TABLE[*at].is_offered()).collect();
        let texts: Vec<String> =
            offered.iter().map(|at| format!("{} {}", TABLE[*at].help(), TABLE[*at].name)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut rows: Vec<usize> = fuzzy::rank(filter, &texts).into_iter().map(|at| offered[at]).collect();
        // A command's own name means that command.
        rows.sort_by_key(|at| TABLE[*at].name != filter);
        rows
    }

    /// A command that needs an argument goes on in the composer, if that is free.
    fn choose(app: &mut App, row: usize) {
        app.overlays.pop();
        let command = TABLE[row].command;
        if command.needs_argument() && app.composer.is_empty() {
            app.set_focus(Focus::Composer);
            app.composer.replace(&app.model, &mut app.out, &format!("/{} ", command.entry().name));
            app.complete();
        } else {
            app.run_command(command);
        }
    }
}

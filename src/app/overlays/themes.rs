//! The theme picker; the selected theme is shown at once.
//!
//! Invariant: closing it without a choice brings the theme back that there was.

use crossterm::event::KeyEvent;

use super::list::{self, Listed, as_a_list};
use super::{Opens, OverlayUnit};
use crate::app::{App, Picker, input::fuzzy};
use crate::command::{Command, Context};

/// The theme picker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Themes {
    /// Filter and rows.
    pub picker: Picker,
    /// The theme to come back to.
    pub before: String,
}

impl OverlayUnit for Themes {
    const OPENS: Opens = &[(Command::Themes, open)];

    as_a_list!(all);

    fn closed(self, app: &mut App) {
        app.config.ui.theme = self.before;
    }
}

fn open(app: &mut App) {
    let before = app.config.ui.theme.clone();
    let at = app.themes.iter().position(|name| *name == before);
    list::open(app, Themes { before, ..Themes::default() });
    list::select::<Themes>(app, at);
}

impl Listed for Themes {
    fn picker(&mut self) -> &mut Picker {
        &mut self.picker
    }

    fn rows(app: &App, filter: &str) -> Vec<usize> {
        let names: Vec<&str> = app.themes.iter().map(String::as_str).collect();
        fuzzy::rank(filter, &names)
    }

    fn selected(app: &mut App) {
        let name = list::chosen::<Self>(app).and_then(|row| app.themes.get(row).cloned());
        if let Some(name) = name {
            app.config.ui.theme = name;
        }
    }

    fn choose(app: &mut App, row: usize) {
        app.overlays.pop();
        if let Some(name) = app.themes.get(row).cloned() {
            app.config.set_theme(&mut app.out, &name);
        }
    }
}

//! The theme picker; the selected theme is shown at once, by the app.
//!
//! Invariant: rows are indices into [`crate::app::App::themes`].

use super::{Canvas, Draw, body, count, rows_for};
use crate::app::{Keys, Themes};
use crate::command::Command;
use crate::sanitize;
use crate::theme::Role;

impl Draw for Themes {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let picker = &self.picker;
        let all = canvas.app.themes.len();
        let inside = canvas.frame("Themes", &count(picker, all), 60, rows_for(all, 12) + 5);
        let cursor = canvas.filter(inside, &picker.filter, "type to filter");
        let in_use = canvas.app.config.ui.theme.clone();
        for (index, at, _) in canvas.list(body(inside, 1, 2), picker.rows.len(), picker.selected) {
            let Some(name) = canvas.app.themes.get(picker.rows[index]) else { continue };
            let said = if *name == in_use { "in use" } else { "" };
            canvas.cell(at, 3, 36, &sanitize::for_display(name), Role::Text);
            canvas.cell(at, 40, 10, said, Role::Muted);
        }
        let key = Keys(&canvas.app.keymap);
        let offered = vec![
            (key.list(), "look"),
            (key.of(Command::Choose), "keep"),
            (key.of(Command::Escape), "back to the one before"),
        ];
        canvas.keys(inside, offered);
        cursor
    }
}

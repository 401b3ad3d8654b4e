//! The command palette: every command with its key and its typed form.
//!
//! Invariant: rows are indices into [`command::TABLE`].

use super::{Canvas, body, count, rows_for};
use crate::app::Picker;
use crate::command;
use crate::theme::Role;

pub(super) fn draw(mut canvas: Canvas<'_>, picker: &Picker) -> Option<(u16, u16)> {
    let all = command::TABLE.len();
    let inside = canvas.frame("Commands", &count(picker, all), 80, rows_for(all, 14) + 5);
    let cursor = canvas.filter(inside, &picker.filter, "type to filter");
    let (key_at, name_at) = (inside.width.saturating_sub(28), inside.width.saturating_sub(16));
    for (index, at, _) in canvas.list(body(inside, 1, 2), picker.rows.len(), picker.selected) {
        let Some(entry) = command::TABLE.get(picker.rows[index]) else { continue };
        canvas.cell(at, 3, key_at.saturating_sub(4), entry.help(), Role::Text);
        canvas.cell(at, key_at, 11, &canvas.app.keymap.shown(entry.command), Role::Strong);
        canvas.cell(at, name_at, 16, &format!("/{}", entry.name), Role::Muted);
    }
    canvas.keys(inside, &[("↑↓", "choose"), ("Enter", "run"), ("Esc", "close")]);
    cursor
}

//! The command palette: every command with its key and its typed form; below, what the selected one does.
//!
//! Invariant: rows are what [`Item::at`] says they are.

use super::{Canvas, Draw, about, body, count, rows_for};
use crate::app::{Item, Palette};
use crate::command;
use crate::sanitize;
use crate::theme::Role;
use crate::ui::widgets::text;

impl Draw for Palette {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let picker = &self.picker;
        let all = command::offered().count();
        let filtered = !picker.filter.text.is_empty();
        let found = if filtered { format!("{} found", picker.rows.len()) } else { count(picker, all) };
        let inside = canvas.frame("Commands", &found, 80, rows_for(all, 14) + 4);
        let cursor = canvas.filter(inside, &picker.filter, "a command, chat, model, theme or setting");
        let (key_at, name_at) = (inside.width.saturating_sub(28), inside.width.saturating_sub(16));
        if picker.rows.is_empty() {
            canvas.cell(body(inside, 1, 1), 3, inside.width, "nothing of this name", Role::Muted);
        }
        for (index, at, _) in canvas.list(body(inside, 1, 1), picker.rows.len(), picker.selected) {
            let Some(item) = Item::at(canvas.app, picker.rows[index]) else { continue };
            let Item::Command(entry) = item else {
                let label = sanitize::for_display(&item.label());
                canvas.cell(at, 3, name_at.saturating_sub(4), &label, Role::Text);
                canvas.cell(at, name_at, 16, item.kind(), Role::Muted);
                continue;
            };
            let lacking = canvas.app.view().lacking_for(entry.command).is_some();
            let role = if lacking { Role::Muted } else { Role::Text };
            canvas.cell(at, 3, key_at.saturating_sub(4), entry.help(), role);
            canvas.cell(at, key_at, 11, &canvas.app.keymap.shown(entry.command), Role::Strong);
            canvas.cell(at, name_at, 16, &format!("/{}", entry.name), Role::Muted);
        }
        let selected = picker.rows.get(picker.selected).and_then(|row| command::TABLE.get(*row));
        if let (Some(entry), Some(last)) = (selected, inside.height.checked_sub(1)) {
            let line = about::about(canvas.app, entry);
            canvas.cell(text::row(inside, last, 0), 1, inside.width.saturating_sub(2), &line, Role::Muted);
        }
        cursor
    }
}

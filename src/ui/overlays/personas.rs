//! The persona picker: names with what each is for, and what the selected one sets.
//!
//! Invariant: rows are indices into the personas of the configuration, in the order of their names.

use super::{Canvas, Draw, body, count, rows_for};
use crate::app::{Keys, Personas};
use crate::command::Command;
use crate::config::Persona;
use crate::sanitize;
use crate::theme::Role;
use crate::ui::widgets::text;

impl Draw for Personas {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let picker = &self.picker;
        let all: Vec<(String, Persona)> = canvas.app.config.personas.clone().into_iter().collect();
        let inside = canvas.frame("Personas", &count(picker, all.len()), 80, rows_for(all.len(), 12) + 6);
        let cursor = canvas.filter(inside, &picker.filter, "type to filter");
        for (index, at, _) in canvas.list(body(inside, 1, 3), picker.rows.len(), picker.selected) {
            let Some((name, persona)) = all.get(picker.rows[index]) else { continue };
            canvas.cell(at, 3, 22, &sanitize::for_display(name), Role::Text);
            canvas.cell(at, 27, at.width, &sanitize::for_display(&persona.about), Role::Muted);
        }
        let chosen = picker.rows.get(picker.selected).and_then(|row| all.get(*row));
        if let (Some((_, persona)), Some(row)) = (chosen, inside.height.checked_sub(2)) {
            let line = sanitize::for_display(&sets(persona));
            canvas.cell(text::row(inside, row, 0), 1, inside.width.saturating_sub(2), &line, Role::Muted);
        }
        let key = Keys(&canvas.app.keymap);
        let offered = vec![
            (key.list(), "choose"),
            (key.of(Command::Choose), "speak to it in this chat"),
            (key.of(Command::Escape), "close"),
        ];
        canvas.keys(inside, offered);
        cursor
    }
}

/// What a persona sets, on one line.
fn sets(persona: &Persona) -> String {
    let model = persona.model.as_ref().map(|model| format!("model {model}"));
    let preset = persona.preset.as_ref().map(|preset| format!("preset {preset}"));
    let system = persona.system.as_ref().map(|system| format!("“{}”", system.trim()));
    let parts: Vec<String> = [model, preset, system].into_iter().flatten().collect();
    parts.join("  ")
}

//! The models of a server, by the names it gives them.
//!
//! Invariant: while none is known, one line says what is waited for, or why nothing comes.

use super::{Canvas, Draw, body, count, rows_for};
use crate::app::{Keys, Served};
use crate::command::Command;
use crate::sanitize;
use crate::theme::Role;
use crate::ui::widgets::text;

impl Draw for Served {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let (picker, app) = (&self.picker, canvas.app);
        let all = self.models.as_ref().and_then(|models| models.as_ref().ok());
        let number = all.map_or(0, Vec::len);
        let title = sanitize::for_display(&format!("Models at {}", self.host));
        let inside = canvas.frame(&title, &count(picker, number), 80, rows_for(number, 12) + 7);
        let cursor = canvas.filter(inside, &picker.filter, "type to filter");
        let rows = body(inside, 1, 3);
        if let Some(ids) = all {
            for (index, at, _) in canvas.list(rows, picker.rows.len(), picker.selected) {
                let Some(id) = ids.get(picker.rows[index]) else { continue };
                let in_use = app.config.served_name(&self.name, id) == app.model.name;
                let (mark, role) = if in_use { ("  in use", Role::Strong) } else { ("", Role::Text) };
                canvas.cell(at, 3, at.width.saturating_sub(4), &(sanitize::for_display(id) + mark), role);
            }
            if picker.rows.is_empty() {
                canvas.cell(rows, 3, rows.width, "none of this name there", Role::Muted);
            }
        } else {
            let (said, role) = match &self.models {
                Some(Err(why)) => (sanitize::for_display(why), Role::Error),
                _ => (sanitize::for_display(&format!("asking {} …", self.host)), Role::Muted),
            };
            let words = text::wrap(&said, inside.width.saturating_sub(6));
            for (line, y) in words.iter().zip(rows.y..rows.bottom() + 2) {
                let at = ratatui::layout::Rect { y, height: 1, ..inside };
                canvas.cell(at, 3, inside.width.saturating_sub(4), line, role);
            }
        }
        let key = Keys(&app.keymap);
        let chosen = (key.of(Command::Choose), "chat with it");
        let close = (key.of(Command::Escape), "close");
        canvas.keys(inside, if picker.rows.is_empty() { vec![close] } else { vec![chosen, close] });
        cursor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing::design::{capitals, theme};
    use crate::ui::testing::{holds, overlay};

    #[test]
    fn what_is_waited_for_what_came_and_why_nothing_comes_is_in_the_list() {
        let app = capitals();
        let drawn = |models: Option<Result<Vec<String>, String>>| {
            let mut open =
                Served { name: "box".into(), host: "box:8000".into(), models, ..Served::default() };
            open.picker.rows = (0..open.all().len()).collect();
            overlay(&app, &theme(), open, 80, 24)
        };
        let waits = drawn(None);
        holds(&waits, "Models at box:8000");
        holds(&waits, "asking box:8000 …");
        assert!(!waits.iter().any(|row| row.contains("chat with it")), "{waits:#?}");
        let there = drawn(Some(Ok(vec!["org/first".into(), "second:latest".into()])));
        for text in ["org/first", "second:latest", "chat with it"] {
            holds(&there, text);
        }
        let failed =
            drawn(Some(Err("box:8000 wants a key (HTTP 401): name one in the model's entry.".into())));
        holds(&failed, "box:8000 wants a key (HTTP 401)");
    }
}

//! A short table to be read.
//!
//! Invariant: a long figure is wrapped under itself; nothing is cut.

use super::{Canvas, Draw, body};
use crate::app::{Keys, Sheet};
use crate::command::Command;
use crate::sanitize;
use crate::theme::Role;
use crate::ui::widgets::text;

impl Draw for Sheet {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let names = self.rows.iter().map(|(name, _)| text::width(&sanitize::for_display(name)));
        let left = names.max().unwrap_or(0).min(28) + 3;
        let width = canvas.screen.width.min(72);
        let room = width.saturating_sub(left + 4);
        let rows: Vec<(String, String)> =
            self.rows.iter().flat_map(|(name, said)| wrapped(name, said, room)).collect();
        let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(5);
        let inside = canvas.frame(&sanitize::for_display(&self.title), "", width, height);
        let list = body(inside, 1, 2);
        let first = canvas.scrolled(self.scroll, rows.len(), list.height);
        for ((name, said), row) in rows.iter().skip(first).zip(0..list.height) {
            canvas.cell(text::row(list, row, 0), 1, left.saturating_sub(2), name, Role::Muted);
            canvas.cell(text::row(list, row, 0), left, room, said, Role::Text);
        }
        let key = Keys(&canvas.app.keymap);
        canvas.keys(inside, vec![(key.of(Command::Escape), "close")]);
        None
    }
}

fn wrapped(name: &str, said: &str, room: u16) -> Vec<(String, String)> {
    let mut lines = text::wrap(&sanitize::for_display(said), room);
    if lines.is_empty() {
        lines.push(String::new());
    }
    let names = std::iter::once(sanitize::for_display(name)).chain(std::iter::repeat(String::new()));
    names.zip(lines).collect()
}

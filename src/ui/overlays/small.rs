//! The small overlays: licence terms, a line to edit, a question.
//!
//! Invariant: what happens on Enter is said before it is pressed.

use super::{Canvas, body};
use crate::app::LineEdit;
use crate::model_entry::ModelEntry;
use crate::sanitize;
use crate::theme::Role;
use crate::ui::widgets::{edit, number, text};

pub(super) fn licence(mut canvas: Canvas<'_>, entry: &ModelEntry, scroll: u16) -> Option<(u16, u16)> {
    let licence = entry.licence.as_ref();
    let name = licence.map_or("", |licence| licence.name.as_str());
    let title = format!("Terms of {}", sanitize::for_display(&entry.name));
    let inside = canvas.frame(&title, &sanitize::for_display(name), 90, canvas.screen.height.min(26));
    let list = body(inside, 1, 2);
    let terms = licence.and_then(|licence| licence.terms.as_deref()).unwrap_or("");
    let room = list.width.saturating_sub(2);
    let lines: Vec<String> = terms.lines().flat_map(|line| wrapped(line, room)).collect();
    let first = usize::from(scroll).min(lines.len().saturating_sub(list.height.into()));
    for (line, row) in lines.iter().skip(first).zip(0..list.height) {
        canvas.cell(text::row(list, row, 0), 1, room, line, Role::Text);
    }
    let size = entry.size.map(|size| format!("accept and fetch {}", number::bytes(size.download)));
    let accept = size.unwrap_or_else(|| "accept and fetch".into());
    canvas.keys(inside, &[("↑↓", "read on"), ("Enter", &accept), ("Esc", "do not fetch")]);
    None
}

fn wrapped(line: &str, room: u16) -> Vec<String> {
    let lines = text::wrap(&sanitize::for_display(line), room);
    if lines.is_empty() { vec![String::new()] } else { lines }
}

pub(super) fn prompt(mut canvas: Canvas<'_>, title: &str, input: &LineEdit) -> Option<(u16, u16)> {
    let inside = canvas.frame(&sanitize::for_display(title), "", 80, 6);
    let style = canvas.theme.style(Role::Text);
    let muted = canvas.theme.style(Role::Muted);
    let at = text::row(inside, 1, 1);
    let typed = (input.text.as_str(), input.cursor);
    let cursor = edit::draw(canvas.buf, at, typed, ("none", muted), style);
    canvas.keys(inside, &[("Enter", "keep"), ("Esc", "leave as it was")]);
    cursor
}

pub(super) fn confirm(mut canvas: Canvas<'_>, question: &str) -> Option<(u16, u16)> {
    let lines = text::wrap(&sanitize::for_display(question), 54);
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(5);
    let inside = canvas.frame("Sure?", "", 60, height);
    for (line, row) in lines.iter().zip(1..inside.height) {
        canvas.cell(text::row(inside, row, 0), 1, inside.width, line, Role::Text);
    }
    canvas.keys(inside, &[("y", "yes"), ("n", "no"), ("Esc", "no")]);
    None
}

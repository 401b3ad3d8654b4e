//! The small overlays: licence terms, a text to edit, a question.
//!
//! Invariant: what happens on Enter is said before it is pressed.

use ratatui::layout::Rect;

use super::{Canvas, Draw, body};
use crate::app::{Confirm, Keys, Licence, PromptAction, TextBox, TextEdit};
use crate::command::Command;
use crate::model_entry::ModelEntry;
use crate::sanitize;
use crate::theme::Role;
use crate::ui::composer;
use crate::ui::widgets::{number, text};

impl Draw for Licence {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        licence(canvas, &self.entry, self.scroll);
        None
    }
}

impl Draw for TextBox {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        text_box(canvas, &self.title, &self.input, self.action)
    }
}

impl Draw for Confirm {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        confirm(canvas, &self.question);
        None
    }
}

fn licence(canvas: &mut Canvas<'_>, entry: &ModelEntry, scroll: u16) {
    let licence = entry.licence.as_ref();
    let name = licence.map_or("", |licence| licence.name.as_str());
    let title = format!("Terms of {}", sanitize::for_display(&entry.name));
    let inside = canvas.frame(&title, &sanitize::for_display(name), 90, canvas.screen.height.min(26));
    let list = body(inside, 1, 2);
    let terms = licence.and_then(|licence| licence.terms.as_deref()).unwrap_or("");
    let room = list.width.saturating_sub(2);
    let lines: Vec<String> = terms.lines().flat_map(|line| wrapped(line, room)).collect();
    let first = canvas.scrolled(scroll, lines.len(), list.height);
    for (line, row) in lines.iter().skip(first).zip(0..list.height) {
        canvas.cell(text::row(list, row, 0), 1, room, line, Role::Text);
    }
    let size = entry.size.map(|size| format!("accept and fetch {}", number::bytes(size.download)));
    let accept = size.unwrap_or_else(|| "accept and fetch".into());
    let key = Keys(&canvas.app.keymap);
    let offered = vec![
        (key.together(&[Command::ScrollUp, Command::ScrollDown]), "read on"),
        (key.of(Command::Choose), accept.as_str()),
        (key.of(Command::Escape), "do not fetch"),
    ];
    canvas.keys(inside, offered);
}

fn wrapped(line: &str, room: u16) -> Vec<String> {
    let lines = text::wrap(&sanitize::for_display(line), room);
    if lines.is_empty() { vec![String::new()] } else { lines }
}

fn text_box(
    canvas: &mut Canvas<'_>,
    title: &str,
    input: &TextEdit,
    action: PromptAction,
) -> Option<(u16, u16)> {
    let does = match action {
        PromptAction::Arithmetic => "look it up",
        PromptAction::System => "save",
        PromptAction::Export | PromptAction::WriteVector => "write it",
        PromptAction::ReadVector => "use it",
        PromptAction::WhatIf(_) => "read the reply again; nothing is sent",
    };
    let inside = canvas.frame(&sanitize::for_display(title), "", 80, 16);
    let view = body(inside, 1, 2);
    let view = Rect { x: view.x + 1, width: view.width.saturating_sub(2), ..view };
    let cursor = composer::draw_text(&input.area, canvas.theme, view, "none", canvas.buf);
    let key = Keys(&canvas.app.keymap);
    let mut offered = vec![(key.of(Command::Choose), does)];
    if action.one_line() {
        offered.push((key.of(Command::Escape), "close"));
    } else {
        offered.push((key.of(Command::Newline), "new line"));
        offered.push((key.of(Command::Editor), "in $EDITOR"));
        offered.push((key.of(Command::Escape), "as it was"));
    }
    canvas.keys(inside, offered);
    cursor
}

fn confirm(canvas: &mut Canvas<'_>, question: &str) {
    let lines = text::wrap(&sanitize::for_display(question), 54);
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(5);
    let inside = canvas.frame("Sure?", "", 60, height);
    for (line, row) in lines.iter().zip(1..inside.height) {
        canvas.cell(text::row(inside, row, 0), 1, inside.width, line, Role::Text);
    }
    let key = Keys(&canvas.app.keymap);
    let offered = vec![
        (key.of(Command::Accept), "yes"),
        (key.of(Command::Decline), "no"),
        (key.of(Command::Escape), "no"),
    ];
    canvas.keys(inside, offered);
}

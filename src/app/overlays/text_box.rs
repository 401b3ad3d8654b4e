//! The overlay of a text of several lines, edited with the keys of the composer: the system prompt, or a message
//! changed on trial.
//!
//! Invariant: nothing is changed before Enter; Esc leaves the text as it was.

use crossterm::event::KeyEvent;

use super::{Opens, OverlayUnit};
use crate::app::{App, Effect, PromptAction, TextEdit, input::text_edit};
use crate::chat::AdapterKind;
use crate::command::{Command, Context};

/// A text to edit, in one line or more.
#[derive(Clone, Debug, PartialEq)]
pub struct TextBox {
    /// Title of the box.
    pub title: String,
    /// What is edited.
    pub input: TextEdit,
    /// What happens on Enter.
    pub action: PromptAction,
}

impl OverlayUnit for TextBox {
    const CONTEXTS: &'static [Context] = &[Context::Composer, Context::Overlay, Context::Global];
    const OPENS: Opens = &[(Command::System, App::open_system), (Command::Export, App::open_export)];

    fn types(&self, _app: &App) -> bool {
        true
    }

    fn command(app: &mut App, command: Command) -> bool {
        let Some(Self { input, action, .. }) = app.overlays.top_mut::<Self>() else { return false };
        match command {
            Command::Newline if action.one_line() => {}
            Command::Newline => input.area.insert_newline(),
            Command::Undo => {
                input.area.undo();
            }
            Command::Redo => {
                input.area.redo();
            }
            Command::Editor => {
                let text = input.text();
                app.out.emit(Effect::Edit(text));
            }
            Command::Send | Command::Choose => app.take_text(),
            _ => return false,
        }
        true
    }

    fn key(app: &mut App, key: KeyEvent) -> bool {
        // The app's other keys stay what they are: focus, help, quit.
        if app.keymap.lookup(Context::Global, key).is_some() {
            return false;
        }
        if let Some(open) = app.overlays.top_mut::<Self>() {
            text_edit::key(&mut open.input.area, key);
        }
        true
    }

    fn paste(app: &mut App, text: &str) {
        if let Some(open) = app.overlays.top_mut::<Self>() {
            if open.action.one_line() {
                open.input.area.insert_str(text.lines().collect::<Vec<_>>().join(" ").trim());
            } else {
                open.input.area.insert_str(text);
            }
        }
    }
}

impl App {
    fn open_system(&mut self) {
        let system = match self.config.model_named(&self.model.name) {
            Some(entry) => self.config.system_for(&entry, &self.talk.chat.settings),
            None => self.talk.chat.settings.system.clone().unwrap_or_default(),
        };
        self.overlays.push(TextBox {
            title: "System prompt of this chat".into(),
            input: TextEdit::new(&system),
            action: PromptAction::System,
        });
    }

    /// Asks where the chat is to be written.
    fn open_export(&mut self) {
        if self.talk.chat.turns.is_empty() {
            self.out.say("there is nothing to export yet");
            return;
        }
        let name = format!("{}.html", crate::app::transcript::ledger::file_name(&self.talk.chat.head.title));
        let path = if self.folder.is_empty() { name } else { format!("{}/{name}", self.folder) };
        self.overlays.push(TextBox {
            title: "Write this chat to a file: .html, .md, .json or .jsonl".into(),
            input: TextEdit::new(&path),
            action: PromptAction::Export,
        });
    }

    /// Enter: the text is used.
    fn take_text(&mut self) {
        let Some(open) = self.overlays.top::<TextBox>() else { return };
        let (text, action) = (open.input.text(), open.action);
        self.overlays.pop();
        match action {
            PromptAction::System => self.talk.set_system(with!(self), &mut self.out, text.trim_end()),
            PromptAction::WhatIf(turn) => self.try_edit(turn, &text),
            PromptAction::Export => self.out.export(view!(self), text.trim(), self.transcript.thoughts),
            PromptAction::WriteVector => self.write_vector(text.trim()),
            PromptAction::ReadVector => {
                self.adapter_named(AdapterKind::ControlVector, text.trim());
            }
            PromptAction::Arithmetic => {
                self.inspector.arithmetic(view!(self), &mut self.out, &text);
            }
        }
    }

    /// `$EDITOR` came back; says whether its text belongs to the overlay on top.
    pub(crate) fn prompt_edited(&mut self, text: &str) -> bool {
        let Some(open) = self.overlays.top_mut::<TextBox>() else { return false };
        text_edit::set(&mut open.input.area, text);
        true
    }
}

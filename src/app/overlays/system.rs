//! The overlay of a text of several lines, edited with the keys of the composer: the system prompt, or a message
//! changed on trial.
//!
//! Invariant: nothing is changed before Enter; Esc leaves the text as it was.

use crossterm::event::{KeyCode, KeyEvent};

use crate::app::{App, Effect, Overlay, PromptAction, TextEdit, text_edit};
use crate::command::{Command, Context};

impl App {
    pub(crate) fn open_system(&mut self) {
        let system = match self.config.model_named(&self.model.name) {
            Some(entry) => self.config.system_for(&entry, &self.chat.settings),
            None => self.chat.settings.system.clone().unwrap_or_default(),
        };
        self.overlays.push(Overlay::Prompt {
            title: "System prompt of this chat".into(),
            input: TextEdit::new(&system),
            action: PromptAction::System,
        });
    }

    /// A key of the text being edited.
    pub(super) fn prompt_key(&mut self, key: KeyEvent) -> bool {
        let composing = self.keymap.lookup(Context::Composer, key);
        let command = composing.or_else(|| self.keymap.lookup(Context::Global, key));
        let Some(Overlay::Prompt { input, action, .. }) = self.overlays.last_mut() else { return false };
        match command {
            Some(Command::Newline) => input.area.insert_newline(),
            Some(Command::Undo) => {
                input.area.undo();
            }
            Some(Command::Redo) => {
                input.area.redo();
            }
            Some(Command::Editor) => {
                let text = input.text();
                self.emit(Effect::Edit(text));
            }
            _ if key.code == KeyCode::Enter => {
                let (text, action) = (input.text(), *action);
                self.overlays.pop();
                match action {
                    PromptAction::System => self.set_system(text.trim_end()),
                    PromptAction::WhatIf(turn) => self.try_edit(turn, &text),
                    PromptAction::Arithmetic => {
                        self.arithmetic(&text);
                    }
                }
            }
            Some(Command::HistoryBack | Command::HistoryForward) | None => {
                text_edit::key(&mut input.area, key);
            }
            // The app's other keys stay what they are: focus, help, quit.
            Some(_) => return false,
        }
        true
    }

    /// `$EDITOR` came back; says whether its text belongs to the overlay on top.
    pub(crate) fn prompt_edited(&mut self, text: &str) -> bool {
        let Some(Overlay::Prompt { input, .. }) = self.overlays.last_mut() else { return false };
        text_edit::set(&mut input.area, text);
        true
    }
}

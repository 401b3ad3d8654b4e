//! The model picker's own keys, and the terms of a model.
//!
//! Invariant: its keys are none that can be typed, so that a filter can begin with any letter.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::app::{App, ConfirmAction, Effect, Overlay};

impl App {
    /// Tab fetches, Delete removes where it has nothing to delete in the filter.
    pub(super) fn models_key(&mut self, key: KeyEvent) -> bool {
        if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
            return false;
        }
        let at_end = self.picker().is_some_and(|picker| picker.filter.cursor == picker.filter.text.len());
        let item = self.chosen_row().and_then(|row| Some((row, self.catalogue.get(row)?)));
        let Some((row, item)) = item else { return false };
        let (entry, there) = (item.entry.clone(), item.path.is_some());
        match key.code {
            KeyCode::Tab if there => self.say(format!("{} is on this machine already", entry.name)),
            KeyCode::Tab => self.fetch_or_ask(entry),
            KeyCode::Delete if at_end && there => self.overlays.push(Overlay::Confirm {
                question: format!("Remove the file of {}? It can be fetched again.", entry.name),
                action: ConfirmAction::RemoveModel(row),
            }),
            KeyCode::Delete if at_end => self.say(format!("{} is not on this machine", entry.name)),
            _ => return false,
        }
        true
    }

    /// Removes the file of a row of the catalogue.
    pub(super) fn remove_model(&mut self, row: usize) {
        let Some(entry) = self.catalogue.get(row).map(|item| item.entry.clone()) else { return };
        if entry.name == self.model.name && self.view().ready().is_some() {
            self.unload();
        }
        self.emit(Effect::RemoveModel(Box::new(entry)));
        self.emit(Effect::ReadCatalogue);
    }

    /// The terms on top were accepted.
    pub(super) fn accept_licence(&mut self) {
        if let Some(Overlay::Licence { entry, .. }) = self.overlays.pop() {
            self.book.accepted.insert(entry.name.clone());
            self.fetch_or_ask(*entry);
        }
    }
}

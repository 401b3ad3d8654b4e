//! Overlays: opening, closing, their keys, and what Enter does in each.
//!
//! Invariant: an overlay takes every key but commands; closing one leaves the state as it was, unless a
//! choice was made.

mod help;
mod model_list;
mod system;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub use help::{HELP_PAGES, HelpPage};

use super::{App, ConfirmAction, Edit, Effect, LineEdit, ModelStatus, Overlay, Picker, fuzzy, settings};
use crate::command::{self, Command};
use crate::store;

impl App {
    pub(crate) fn open_palette(&mut self) {
        self.push_picker(Overlay::Palette);
    }

    pub(crate) fn open_models(&mut self) {
        self.push_picker(Overlay::Models);
        let at = self.catalogue.iter().position(|item| item.entry.name == self.model.name);
        self.select_row(at);
        self.emit(Effect::ReadCatalogue);
    }

    pub(crate) fn open_themes(&mut self) {
        let before = self.config.ui.theme.clone();
        let at = self.themes.iter().position(|name| *name == before);
        self.push_picker(|picker| Overlay::Themes(picker, before));
        self.select_row(at);
    }

    pub(crate) fn open_settings(&mut self) {
        if !matches!(self.top_overlay(), Some(Overlay::Settings(_))) {
            self.book.settings_before.clear();
        }
        self.push_picker(Overlay::Settings);
    }

    pub(crate) fn open_search(&mut self, text: &str) {
        if matches!(self.top_overlay(), Some(Overlay::Search { .. })) {
            return;
        }
        self.overlays.push(Overlay::Search { input: LineEdit::new(text), hits: Vec::new(), selected: 0 });
        if !text.is_empty() {
            self.store(store::Command::Search(text.to_owned()));
        }
    }

    /// Opens a list, unless it is open already.
    fn push_picker(&mut self, overlay: impl FnOnce(Picker) -> Overlay) {
        let overlay = overlay(Picker::default());
        let open = self.top_overlay().map(std::mem::discriminant);
        if open != Some(std::mem::discriminant(&overlay)) {
            self.overlays.push(overlay);
        }
        self.refill_overlay();
    }

    fn picker(&mut self) -> Option<&mut Picker> {
        match self.overlays.last_mut()? {
            Overlay::Palette(picker)
            | Overlay::Models(picker)
            | Overlay::Themes(picker, _)
            | Overlay::Settings(picker) => Some(picker),
            _ => None,
        }
    }

    fn select_row(&mut self, source: Option<usize>) {
        if let Some(picker) = self.picker()
            && let Some(at) = picker.rows.iter().position(|row| Some(*row) == source)
        {
            picker.selected = at;
        }
    }

    /// Works out the rows of the list on top: what matches its filter, best first.
    pub(crate) fn refill_overlay(&mut self) {
        let Some(overlay) = self.overlays.last() else { return };
        let (sources, filter): (Vec<(usize, String)>, String) = match overlay {
            Overlay::Palette(picker) => {
                let offered = command::TABLE.iter().enumerate();
                let named = offered.map(|(at, entry)| (at, format!("{} {}", entry.help(), entry.name)));
                (named.collect(), picker.filter.text.clone())
            }
            Overlay::Models(picker) => {
                let names = self.catalogue.iter().map(|item| item.entry.name.clone());
                (names.enumerate().collect(), picker.filter.text.clone())
            }
            Overlay::Themes(picker, _) => {
                (self.themes.iter().cloned().enumerate().collect(), picker.filter.text.clone())
            }
            Overlay::Settings(picker) => {
                let named = settings::keys(self)
                    .into_iter()
                    .map(|key| format!("{key} {} {}", settings::label(&key), settings::section(&key)));
                (named.enumerate().collect(), picker.filter.text.clone())
            }
            _ => return,
        };
        let texts: Vec<&str> = sources.iter().map(|(_, text)| text.as_str()).collect();
        let palette = matches!(overlay, Overlay::Palette(_));
        let filter = if palette { filter.trim_start().trim_start_matches('/') } else { &filter };
        let mut rows: Vec<usize> = fuzzy::rank(filter, &texts).into_iter().map(|at| sources[at].0).collect();
        if palette {
            // A command's own name means that command.
            rows.sort_by_key(|at| command::TABLE[*at].name != filter);
        }
        let sectioned = matches!(overlay, Overlay::Settings(_));
        let Some(picker) = self.picker() else { return };
        picker.selected = picker.selected.min(rows.len().saturating_sub(1));
        if sectioned {
            // Sections keep their order, so the best match is where the selection goes, not the first row.
            let chosen = rows.get(picker.selected).copied();
            rows.sort_unstable();
            picker.selected = rows.iter().position(|row| Some(*row) == chosen).unwrap_or_default();
        }
        picker.rows = rows;
    }

    /// Closes the overlay on top as if nothing had been chosen.
    pub(crate) fn close_overlay(&mut self) {
        match self.overlays.pop() {
            Some(Overlay::Themes(_, before)) => self.config.ui.theme = before,
            Some(Overlay::WhatIf) => self.leave_what_if(),
            Some(Overlay::Weights) => self.close_weights(),
            Some(Overlay::Licence { entry, .. })
                if entry.name == self.model.name && self.model.status == ModelStatus::Fetching =>
            {
                let message = format!("the terms of {} were not accepted; Ctrl+L chooses", entry.name);
                self.say(message.clone());
                self.model.status = ModelStatus::Failed { message, log_tail: Vec::new() };
            }
            _ => {}
        }
    }

    /// A key while an overlay is open; says whether it was taken.
    pub(crate) fn overlay_key(&mut self, key: KeyEvent) -> bool {
        let plain = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        if key.code == KeyCode::Esc && plain {
            match self.picker().and_then(|picker| picker.value.take()) {
                Some(_) => {}
                None => self.close_overlay(),
            }
            return true;
        }
        let furthest = self.geometry.overlay_rows;
        match self.overlays.last_mut() {
            None => false,
            Some(Overlay::Help { page, scroll }) => help::key(key, page, scroll, furthest),
            Some(Overlay::Licence { scroll, .. }) => match key.code {
                KeyCode::Enter | KeyCode::Char('y') if plain => {
                    self.accept_licence();
                    true
                }
                KeyCode::Char('n') if plain => {
                    self.close_overlay();
                    true
                }
                _ => help::scroll_key(key, scroll, furthest),
            },
            Some(Overlay::Confirm { action, .. }) => {
                let action = *action;
                match key.code {
                    KeyCode::Enter | KeyCode::Char('y') if plain => {
                        self.overlays.pop();
                        self.confirmed(action);
                    }
                    KeyCode::Char('n') if plain => self.close_overlay(),
                    _ => return false,
                }
                true
            }
            Some(Overlay::Prompt { .. }) => self.prompt_key(key),
            Some(Overlay::Search { .. }) => self.search_key(key),
            Some(Overlay::Ledger(_)) => self.ledger_key(key),
            Some(Overlay::Alternatives(_)) => self.alternatives_key(key),
            Some(Overlay::Tree(_)) => self.tree_key(key),
            Some(Overlay::Ahead(_)) => self.ahead_key(key),
            Some(Overlay::Steer) => self.steer_key(key),
            Some(Overlay::WhatIf) => self.what_if_key(key),
            Some(Overlay::Weights) => self.weights_key(key),
            Some(Overlay::Settings(_)) => self.settings_key(key) || self.picker_key(key),
            Some(Overlay::Models(_)) => self.models_key(key) || self.picker_key(key),
            Some(Overlay::Palette(_) | Overlay::Themes(..)) => self.picker_key(key),
        }
    }

    fn picker_key(&mut self, key: KeyEvent) -> bool {
        let Some(picker) = self.picker() else { return false };
        let last = picker.rows.len().saturating_sub(1);
        match key.code {
            KeyCode::Up => picker.selected = picker.selected.saturating_sub(1),
            KeyCode::Down => picker.selected = (picker.selected + 1).min(last),
            KeyCode::PageUp => picker.selected = picker.selected.saturating_sub(10),
            KeyCode::PageDown => picker.selected = (picker.selected + 10).min(last),
            KeyCode::Enter => {
                self.choose();
                return true;
            }
            _ => match picker.filter.key(key) {
                Edit::Changed => {
                    picker.selected = 0;
                    self.refill_overlay();
                }
                Edit::Moved => return true,
                Edit::Ignored => return false,
            },
        }
        self.preview_theme();
        true
    }

    /// The row's own index in the overlay's source.
    fn chosen_row(&mut self) -> Option<usize> {
        let picker = self.picker()?;
        picker.rows.get(picker.selected).copied()
    }

    /// Shows the selected theme while choosing.
    fn preview_theme(&mut self) {
        if matches!(self.top_overlay(), Some(Overlay::Themes(..)))
            && let Some(name) = self.chosen_row().and_then(|row| self.themes.get(row).cloned())
        {
            self.config.ui.theme = name;
        }
    }

    /// Enter on a row.
    fn choose(&mut self) {
        let Some(row) = self.chosen_row() else { return };
        match self.overlays.pop() {
            Some(Overlay::Palette(_)) => self.run_from_palette(command::TABLE[row].command),
            Some(Overlay::Models(_)) => {
                if let Some(name) = self.catalogue.get(row).map(|item| item.entry.name.clone()) {
                    self.switch_model(&name);
                }
            }
            Some(Overlay::Themes(..)) => {
                if let Some(name) = self.themes.get(row).cloned() {
                    self.set_theme(&name);
                }
            }
            other => self.overlays.extend(other),
        }
    }

    /// A command that needs an argument goes on in the composer, if that is free.
    fn run_from_palette(&mut self, command: Command) {
        if command.needs_argument() && self.composer.is_empty() {
            self.set_focus(super::Focus::Composer);
            self.set_draft(&format!("/{} ", command.entry().name));
            self.complete();
        } else {
            self.run_command(command);
        }
    }

    fn confirmed(&mut self, action: ConfirmAction) {
        match action {
            ConfirmAction::Quit => self.quit(),
            ConfirmAction::RemoveModel(row) => self.remove_model(row),
            ConfirmAction::ColourByLayer => self.agree_to_layers(),
        }
    }

    fn search_key(&mut self, key: KeyEvent) -> bool {
        let Some(Overlay::Search { input, hits, selected }) = self.overlays.last_mut() else { return false };
        let last = hits.len().saturating_sub(1);
        match key.code {
            KeyCode::Up => *selected = selected.saturating_sub(1),
            KeyCode::Down => *selected = (*selected + 1).min(last),
            KeyCode::Enter => {
                let hit = hits.get(*selected).map(|hit| (hit.conversation, hit.turn));
                if let Some((chat, turn)) = hit {
                    self.overlays.pop();
                    self.open_chat(chat, Some(turn));
                }
            }
            _ => match input.key(key) {
                Edit::Changed => {
                    *selected = 0;
                    let text = input.text.clone();
                    if text.trim().is_empty() {
                        hits.clear();
                    } else {
                        self.store(store::Command::Search(text));
                    }
                }
                Edit::Moved => {}
                Edit::Ignored => return false,
            },
        }
        true
    }

    /// What a search found; only the newest counts.
    pub(crate) fn found(&mut self, query: &str, found: Vec<store::Hit>) {
        if let Some(Overlay::Search { input, hits, selected }) = self.overlays.last_mut()
            && input.text == query
        {
            *selected = 0;
            *hits = found;
        }
    }

    /// Pasted text goes into the input that has the keys; says whether there is one.
    pub(crate) fn line_paste(&mut self, text: &str) -> bool {
        if let Some(Overlay::Prompt { input, .. }) = self.overlays.last_mut() {
            input.area.insert_str(text);
            return true;
        }
        let text = text.replace('\n', " ");
        let typed = |input: &mut LineEdit| input.insert(&text);
        if let Some(overlay) = self.overlays.last_mut() {
            match overlay {
                Overlay::Search { input, .. } => {
                    typed(input);
                    let text = input.text.clone();
                    self.store(store::Command::Search(text));
                }
                Overlay::Ledger(ledger) => typed(&mut ledger.filter),
                Overlay::Settings(Picker { value: Some(value), .. }) => typed(value),
                Overlay::Palette(picker)
                | Overlay::Models(picker)
                | Overlay::Themes(picker, _)
                | Overlay::Settings(picker) => typed(&mut picker.filter),
                Overlay::Alternatives(open) => {
                    typed(&mut open.filter);
                    open.typing = true;
                    self.refill_alternatives();
                }
                Overlay::Help { .. }
                | Overlay::Licence { .. }
                | Overlay::Prompt { .. }
                | Overlay::Confirm { .. }
                | Overlay::Tree(_)
                | Overlay::WhatIf
                | Overlay::Weights
                | Overlay::Steer
                | Overlay::Ahead(_) => {}
            }
            self.refill_overlay();
            self.refill_ledger();
            return true;
        }
        if let Some(find) = &mut self.transcript.find {
            typed(&mut find.input);
            self.find_matches();
            return true;
        }
        self.chats.rename.as_mut().map(|(_, input)| typed(input)).is_some()
    }
}

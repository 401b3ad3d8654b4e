//! The model picker.
//!
//! Invariant: its keys are none that can be typed, so that a filter can begin with any letter.

use crossterm::event::KeyEvent;

use super::list::{self, Listed, as_a_list};
use super::{Confirm, Opens, OverlayUnit};
use crate::app::{App, ConfirmAction, Effect, Picker, input::fuzzy};
use crate::command::{Command, Context};
use crate::model_entry::{ModelEntry, Source};
use crate::models::{CatalogueItem, hub};

/// The model picker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// Filter and rows.
    pub picker: Picker,
}

impl OverlayUnit for Models {
    const CONTEXTS: &'static [Context] = &[Context::Models, Context::Picker, Context::Overlay];
    const OPENS: Opens = &[(Command::Models, open), (Command::Model, open)];

    fn command(app: &mut App, command: Command) -> bool {
        match command {
            Command::FetchModel => app.fetch_chosen(),
            Command::RemoveModel => app.ask_to_remove_chosen(),
            _ => list::command::<Self>(app, command),
        }
    }

    as_a_list!();
}

fn open(app: &mut App) {
    list::open(app, Models::default());
    let at = app.model.catalogue.iter().position(|item| item.entry.name == app.model.name);
    list::select::<Models>(app, at);
    app.out.emit(Effect::ReadCatalogue);
}

impl Listed for Models {
    fn picker(&mut self) -> &mut Picker {
        &mut self.picker
    }

    fn rows(app: &App, filter: &str) -> Vec<usize> {
        let name = |item: &CatalogueItem| match (&item.entry.source, &item.entry.title) {
            (Source::Path(_), Some(title)) => title.clone(),
            _ => item.entry.name.clone(),
        };
        let names: Vec<String> = app.model.catalogue.iter().map(name).collect();
        fuzzy::rank(filter, &names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn choose(app: &mut App, row: usize) {
        app.overlays.pop();
        if let Some(name) = app.model.catalogue.get(row).map(|item| item.entry.name.clone()) {
            app.switch_model(&name);
        }
    }
}

impl App {
    /// What was typed has been done; the list is whole again below what was opened.
    fn clear_filter(&mut self) {
        if let Some(models) = self.overlays.find_mut::<Models>() {
            models.picker.filter = crate::app::LineEdit::default();
            models.picker.rows = (0..self.model.catalogue.len()).collect();
            models.picker.selected = 0;
        }
    }

    /// Fetches what the filter names, where that is a repository of the hub or an address.
    fn fetch_typed(&mut self, typed: &str) -> bool {
        if let Some((name, file)) = hub::address(typed) {
            let name = name.to_owned();
            match file {
                None => self.open_hub(&name),
                Some(file) => {
                    let source = Source::Hf(typed.to_owned());
                    let entry = hub::named(source, file, &self.config.models);
                    self.add_and_fetch(entry);
                }
            }
        } else if typed.starts_with("https://") || typed.starts_with("http://") {
            let path = typed.split(['?', '#']).next().unwrap_or_default();
            let entry = hub::named(Source::Url(typed.to_owned()), path, &self.config.models);
            self.add_and_fetch(entry);
        } else {
            return false;
        }
        true
    }

    /// Fetches a model that gets an entry in the configuration, if it has none.
    pub(super) fn add_and_fetch(&mut self, entry: ModelEntry) {
        if !self.config.models.iter().any(|other| other.name == entry.name) {
            self.config.models.push(entry.clone());
            self.out.emit(Effect::AddModel(Box::new(entry.clone())));
        }
        self.out.emit(Effect::ReadCatalogue);
        self.fetch_or_ask(entry);
    }

    fn fetch_chosen(&mut self) -> bool {
        let typed = self.overlays.top::<Models>().map(|open| open.picker.filter.text.trim().to_owned());
        if self.fetch_typed(&typed.unwrap_or_default()) {
            self.clear_filter();
            return true;
        }
        let item = list::chosen::<Models>(self).and_then(|row| self.model.catalogue.get(row));
        let Some((entry, there)) = item.map(|item| (item.entry.clone(), item.path.is_some())) else {
            return false;
        };
        if there {
            self.out.say(format!("{} is on this machine already", entry.name));
        } else {
            self.fetch_or_ask(entry);
        }
        true
    }

    /// Asks before the chosen model's file goes; a key that deletes in the filter stays the filter's.
    fn ask_to_remove_chosen(&mut self) -> bool {
        let filter = self.overlays.top::<Models>().map(|open| &open.picker.filter);
        if filter.is_none_or(|filter| filter.cursor < filter.text.len()) {
            return false;
        }
        let Some(row) = list::chosen::<Models>(self) else { return false };
        let Some(item) = self.model.catalogue.get(row) else { return false };
        let (name, there) = (item.entry.name.clone(), item.path.is_some());
        if let Source::Path(path) = &item.entry.source {
            self.out
                .warn(format!("{} is your own file; glassbox removes only what it fetched", path.display()));
        } else if there {
            let question = format!("Remove the file of {name}? It can be fetched again.");
            self.overlays.push(Confirm { question, action: ConfirmAction::RemoveModel(row) });
        } else {
            self.out.say(format!("{name} is not on this machine"));
        }
        true
    }

    /// Removes the file of a row of the catalogue.
    pub(super) fn remove_model(&mut self, row: usize) {
        let Some(entry) = self.model.catalogue.get(row).map(|item| item.entry.clone()) else { return };
        if entry.name == self.model.name && self.view().ready().is_some() {
            self.unload();
        }
        self.out.emit(Effect::RemoveModel(Box::new(entry)));
        self.out.emit(Effect::ReadCatalogue);
    }
}

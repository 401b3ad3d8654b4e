//! The model picker.
//!
//! Invariant: its keys are none that can be typed, so that a filter can begin with any letter.

use crossterm::event::KeyEvent;

use super::list::{self, Listed, as_a_list};
use super::{Confirm, Opens, OverlayUnit};
use crate::app::fetches::mebibytes;
use crate::app::{App, ConfirmAction, Effect, FetchState, Picker, input::fuzzy};
use crate::command::{Command, Context};
use crate::elsewhere::Elsewhere;
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
            Command::Choose if list::chosen::<Self>(app).is_none() => app.fetch_chosen(),
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
    app.out.emit(Effect::MeasureMachine);
}

/// Selects a row of the catalogue.
#[cfg(test)]
pub(crate) fn select_model(app: &mut App, row: Option<usize>) {
    list::select::<Models>(app, row);
}

impl Listed for Models {
    fn picker(&mut self) -> &mut Picker {
        &mut self.picker
    }

    fn rows(app: &App, filter: &str) -> Vec<usize> {
        let name = |item: &CatalogueItem| match (&item.entry.source, &item.entry.title, &item.offered) {
            (_, _, Some(offer)) => format!("{} {}", offer.model.title, item.entry.name),
            (Source::Path(_), Some(title), _) => title.clone(),
            _ => item.entry.name.clone(),
        };
        let names: Vec<String> = app.model.catalogue.iter().map(name).collect();
        fuzzy::rank(filter, &names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Switches to a model; one that is only recommended is fetched beside the chat first.
    fn choose(app: &mut App, row: usize) {
        let Some(item) = app.model.catalogue.get(row) else { return };
        if item.offered.is_some() {
            app.fetch_offered(item.entry.clone());
            return;
        }
        let name = item.entry.name.clone();
        app.overlays.pop();
        app.switch_model(&name);
    }
}

/// What a filter names beside the rows of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed<'a> {
    /// A repository of the hub.
    Repository(&'a str),
    /// One file of a repository, by its path there.
    File(&'a str),
    /// An address.
    Address(&'a str),
}

impl<'a> Typed<'a> {
    /// What a filter names, where that is something to fetch.
    #[must_use]
    pub fn of(filter: &'a str) -> Option<Self> {
        let filter = filter.trim();
        match hub::address(filter) {
            Some((name, None)) => Some(Self::Repository(name)),
            Some((_, Some(file))) => Some(Self::File(file)),
            None if filter.starts_with("https://") || filter.starts_with("http://") => {
                Some(Self::Address(filter))
            }
            None => None,
        }
    }
}

impl Models {
    /// What was typed has been done; the list of so many models is whole again below what was opened.
    fn clear_filter(&mut self, models: usize) {
        self.picker.filter = crate::app::LineEdit::default();
        self.picker.rows = (0..models).collect();
        self.picker.selected = 0;
    }
}

impl App {
    /// Fetches what the filter names, where that is a repository of the hub or an address.
    fn fetch_typed(&mut self, typed: &str) -> bool {
        let (source, path) = match Typed::of(typed) {
            None => return false,
            Some(Typed::Repository(name)) => {
                self.open_hub(name);
                return true;
            }
            Some(Typed::File(file)) => (Source::Hf(typed.to_owned()), file),
            Some(Typed::Address(address)) => {
                (Source::Url(typed.to_owned()), address.split(['?', '#']).next().unwrap_or_default())
            }
        };
        let entry = hub::named(source, path, &self.config.models);
        self.add_and_fetch(entry);
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

    /// Asks the hub about a model to recommend, whose checksum and makers' settings it knows, and then fetches it.
    fn fetch_offered(&mut self, entry: ModelEntry) {
        let Source::Hf(address) = &entry.source else { return };
        let Some((repository, _)) = hub::address(address).filter(|_| !self.model.asked_hub.contains(&entry))
        else {
            return;
        };
        self.out.say(format!("asking the hub about {} …", entry.name));
        self.out.emit(Effect::ReadHub(repository.to_owned()));
        self.model.asked_hub.push(entry);
    }

    /// The hub has answered about a repository; whether one of its models was to be fetched.
    pub(super) fn offered_read(&mut self, repository: &str, offer: &Result<hub::Offer, String>) -> bool {
        let of = |entry: &ModelEntry| match &entry.source {
            Source::Hf(address) => hub::address(address).is_some_and(|(name, _)| name == repository),
            _ => false,
        };
        let Some(at) = self.model.asked_hub.iter().position(of) else { return false };
        let asked = self.model.asked_hub.remove(at);
        let Source::Hf(address) = &asked.source else { return true };
        let path = address.split_once(':').map_or("", |(_, path)| path);
        match offer {
            Err(problem) => self.out.fail(format!("{} was not fetched: {problem}", asked.name)),
            Ok(offer) => match offer.repository.files.iter().find(|file| file.path == path) {
                None => self
                    .out
                    .fail(format!("{repository} has no {path} any more; type its name to see what it has")),
                Some(file) => {
                    let entry = offer.entry(file, &self.config.models);
                    self.add_and_fetch(ModelEntry { licence: asked.licence, ..entry });
                }
            },
        }
        true
    }

    /// Fetches the chosen model; one that is being fetched is paused.
    fn fetch_chosen(&mut self) -> bool {
        let typed = self.overlays.top::<Models>().map(|open| open.picker.filter.text.trim().to_owned());
        if self.fetch_typed(&typed.unwrap_or_default()) {
            if let Some(models) = self.overlays.find_mut::<Models>() {
                models.clear_filter(self.model.catalogue.len());
            }
            return true;
        }
        let item = list::chosen::<Models>(self).and_then(|row| self.model.catalogue.get(row));
        let Some(item) = item.cloned() else { return false };
        if item.entry.server().is_some() {
            self.open_served(item.entry);
            return true;
        }
        if let Some(place) = Elsewhere::of(&item.entry) {
            self.out.say(format!(
                "{} is on {}; what is fetched for it is fetched there",
                item.entry.name, place.host
            ));
            return true;
        }
        match (self.model.fetch_of(&item.entry.name).map(|fetch| &fetch.state), &item.path) {
            (Some(FetchState::Running | FetchState::Waiting), _) => self.pause_fetch(&item.entry.name),
            (_, Some(_)) => self.out.say(format!("{} is on this machine already", item.entry.name)),
            _ if item.offered.is_some() => self.fetch_offered(item.entry),
            _ => self.fetch_or_ask(item.entry),
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
        let arrived = self.model.fetch_of(&name).map(|fetch| fetch.stages[0].1).filter(|_| !there);
        if let Some(left) = arrived.or(item.unfinished.map(|left| left.done)) {
            let question =
                format!("Give up fetching {name}, and drop the {} that are here?", mebibytes(left));
            self.overlays.push(Confirm { question, action: ConfirmAction::DiscardFetch(row) });
        } else if let Some(place) = Elsewhere::of(&item.entry) {
            self.out.say(format!("{name} is on {}; its file is removed there", place.host));
        } else if let Source::Path(path) = &item.entry.source {
            self.out
                .warn(format!("{} is your own file; glassbox removes only what it fetched", path.display()));
        } else if let Source::Server(server) = &item.entry.source {
            self.out.say(format!("{name} runs on the server at {}; nothing of it is here", server.host()));
        } else if there {
            let bytes = item.facts.as_ref().ok().and_then(Option::as_ref).map(|facts| facts.file_size);
            let frees =
                bytes.map_or_else(String::new, |bytes| format!(" {} are free then.", mebibytes(bytes)));
            let question = format!("Remove the file of {name}?{frees} It can be fetched again.");
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

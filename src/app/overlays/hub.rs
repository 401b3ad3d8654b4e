//! What a repository of the hub offers, and the choice of one of its files.
//!
//! Invariant: rows are indices into the offer's files.

use crossterm::event::KeyEvent;

use super::OverlayUnit;
use super::list::{self, Listed, as_a_list};
use crate::app::{App, Effect, Picker, input::fuzzy};
use crate::command::{Command, Context};
use crate::models::hub::Offer;

/// The files of a repository.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hub {
    /// Which repository, `owner/name`.
    pub name: String,
    /// What it offers, once the hub has said so; or why it does not.
    pub offer: Option<Result<Offer, String>>,
    /// Filter and rows.
    pub picker: Picker,
}

impl OverlayUnit for Hub {
    as_a_list!(all);
}

impl Listed for Hub {
    fn picker(&mut self) -> &mut Picker {
        &mut self.picker
    }

    fn rows(app: &App, filter: &str) -> Vec<usize> {
        let offer = app.overlays.top::<Self>().and_then(|hub| hub.offer.as_ref()?.as_ref().ok());
        let files = offer.map_or(&[][..], |offer| &offer.repository.files);
        fuzzy::rank(filter, &files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>())
    }

    fn choose(app: &mut App, row: usize) {
        let offer = app.overlays.top::<Self>().and_then(|hub| hub.offer.clone()?.ok());
        let Some(offer) = offer else { return };
        let Some(file) = offer.repository.files.get(row) else { return };
        let entry = offer.entry(file, &app.config.models);
        app.overlays.pop();
        app.add_and_fetch(entry);
    }
}

impl App {
    /// Asks the hub for a repository's files.
    pub(super) fn open_hub(&mut self, name: &str) {
        self.overlays.push(Hub { name: name.to_owned(), ..Hub::default() });
        self.out.emit(Effect::ReadHub(name.to_owned()));
    }

    /// The hub has answered, or it cannot.
    pub(crate) fn hub_read(&mut self, name: &str, offer: Result<Offer, String>) {
        if self.offered_read(name, &offer) {
            return;
        }
        let recommended = offer.as_ref().ok().and_then(Offer::recommended);
        let Some(hub) = self.overlays.top_mut::<Hub>().filter(|hub| hub.name == name) else { return };
        hub.offer = Some(offer);
        Hub::refill(self);
        list::select::<Hub>(self, recommended);
    }
}

//! Models of the hub that this machine can run well, with the reasons; the list itself is `recommended.toml`.
//!
//! Invariant: what is said of speed is a prediction, and of memory what the file and its context need; the hub's own
//! listing says what is fetched.

use std::sync::OnceLock;

use serde::Deserialize;

use super::built_in::GEMMA_TERMS;
use super::hub::{HubFile, named};
use super::machine::{self, Machine};
use super::{CatalogueItem, Unfinished};
use crate::model_entry::{KnownSize, Licence, ModelEntry, Source};

/// Tokens a second from which on a reply can be read along.
pub const READABLE: f64 = 8.0;

/// A model of the list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommended {
    /// What people call it.
    pub title: String,
    /// `owner/name`.
    pub repository: String,
    /// Its file there.
    pub file: String,
    /// Its size as published, bytes.
    pub bytes: u64,
    /// What a token reads of it, bytes, where that is not all.
    reads: Option<u64>,
    /// How many weights it has, in words.
    pub parameters: String,
    /// Its licence, as its makers name it.
    pub licence: String,
    /// What it is good at.
    pub good_at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    model: Vec<Recommended>,
    terms: std::collections::BTreeMap<String, String>,
}

/// What a model of the list would be on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    /// The model.
    pub model: &'static Recommended,
    /// What it needs, bytes.
    pub needs: u64,
    /// What is free, bytes, where the system says.
    pub free: Option<u64>,
    /// Tokens a second that it can be expected to write.
    pub speed: f64,
    /// Whether it is the largest that fits and can be read along.
    pub recommended: bool,
}

impl Offered {
    /// Whether it fits; `None` where that is not known.
    #[must_use]
    pub fn fits(&self) -> Option<bool> {
        self.free.map(|free| self.needs <= free)
    }

    /// The quantisation that its file's name says.
    #[must_use]
    pub fn quantisation(&self) -> String {
        HubFile { path: self.model.file.clone(), ..HubFile::default() }.quantisation()
    }
}

fn list() -> &'static List {
    static LIST: OnceLock<List> = OnceLock::new();
    LIST.get_or_init(|| toml::from_str(include_str!("recommended.toml")).expect("the list is sound"))
}

/// The models of the list that have no entry yet, as this machine would bear them.
#[must_use]
pub fn offered(machine: &Machine, entries: &[ModelEntry]) -> Vec<CatalogueItem> {
    let offers: Vec<Offered> = list().model.iter().map(|model| offer(model, machine)).collect();
    let suits = |offer: &&Offered| offer.fits() == Some(true) && offer.speed >= READABLE;
    let best = offers.iter().filter(suits).max_by_key(|offer| offer.model.bytes).map(|offer| offer.model);
    let has_entry = |entry: &ModelEntry| entries.iter().any(|other| other.source == entry.source);
    let items = offers.into_iter().map(|offer| {
        let recommended = best == Some(offer.model);
        item(Offered { recommended, ..offer }, entries)
    });
    items.filter(|item| !has_entry(&item.entry)).collect()
}

fn offer(model: &'static Recommended, machine: &Machine) -> Offered {
    Offered {
        model,
        needs: machine::needs(model.bytes),
        free: machine.free,
        speed: machine::predicted_speed(model.reads.unwrap_or(model.bytes), machine.bandwidth),
        recommended: false,
    }
}

fn item(offer: Offered, entries: &[ModelEntry]) -> CatalogueItem {
    let model = offer.model;
    let source = Source::Hf(format!("{}:{}", model.repository, model.file));
    let terms = if model.licence == "Gemma" {
        Some(GEMMA_TERMS.to_owned())
    } else {
        list().terms.get(&model.licence).cloned()
    };
    let entry = ModelEntry {
        licence: Some(Licence { name: model.licence.clone(), terms }),
        size: Some(KnownSize { download: model.bytes, file: model.bytes }),
        ..named(source, &model.file, entries)
    };
    CatalogueItem {
        entry,
        path: None,
        facts: Ok(None),
        terms_accepted: false,
        unfinished: None::<Unfinished>,
        offered: Some(Box::new(offer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(free: u64, bandwidth: f64) -> Machine {
        Machine { free: Some(free), bandwidth }
    }

    fn recommended(machine: &Machine) -> Option<&'static str> {
        let items = offered(machine, &[]);
        let mut offers = items.iter().filter_map(|item| item.offered.as_ref());
        offers.find(|offer| offer.recommended).map(|offer| offer.model.title.as_str())
    }

    #[test]
    fn the_list_is_sound_and_in_order() {
        let list = list();
        assert!(list.model.len() >= 8 && list.model.is_sorted_by_key(|model| model.bytes));
        for model in &list.model {
            assert!(crate::models::hub::address(&model.repository).is_some(), "{}", model.repository);
            assert!(!offer(model, &machine(0, 1.0)).quantisation().is_empty(), "{}", model.file);
            assert!(model.reads.is_none_or(|reads| reads < model.bytes));
        }
        assert!(list.terms.keys().all(|name| list.model.iter().any(|model| model.licence == *name)));
    }

    #[test]
    fn the_largest_that_fits_and_can_be_read_along_is_recommended() {
        assert_eq!(recommended(&machine(64 << 30, 100e9)), Some("gpt-oss 20B"));
        assert_eq!(recommended(&machine(6 << 30, 40e9)), Some("Qwen3 4B"));
        // Room for all, and so slow that only small ones can be read along.
        assert_eq!(recommended(&machine(6 << 30, 10e9)), Some("Llama 3.2 1B"));
        assert_eq!(recommended(&machine(1 << 20, 40e9)), None);
        assert_eq!(recommended(&Machine { free: None, bandwidth: 40e9 }), None);
    }

    #[test]
    fn what_has_an_entry_is_not_offered_and_terms_are_asked_about() {
        let machine = machine(6 << 30, 40e9);
        let all = offered(&machine, &[]);
        let asks = |title: &str| {
            let of = |item: &&CatalogueItem| item.offered.as_ref().is_some_and(|o| o.model.title == title);
            all.iter().find(of).unwrap().entry.licence.as_ref().unwrap().terms.is_some()
        };
        assert!(asks("Gemma 3 4B") && asks("Llama 3.2 3B") && !asks("Qwen3 4B"));
        let fewer = offered(&machine, std::slice::from_ref(&all[0].entry));
        assert_eq!(fewer.len(), all.len() - 1);
    }
}

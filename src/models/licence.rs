//! Which terms of use the user has accepted.
//!
//! Invariant: an acceptance holds for one model and one text; changed terms are asked about again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::hash::{hash_bytes, write_toml};
use crate::model_entry::ModelEntry;

/// Model name → SHA-256 of the terms accepted for it.
#[derive(Default, Serialize, Deserialize)]
struct Accepted {
    #[serde(default)]
    accepted: BTreeMap<String, String>,
}

/// Whether the entry has no terms to accept, or they were accepted.
pub(super) fn accepted(file: &Path, entry: &ModelEntry) -> bool {
    match terms(entry) {
        None => true,
        Some(terms) => read(file).accepted.get(&entry.name) == Some(&hash_bytes(terms.as_bytes())),
    }
}

/// Remembers that the entry's terms were accepted.
pub(super) fn accept(file: &Path, entry: &ModelEntry) -> std::io::Result<()> {
    let Some(terms) = terms(entry) else { return Ok(()) };
    let mut all = read(file);
    all.accepted.insert(entry.name.clone(), hash_bytes(terms.as_bytes()));
    write_toml(file, &all)
}

fn terms(entry: &ModelEntry) -> Option<&str> {
    entry.licence.as_ref()?.terms.as_deref()
}

fn read(file: &Path) -> Accepted {
    std::fs::read_to_string(file).ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or_default()
}

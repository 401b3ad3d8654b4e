//! One fetch under way: what is fetched, who listens, and how it is stopped.
//!
//! Invariant: long work on the disk runs on the blocking pool, reports through a channel and stops within
//! one chunk of being cancelled.

use std::path::Path;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::FetchError;
use crate::model_entry::{ModelEntry, amount};
use crate::models::{FetchEvent, FetchStage, ModelsFolder, disk};

/// A fetch under way.
pub(super) struct Job<'a> {
    pub(super) entry: &'a ModelEntry,
    pub(super) folder: &'a ModelsFolder,
    pub(super) progress: &'a (dyn Fn(FetchEvent) + Send + Sync),
    pub(super) cancel: CancellationToken,
}

/// What blocking work holds of its job.
pub(super) struct Reporter {
    name: String,
    reports: mpsc::UnboundedSender<(FetchStage, u64, u64)>,
    cancel: CancellationToken,
    last: Option<(FetchStage, u64)>,
}

/// Bytes between two reports of one stage.
const REPORT_EVERY: u64 = 2 << 20;

impl Job<'_> {
    pub(super) fn name(&self) -> String {
        self.entry.name.clone()
    }

    pub(super) fn report(&self, stage: FetchStage, done: u64, total: u64) {
        (self.progress)(FetchEvent::Progress { name: self.name(), stage, done, total });
    }

    /// Says something that the user should know, while it goes on.
    #[cfg(feature = "remote")]
    pub(super) fn note(&self, message: String) {
        tracing::info!(name = self.entry.name, message, "a download");
        (self.progress)(FetchEvent::Noted { name: self.name(), message });
    }

    /// Fails where so many more bytes do not fit beside a file.
    pub(super) fn has_room(&self, needed: u64, path: &Path) -> Result<(), FetchError> {
        let free = disk::free(path);
        match disk::missing(needed, free) {
            None => Ok(()),
            Some(_) => Err(FetchError::NoRoom {
                name: self.name(),
                needed: amount(needed),
                free: amount(free.unwrap_or_default()),
                folder: path.parent().unwrap_or(path).to_owned(),
            }),
        }
    }

    pub(super) fn cancelled(&self) -> FetchError {
        FetchError::Cancelled { name: self.name() }
    }

    /// Runs `work` on the blocking pool and passes its reports on.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Reporter) -> Result<T, FetchError> + Send + 'static,
    ) -> Result<T, FetchError> {
        let (reports, mut incoming) = mpsc::unbounded_channel();
        let mut reporter = Reporter { name: self.name(), reports, cancel: self.cancel.clone(), last: None };
        let task = tokio::task::spawn_blocking(move || work(&mut reporter));
        while let Some((stage, done, total)) = incoming.recv().await {
            self.report(stage, done, total);
        }
        match task.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Reporter {
    /// Says how far a stage is.
    ///
    /// # Errors
    /// If the job was cancelled.
    pub(super) fn advance(&mut self, stage: FetchStage, done: u64, total: u64) -> Result<(), FetchError> {
        if self.cancel.is_cancelled() {
            return Err(FetchError::Cancelled { name: self.name.clone() });
        }
        let due = match self.last {
            Some((last, at)) => last != stage || done >= at + REPORT_EVERY || done == total,
            None => true,
        };
        if due {
            self.last = Some((stage, done));
            // The listener is gone only when the fetch was dropped, and then nobody wants to know.
            let _ = self.reports.send((stage, done, total));
        }
        Ok(())
    }
}

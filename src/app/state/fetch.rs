//! A model that is being fetched: how far, how fast, and what becomes of it.
//!
//! Invariant: its entry is here, so that a fetch that waits can begin, and one that failed can begin again.

use std::collections::VecDeque;

use crate::model_entry::ModelEntry;
use crate::models::{FetchStage, Unfinished};

/// The speed is measured over so long, ms.
const OVER_MS: u64 = 4000;

/// A fetch: one that waits, is under way, or failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// The model.
    pub entry: ModelEntry,
    /// Stage by stage: bytes done and in all.
    pub stages: [(FetchStage, u64, u64); 3],
    /// Which stage is under way.
    pub stage: FetchStage,
    /// Bytes a second of the download.
    pub speed: f32,
    /// How it stands.
    pub state: FetchState,
    /// When how many bytes were there, ms, of the last moments.
    pub(crate) seen: VecDeque<(u64, u64)>,
}

/// How a fetch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchState {
    /// Others are fetched first.
    Waiting,
    /// Under way.
    Running,
    /// Told to stop; what then.
    Stopping(AfterStop),
    /// It failed: why and what to do.
    Failed(String),
}

/// What becomes of a fetch that was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterStop {
    /// What has arrived is kept.
    Keep,
    /// It goes on after all.
    GoOn,
    /// What has arrived is dropped.
    Discard,
}

impl Fetch {
    /// One that waits.
    pub fn new(entry: ModelEntry) -> Self {
        let (download, file) = entry.size.map_or((0, 0), |size| (size.download, size.file));
        Self {
            entry,
            stages: [
                (FetchStage::Download, 0, download),
                (FetchStage::Unpack, 0, file),
                (FetchStage::Check, 0, file),
            ],
            stage: FetchStage::Download,
            speed: 0.0,
            state: FetchState::Waiting,
            seen: VecDeque::new(),
        }
    }

    /// Why it failed, if it did.
    pub fn failed(&self) -> Option<&str> {
        match &self.state {
            FetchState::Failed(why) => Some(why),
            _ => None,
        }
    }

    /// Whether it takes one of the places of those that are fetched at once.
    pub fn is_busy(&self) -> bool {
        matches!(self.state, FetchState::Running | FetchState::Stopping(_))
    }

    /// It went on.
    pub(crate) fn progress(&mut self, now: u64, stage: FetchStage, done: u64, total: u64) {
        self.stage = stage;
        for row in self.stages.iter_mut().filter(|row| row.0 == stage) {
            row.1 = done;
            if total > 0 {
                row.2 = total;
            }
        }
        if stage == FetchStage::Download {
            self.seen.push_back((now, done));
            while self.seen.len() > 2 && self.seen.get(1).is_some_and(|(at, _)| at + OVER_MS < now) {
                self.seen.pop_front();
            }
            let (since, before) = self.seen.front().copied().unwrap_or((now, done));
            self.speed =
                done.saturating_sub(before) as f32 * 1000.0 / now.saturating_sub(since).max(1) as f32;
        }
    }

    /// How much of the stage under way is done, 0 to 1; `None` where that is not known.
    pub fn share(&self) -> Option<f64> {
        let (_, done, total) = self.stages.iter().find(|row| row.0 == self.stage)?;
        (*total > 0).then(|| (*done as f64 / *total as f64).min(1.0))
    }

    /// Seconds until the download is done; `None` where that is not known.
    pub fn seconds_left(&self) -> Option<u64> {
        let (_, done, total) = self.stages[0];
        let known = self.stage == FetchStage::Download && self.speed > 0.0 && total > 0;
        known.then(|| (total.saturating_sub(done) as f64 / f64::from(self.speed)).round() as u64)
    }

    /// What has arrived.
    pub(crate) fn arrived(&self) -> Unfinished {
        Unfinished { done: self.stages[0].1, total: self.stages[0].2 }
    }
}

//! What is under way: the reply being written, what waits, the model and its fetch.
//!
//! Invariant: at most one reply is written at a time, in whatever chat.

use std::collections::{BTreeSet, VecDeque};

use super::Fetch;
use crate::chat::{Adapter, ConversationId, RunId, TurnId, Typed};
use crate::engine::protocol::{Containment, Loaded, PromptFacts, RequestId};
use crate::model_entry::ModelEntry;
use crate::models::CatalogueItem;
use crate::models::machine::Machine;

/// The reply being written.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveRun {
    /// The chat.
    pub chat: ConversationId,
    /// The turn being written.
    pub turn: TurnId,
    /// The run.
    pub run: RunId,
    /// The request.
    pub request: RequestId,
    /// What it does now.
    pub phase: Phase,
    /// What it started from, once known.
    pub prompt: Option<PromptFacts>,
    /// Tokens written.
    pub written: u32,
    /// When it was asked for, ms.
    pub started_at: u64,
    /// The user asked to stop it.
    pub stopping: bool,
    /// Messages were left out so that it has room.
    pub made_room: bool,
}

/// The messages of a chat that are left out of its prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The first message after them.
    pub first_kept: TurnId,
    /// They.
    pub gone: BTreeSet<TurnId>,
}

/// What a run does now.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Asked for.
    Asked,
    /// Reading the prompt.
    Reading {
        /// Tokens read.
        done: u32,
        /// Tokens to read.
        total: u32,
    },
    /// Writing.
    Writing(Writing),
}

/// How fast a reply is written, and what of it the store has not got yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Writing {
    /// Tokens a second over the last second or so.
    pub speed: f32,
    /// Whether the engine makes room for other programs.
    pub machine_busy: bool,
    /// Arrival times of the last second's tokens, ms.
    pub(crate) arrivals: VecDeque<u64>,
    /// How many of the last steps were not handed to the store yet.
    pub(crate) unsaved: usize,
    /// When the first of them came, ms.
    pub(crate) unsaved_since: Option<u64>,
}

impl Writing {
    /// A token came; the speed is measured over the last `over` ms.
    pub(crate) fn came(&mut self, now: u64, over: u64) {
        self.arrivals.push_back(now);
        while self.arrivals.front().is_some_and(|at| at + over < now) {
            self.arrivals.pop_front();
        }
        let span = now.saturating_sub(self.arrivals.front().copied().unwrap_or(now));
        if span > 0 {
            self.speed = (self.arrivals.len() - 1) as f32 * 1000.0 / span as f32;
        }
        self.unsaved += 1;
        self.unsaved_since.get_or_insert(now);
    }
}

impl ActiveRun {
    /// Whether the engine makes room for other programs that keep the machine busy.
    pub fn machine_busy(&self) -> bool {
        matches!(&self.phase, Phase::Writing(Writing { machine_busy: true, .. }))
    }

    /// Tokens a second, once some have come.
    pub fn speed(&self) -> Option<f32> {
        match &self.phase {
            Phase::Writing(writing) => Some(writing.speed).filter(|speed| *speed > 0.0),
            Phase::Asked | Phase::Reading { .. } => None,
        }
    }
}

/// A message that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The chat it belongs to.
    pub chat: ConversationId,
    /// The turn it answers once stored, i.e. what must be generated: reply to this turn.
    pub reply_to: Option<TurnId>,
    /// Messages not yet stored as turns (typed while another reply was written), in the order in which they are sent.
    pub texts: Vec<Typed>,
}

/// The model and its engine.
#[derive(Debug, Default)]
pub struct ModelState {
    /// Name of the entry wanted or loaded.
    pub name: String,
    /// How it stands.
    pub status: ModelStatus,
    /// SHA-256 of the file, once known.
    pub hash: Option<String>,
    /// Workers on other machines that its engine was started with.
    pub workers: Vec<String>,
    /// What its engine is held to, as that said.
    pub containment: Containment,
    /// Tokens in the context: prompt and reply so far of the shown chat.
    pub used: u32,
    /// Adapters that the engine could not use when they were last asked for.
    pub left_out: Vec<Adapter>,
    /// Fetches under way, and those that failed, in the order in which they were asked for.
    pub fetches: Vec<Fetch>,
    /// The catalogue, as last read.
    pub catalogue: Vec<CatalogueItem>,
    /// What this machine can run, once it was measured.
    pub machine: Option<Machine>,
    /// Repositories that the hub was asked about, and the file of each that is to be fetched.
    pub(crate) asked_hub: Vec<ModelEntry>,
    /// Models whose terms were accepted.
    pub(crate) accepted: BTreeSet<String>,
}

/// How the model stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ModelStatus {
    /// None wanted yet.
    #[default]
    None,
    /// Its file is being fetched, or its terms wait to be accepted.
    Fetching,
    /// The engine is loading it; how far, 0 to 1.
    Loading(f32),
    /// Ready.
    Ready(Box<Loaded>),
    /// Unloaded because idle, or by the user; loads again when needed.
    Unloaded,
    /// It could not be loaded, or its engine died: what happened and what to do.
    Failed {
        /// For the user.
        message: String,
        /// Last lines of the engine's log.
        log_tail: Vec<String>,
    },
}

//! Bookkeeping of `update` that no pane shows: ids given out, what is kept back for a moment.
//!
//! Invariant: ids come from a seeded generator (splitmix64) and counters, so that a test can foresee them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{App, Effect};
use crate::chat::{ConversationId, TurnId};
use crate::store;
use crate::token::Step;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// State of the id generator.
    pub seed: u64,
    /// The text whose tokens are being counted for the draft.
    pub counting: String,
    /// The chat to show once the store has read it.
    pub open_next: Option<ConversationId>,
    /// Whether the newest chat is to be shown once the list is there.
    pub open_newest: bool,
    /// The turn to select in the chat that is opened next.
    pub open_at: Option<TurnId>,
    /// New titles of chats that are not in memory.
    pub renames: BTreeMap<ConversationId, String>,
    /// Draft of the chat that has no entry in the store.
    pub new_draft: String,
    /// Steps not handed to the store yet.
    pub unsaved_steps: Vec<Step>,
    /// When the first of them came, ms.
    pub unsaved_since: Option<u64>,
    /// Last use of the model, for unloading when idle, ms.
    pub last_use: u64,
    /// Arrival times of the last second's tokens, ms.
    pub arrivals: VecDeque<u64>,
    /// Whether quitting was asked for once already.
    pub quit_asked: bool,
    /// Messages left out of a chat's prompt because the context was full.
    pub left_out: BTreeMap<ConversationId, usize>,
    /// Models whose terms were accepted.
    pub accepted: BTreeSet<String>,
    /// Whether the user asked for the configuration to be read.
    pub config_asked: bool,
    /// Bytes that a resumed download began with.
    pub fetch_base: Option<u64>,
    /// What the changes made in the open settings overlay replaced, the newest last.
    pub settings_before: Vec<super::settings::Before>,
    /// Scores of typed text: what was asked and read.
    pub scores: super::scores::Asking,
    /// Vocabularies asked of the store.
    pub vocabularies_asked: BTreeSet<String>,
}

impl Book {
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A new positive id.
    pub fn id(&mut self) -> i64 {
        i64::try_from(self.random() >> 1).expect("63 bits fit").max(1)
    }

    /// A seed for the sampler.
    pub fn sampler_seed(&mut self) -> u32 {
        (self.random() >> 32) as u32
    }
}

impl App {
    /// Asks the runtime for something.
    pub(crate) fn emit(&mut self, effect: Effect) {
        self.requests.out.push(effect);
    }

    /// Asks the store for something.
    pub(crate) fn store(&mut self, command: store::Command) {
        if self.is_of_tour(&command) {
            return;
        }
        self.emit(Effect::Store(command));
    }

    /// Hands out what the update asked for.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        if self.requests.take_used() {
            self.book.last_use = self.now.mono_ms;
        }
        std::mem::take(&mut self.requests.out)
    }
}

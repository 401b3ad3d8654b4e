//! What is tried on the pass on display: parts off, parts patched, and the cards that were pinned.
//!
//! Invariant: a card is known by everything that was changed for it, so that it is never shown for another change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::protocol::Inspected;
use crate::inspect::trace::Component;
use crate::token::TokenId;

/// Choices of the why station, and what is tried.
#[derive(Debug, Default)]
pub struct WhyView {
    /// Which parts the why station lists.
    pub unit: Unit,
    /// What is changed for the card of the why station.
    pub tried: Trial,
    /// What was tried before, newest last.
    pub before: Vec<Trial>,
    /// The source of a patch that is being chosen.
    pub picking: Option<Picking>,
    /// Cards that stay, newest last.
    pub pins: Vec<Pin>,
    /// Whether each listed part is switched off alone, for the `off` column.
    pub asks_off: bool,
}

/// What is changed at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// Parts that are off.
    pub off: BTreeSet<Component>,
    /// Whether they are off at all positions rather than the pass's own.
    pub everywhere: bool,
    /// Parts that get, at the pass's own position, what they gave elsewhere.
    pub patches: BTreeMap<Component, Source>,
}

/// Where a patch comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The position.
    pub position: u32,
    /// What was read up to it, where that is another version's text; empty is the pass's own.
    pub text: Vec<TokenId>,
}

/// A source that is being chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picking {
    /// For which part.
    pub part: Component,
    /// As chosen so far.
    pub source: Source,
}

/// A card that stays on the screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    /// What was changed.
    pub tried: Trial,
    /// What came of it.
    pub seen: Arc<Inspected>,
}

/// What the why station lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Attention and feed-forward of each block.
    #[default]
    Blocks,
    /// Heads.
    Heads,
    /// Single neurons.
    Neurons,
}

impl Unit {
    /// The one after it.
    pub fn next(self) -> Self {
        match self {
            Self::Blocks => Self::Heads,
            Self::Heads => Self::Neurons,
            Self::Neurons => Self::Blocks,
        }
    }
}

impl Trial {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.off.is_empty() && self.patches.is_empty()
    }

    /// Whether it is this part alone that is off, at the pass's own position.
    pub fn is_off_alone(&self, part: Component) -> bool {
        self.patches.is_empty() && !self.everywhere && self.off.iter().eq([&part])
    }
}

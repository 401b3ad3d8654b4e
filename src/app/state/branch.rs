//! What branching shows: the alternatives of a token, the tree of branches, a look ahead, step mode.
//!
//! Invariant: places are a turn and an index over all its tokens, kept stretches included.

use std::sync::Arc;

use super::LineEdit;
use crate::app::{Asker, Query, Question, TokenCursor};
use crate::chat::TurnId;
use crate::engine::protocol::BeamPaths;
use crate::inspect::distribution::Distribution;
use crate::token::{Step, TokenId};

/// The alternatives of one token.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternatives {
    /// The token.
    pub at: TokenCursor,
    /// Its numbers.
    pub step: Step,
    /// Hash of the vocabulary its ids belong to.
    pub vocabulary: Option<String>,
    /// Versions of the reply that part here, or go through here, with their token; the shown one too.
    pub versions: Vec<(TokenId, TurnId)>,
    /// The whole distribution, once it was read again.
    pub whole: Option<Arc<Distribution>>,
    /// The token whose whole distribution is being read.
    pub asking: Query<WholeOf>,
    /// A token to take as soon as its odds are known.
    pub wanted: Option<TokenId>,
    /// What the vocabulary is filtered by.
    pub filter: LineEdit,
    /// Whether every character goes into the filter.
    pub typing: bool,
    /// Tokens listed, likeliest first.
    pub rows: Vec<TokenId>,
    /// Which is selected.
    pub selected: usize,
}

/// The whole distribution that a token was chosen from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeOf(pub TokenCursor);

impl Question for WholeOf {
    const ASKER: Asker = Asker::Alternatives;
}

/// The branches at one token.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The version that counts as "as it is now", and the token where the others part from it.
    pub at: TokenCursor,
    /// Which row is selected: branches first, then candidates that were not taken.
    pub selected: usize,
    /// The version laid beside.
    pub compare: Option<TurnId>,
    /// Where there is room for one of both: whether that is the comparison.
    pub comparing: bool,
    /// First row of the comparison shown.
    pub scroll: usize,
    /// Whether bars are relative to the largest of them.
    pub renormalised: bool,
}

/// One row of the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeRow {
    /// The token with which it begins.
    pub id: TokenId,
    /// ln p of that token, nats.
    pub logprob: f32,
    /// The version that goes through it: the shown one, else the newest; `None` if it was not taken.
    pub turn: Option<TurnId>,
    /// How many versions go through it.
    pub versions: usize,
    /// Bytes of what follows the token, the first of them.
    pub tail: Vec<u8>,
    /// Tokens from here on.
    pub tokens: usize,
    /// ln p of all of them together, nats.
    pub total: f32,
}

/// A look ahead.
#[derive(Clone, Debug, PartialEq)]
pub struct Ahead {
    /// The place: the paths take the place of this token, or follow the last one.
    pub at: TokenCursor,
    /// Hash of the vocabulary.
    pub vocabulary: Option<String>,
    /// What has been read before it.
    pub ids: Arc<Vec<TokenId>>,
    /// What the engine is asked.
    pub asking: Query<AheadOf>,
    /// Whether the beam has come.
    pub looked: bool,
    /// Where it led.
    pub found: BeamPaths,
    /// Which path is selected.
    pub selected: usize,
    /// A path being taken, and its tokens' numbers as far as they have come.
    pub taking: Option<(usize, Vec<Step>)>,
}

/// What a look ahead asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AheadOf {
    /// The likeliest continuations.
    Paths,
    /// The numbers of one path's tokens.
    Numbers(usize),
}

impl Question for AheadOf {
    const ASKER: Asker = Asker::LookAhead;
}

impl Ahead {
    /// What is to be asked next.
    pub fn next(&self) -> Option<AheadOf> {
        if !self.looked {
            return Some(AheadOf::Paths);
        }
        self.taking.as_ref().map(|(path, _)| AheadOf::Numbers(*path))
    }

    /// Why that cannot be done, if it was asked.
    pub fn refused(&self) -> Option<&str> {
        self.asking.refusal(&self.next()?)
    }
}

/// Step mode: a reply goes token by token, by key or by the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepMode {
    /// Whether it is on: for the reply being written, or the next one.
    pub on: bool,
    /// Whether the engine waits for a key.
    pub paused: bool,
    /// Slow motion: a token every so many ms; stays on for the replies to come.
    pub every_ms: Option<u64>,
    /// When the next token of the slow reply may be written, ms; the engine waits for it.
    pub next_at: Option<u64>,
}

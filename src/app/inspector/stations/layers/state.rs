//! What the app knows of the depths of passes: at which layer each token was decided, and grids of layers over tokens.
//!
//! Invariant: a decision is kept under its token and is of one model's file; a grid names everything that was read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::app::{EngineId, TokenCursor};
use crate::chat::TurnId;
use crate::engine::protocol::RequestId;
use crate::inspect::depth::Depth;
use crate::token::TokenId;

/// What decides about what is to be coloured. While it stays the same there is nothing more to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The engine.
    pub engine: EngineId,
    /// The branch, by its last message.
    pub leaf: Option<TurnId>,
    /// Whether special tokens are shown.
    pub special: bool,
    /// How many messages are scored, and how many decisions known.
    pub known: (usize, usize),
}

/// Decisions, grids, and what is being read for them.
#[derive(Debug, Default)]
pub struct Depths {
    /// Hash of the model's file, or its name, that everything here is of.
    pub model: String,
    /// How many blocks it has.
    pub layers: u32,
    /// The layer of decision by token; `None` for one that was not the model's first choice.
    pub decided: BTreeMap<TokenCursor, Option<u32>>,
    /// Grids, newest last.
    pub grids: Vec<Grid>,
    /// The layers' bars as ranks rather than probabilities.
    pub ranks: bool,
    /// Whether the layers station shows the grid.
    pub shows_grid: bool,
    /// What the engine is reading now.
    pub pending: Option<Reading>,
    /// What could not be read: the engine, the message or none for a grid, and why.
    pub failed: Option<(EngineId, Option<TurnId>, String)>,
    /// Messages of which nothing more can be known from this engine.
    pub closed: BTreeSet<(EngineId, TurnId)>,
    /// What things were like when nothing more was to be coloured.
    pub settled: Option<Settled>,
    /// Whether a long reading was agreed to, for the colouring in use.
    pub agreed: bool,
    /// What a token took last, ms: for a decision, and for a column of the grid.
    pub price: (Option<f32>, Option<f32>),
}

/// A reading under way.
#[derive(Debug)]
pub struct Reading {
    /// Asked of which engine.
    pub engine: EngineId,
    /// Under which id.
    pub request: RequestId,
    /// What for.
    pub of: ReadingOf,
    /// Tokens that have come.
    pub came: u32,
}

/// What a reading is for.
#[derive(Debug, PartialEq)]
pub enum ReadingOf {
    /// Colours: the message, and its tokens by their place in what was read.
    Colours(TurnId, BTreeMap<u32, usize>),
    /// A grid over this text, from this token on.
    Grid(Arc<Vec<TokenId>>, u32),
}

/// Layers over the tokens of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Everything that was read, up to and including the last token.
    pub ids: Arc<Vec<TokenId>>,
    /// Index of the first token that has a column.
    pub from: u32,
    /// The columns that have come.
    pub tokens: Vec<Depth>,
}

impl Grid {
    /// Whether it has a column for the token that was chosen after `ids`, once all have come.
    pub fn covers(&self, ids: &[TokenId], chosen: TokenId) -> bool {
        let place = ids.len();
        place >= self.from as usize
            && self.ids.get(..place) == Some(ids)
            && self.ids.get(place) == Some(&chosen)
    }
}

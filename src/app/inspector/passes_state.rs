//! The inside of passes as the app knows it: what was read, and what of it the stations show.
//!
//! Invariant: what is kept names the token it is of, so that a figure is never shown beside another token.

use std::sync::Arc;

use super::stations::why::Trial;
use crate::app::{Asker, Query, Question, TokenCursor};
use crate::engine::protocol::{Embed, Inspect, Inspected};
use crate::token::TokenId;

/// Choices within the stations 1 to 6 and 9, and what has been read for them.
#[derive(Debug, Default)]
pub struct Inside {
    /// The block that is opened: in attention, feed-forward, position; the selected row of the layers.
    pub layer: u32,
    /// Whether the block and the head were chosen; until then the app opens a telling one.
    pub aimed: bool,
    /// The query head that is opened.
    pub head: u32,
    /// Whether the opened head alone is shown, where there is no room for both.
    pub opened: bool,
    /// The selected row of a list (neurons, parts, neighbours, merges).
    pub row: usize,
    /// The token that the chosen one is held against; `None` is the runner-up.
    pub rival: Option<TokenId>,
    /// Whether each station shows the other of a token's two passes than it begins with; see `Display::own_pass`.
    pub other_pass: bool,
    /// Passes that were read, newest last.
    pub passes: Vec<InsidePass>,
    /// What the engine is asked.
    pub asking: Query<Wish>,
    /// What a look costs while a reply is written, ms a token, and every how many tokens the engine looks.
    pub live_price: Option<(f32, u32)>,
}

/// A pass that was opened: all that is known of it, from several requests.
#[derive(Clone, Debug)]
pub struct InsidePass {
    /// The token on display.
    pub at: TokenCursor,
    /// Whether this is the pass at that token rather than the one that chose it.
    pub own: bool,
    /// Hash of the model's file, or its name.
    pub model: String,
    /// What it did, as one.
    pub seen: Arc<Inspected>,
    /// What was tried on it, and the pass so changed.
    pub cards: Vec<(Trial, Arc<Inspected>)>,
}

/// Something to ask the engine for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// A pass.
    Pass(TokenCursor, Box<Inspect>),
    /// Rows of the embedding table.
    Embed(Box<Embed>),
    /// How a text is cut and merged.
    Pieces(String),
}

impl Question for Wish {
    const ASKER: Asker = Asker::Station;
}

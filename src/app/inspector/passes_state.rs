//! The inside of passes as the app knows it: what was read, and what of it the stations show.
//!
//! Invariant: what is kept names the token it is of, so that a figure is never shown beside another token.

use std::sync::Arc;

use super::stations::embedding::Arithmetic;
use super::stations::tokens::Pieced;
use super::stations::why::{Picking, Pin, Trial, Unit};
use crate::app::{EngineId, TokenCursor};
use crate::engine::protocol::{Embed, Inspect, Inspected, RequestId};
use crate::inspect::feed_forward::NeuronOrder;
use crate::inspect::pieces::Pieces;
use crate::inspect::trace::EmbeddingFacts;
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
    /// Attention as raw weights rather than weighted by the values' norms.
    pub raw: bool,
    /// The layers' bars as ranks rather than probabilities.
    pub ranks: bool,
    /// The selected row of a list (neurons, parts, neighbours, merges).
    pub row: usize,
    /// Words added and taken away, in place of the token on display.
    pub arithmetic: Option<Arithmetic>,
    /// Tokens that the user put onto the map of embeddings.
    pub added: Vec<TokenId>,
    /// Whether that map shows the token's neighbours rather than the text's tokens.
    pub map_near: bool,
    /// Angles of the position station in degrees rather than as hands.
    pub degrees: bool,
    /// Whether the position station's arrows choose the head and the token that is read.
    pub picking_head: bool,
    /// The distance that the position station tells of; `None` for the real one.
    pub apart: Option<u32>,
    /// The frequency pair that the position station tells of, counted from the strongest.
    pub pair: usize,
    /// Whether cosines of the matrix have the mean of the table taken off.
    pub centred: bool,
    /// Where the span of the matrix begins.
    pub anchor: Option<TokenCursor>,
    /// Whether the arrows move in the list of neurons rather than in that of the layers.
    pub on_neurons: bool,
    /// Neurons by their push rather than by what they write.
    pub by_push: bool,
    /// The model, and the longest write that the bars of feed-forwards show: set by its first pass.
    pub write_scale: Option<(String, f32)>,
    /// The position that the position station holds the pass against; `None` is the head's strongest.
    pub other: Option<u32>,
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
    /// The token that the chosen one is held against; `None` is the runner-up.
    pub rival: Option<TokenId>,
    /// Whether each station shows the other of a token's two passes than it begins with; see `App::own_pass`.
    pub other_pass: bool,
    /// Passes that were read, newest last.
    pub passes: Vec<InsidePass>,
    /// Rows of the embedding table that were asked about, newest last, by vocabulary hash.
    pub embeddings: Vec<(String, Embed, Arc<EmbeddingFacts>)>,
    /// The tokens station's own choices.
    pub pieced: Pieced,
    /// Texts whose pieces are known, newest last, by vocabulary hash.
    pub pieces: Vec<(String, String, Arc<Pieces>)>,
    /// What the engine is reading now: engine, request, and what for.
    pub pending: Option<(EngineId, RequestId, Wish)>,
    /// What could not be read, of which engine, and why.
    pub failed: Option<(EngineId, Wish, String)>,
    /// How far the reading is: tokens done of tokens to read.
    pub progress: Option<(u32, u32)>,
    /// What is opened while a reply is written.
    pub live: LiveLooks,
}

/// Passes opened while a reply is written.
#[derive(Debug, Default)]
pub struct LiveLooks {
    /// What a look costs, ms a token, and every how many tokens the engine looks.
    pub price: Option<(f32, u32)>,
    /// Whether the last refusal was only for the reply that is being written.
    pub busy: bool,
}

impl Inside {
    /// What neurons are listed by.
    #[must_use]
    pub fn neuron_order(&self) -> NeuronOrder {
        if self.by_push { NeuronOrder::Push } else { NeuronOrder::Write }
    }
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

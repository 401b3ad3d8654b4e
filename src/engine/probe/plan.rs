//! What the probe is to copy, and what it copied.
//!
//! Invariant: everything but [`Plan::residual_of_all`] and [`Plan::rows`] is of one token, the last of the last batch;
//! positions count from 0 in its sequence.

use crate::engine::compute::graph::Operand;
use crate::inspect::position::Yarn;
use crate::inspect::trace::PositionKind;

/// Layers of which something is copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Layers {
    /// Of none.
    #[default]
    None,
    /// Of all.
    All,
    /// Of these.
    Only(Vec<u32>),
}

impl Layers {
    /// Whether that layer is among them.
    #[must_use]
    pub fn has(&self, layer: u32) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(layers) => layers.contains(&layer),
        }
    }

    fn is_none(&self) -> bool {
        match self {
            Self::None => true,
            Self::All => false,
            Self::Only(layers) => layers.is_empty(),
        }
    }
}

/// What the decodes from now on are to show of their last token. Empty copies nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The residual stream at every depth, and what every block's projections gave.
    pub residual: bool,
    /// The residual stream at every depth, of all tokens of the batch, one after the other: [`Captured::embedding`]
    /// and [`LayerCapture::resid_post`]; of the last block only those whose logits were asked for.
    pub residual_of_all: bool,
    /// The input of every output projection: the heads, one after the other.
    pub z: bool,
    /// Attention weights.
    pub pattern: Layers,
    /// scale · q·k before mask and softmax.
    pub attn_scores: Layers,
    /// Inputs of the down projection, and the experts of a mixture.
    pub neurons: Layers,
    /// The query after rotation, and the keys and values of the cache.
    pub queries: Layers,
    /// What it takes to say how much each head writes: the heads, position 0's values, the output projections, the
    /// stream after each block.
    pub head_contribution: bool,
    /// Attention weights of every token of the batch.
    pub rows: Rows,
}

/// Whose attention weights are copied for every token of the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// Nobody's.
    #[default]
    None,
    /// One head's: block and query head.
    Head(u32, u32),
    /// Of every block the mean of its heads.
    Mean,
    /// Every head's of every block.
    Every,
}

impl Rows {
    /// Whether something of that layer is copied.
    #[must_use]
    pub fn has(self, layer: u32) -> bool {
        match self {
            Self::None => false,
            Self::Head(of, _) => of == layer,
            Self::Mean | Self::Every => true,
        }
    }
}

impl Plan {
    /// Whether nothing is to be copied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let layers = [&self.pattern, &self.attn_scores, &self.neurons, &self.queries];
        let others = self.residual
            || self.residual_of_all
            || self.z
            || self.head_contribution
            || self.rows != Rows::None;
        !others && layers.into_iter().all(Layers::is_none)
    }

    /// Whether what is copied is of tokens by where they stand, so that it matters which cell holds which.
    pub(super) fn asks_where(&self) -> bool {
        let layers = [&self.pattern, &self.attn_scores, &self.queries];
        self.head_contribution || self.rows != Rows::None || !layers.into_iter().all(Layers::is_none)
    }

    /// Whether what is copied of one node depends on no other, so that some of it may be read later.
    pub(super) fn may_wait(&self) -> bool {
        let together = self.residual_of_all || self.head_contribution || self.rows != Rows::None;
        !self.is_empty() && !together && self.attn_scores.is_none() && self.queries.is_none()
    }
}

/// What the last decode showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Captured {
    /// The stream that enters block 0, scaled and with learned positions where the model has them.
    pub embedding: Vec<f32>,
    /// One entry a block.
    pub layers: Vec<LayerCapture>,
    /// Whether attention was computed as flash attention, which has no weights; they were then worked out beside it.
    pub flash: bool,
    /// How the model knows positions, as far as its graph shows.
    pub position_kind: PositionKind,
    /// What was asked for and this graph does not have, in words.
    pub missing: Vec<String>,
}

/// What a block did. Vectors are empty where they were not asked for or the model has no such thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerCapture {
    /// The residual stream between attention and feed-forward.
    pub resid_mid: Vec<f32>,
    /// The residual stream after the block.
    pub resid_post: Vec<f32>,
    /// What the output projection gave, before any norm that follows.
    pub attn_out: Vec<f32>,
    /// What the down projection gave, before any norm that follows.
    pub ffn_out: Vec<f32>,
    /// Input of the output projection.
    pub z: Vec<f32>,
    /// Attention weights, `[head][position]`.
    pub pattern: Vec<Vec<f32>>,
    /// scale · q·k, `[head][position]`; 0 where the mask hides the position.
    pub attn_scores: Vec<Vec<f32>>,
    /// Inputs of the down projection; in a mixture those of each used expert, one after the other.
    pub neurons: Vec<f32>,
    /// In a mixture the used experts with their weights, in the order of `neurons`.
    pub experts: Vec<(u32, f32)>,
    /// Whether the feed-forward is a mixture.
    pub mixture: bool,
    /// Inputs of the down projection of the experts that a mixture always uses.
    pub shared: Vec<f32>,
    /// The gate on what those give; `None` where there is none.
    pub shared_gate: Option<f32>,
    /// The query after rotation, one head after the other.
    pub query: Vec<f32>,
    /// Keys of the cache after rotation: of each key-value head, one position after the other.
    pub keys: Vec<Vec<f32>>,
    /// Values of the cache, likewise.
    pub values: Vec<Vec<f32>>,
    /// Whether the heads are gated or normed before they are projected, so that a value's way into the stream is another
    /// one than the projection alone.
    pub altered: bool,
    /// How the query was rotated; `None` where it was not.
    pub rope: Option<Rope>,
    /// Factor on q·k.
    pub scale: f32,
    /// How many positions back the mask lets through, where it hides some.
    pub window: Option<u32>,
    /// The largest slope on the distance (`ALiBi`); 0 where scores have none.
    pub slope: f32,
    /// The share that a learned sink took, a head each; empty where there is none.
    pub sink: Vec<f32>,
    /// Position 0's values, of each key-value head.
    pub first: Vec<Vec<f32>>,
    /// The output projection's weight.
    pub projection: Option<Operand>,
    /// Attention weights of the batch's tokens, `[head][token][position]`, each row up to the token's own position;
    /// one head, or the mean, where the plan said so.
    pub rows: Vec<Vec<Vec<f32>>>,
    /// The first position that each of these tokens may see.
    pub seen_from: Vec<u32>,
}

/// Rotary position's parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rope {
    /// Dimensions that are rotated.
    pub dims: usize,
    /// Whether pairs are (i, i + dims/2) rather than (2i, 2i + 1).
    pub neox: bool,
    /// Base of the frequencies.
    pub base: f32,
    /// Factor on positions.
    pub scale: f32,
    /// Divisor of each pair's frequency; empty where there are none.
    pub factors: Vec<f32>,
    /// `YaRN`'s parameters; its mix is 0 where it is off.
    pub yarn: Yarn,
}

/// Weight tensors seen as operands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands {
    /// The output matrix.
    pub output: Option<Operand>,
    /// The table of token embeddings.
    pub table: Option<Operand>,
    /// What becomes of the output matrix's products.
    pub tail: Option<Tail>,
}

/// What the output matrix's products go through on their way to the logits: `scale · z`, then
/// `cap · tanh(· / cap)` in models that cap theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// Factor.
    pub scale: f32,
    /// The final soft-cap.
    pub cap: Option<f32>,
}

impl Default for Tail {
    fn default() -> Self {
        Self { scale: 1.0, cap: None }
    }
}

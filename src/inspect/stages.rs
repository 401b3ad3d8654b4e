//! The model's distribution on its way through the sampler chain, stage by stage. Plain data.
//!
//! Invariants: the first column is the model's own, over the whole vocabulary; each stage's column is
//! renormalised over what that stage left, so that it adds up to 1 with the survivors that are not listed.

use serde::{Deserialize, Serialize};

use crate::sampling::Stage;
use crate::token::TokenId;

/// One step's way through the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplerTrace {
    /// Which token of its run, counted from 0, those that the user took included.
    pub index: u32,
    /// The tokens that are listed, likeliest first before the samplers; the drawn one is among them.
    pub tokens: Vec<TokenId>,
    /// Their probabilities before the samplers, over the whole vocabulary.
    #[serde(with = "super::floats")]
    pub model: Vec<f32>,
    /// How many tokens there were before the samplers.
    pub vocabulary: u32,
    /// Entropy before the samplers, nats.
    pub entropy: f32,
    /// What each stage did, in order; stages that are off are not in it.
    pub stages: Vec<StageTrace>,
    /// The token that was drawn.
    pub drawn: TokenId,
    /// The number in [0, 1) that the draw was made with, on the cumulative line of the last column; `None`
    /// for a greedy choice or where it cannot be known.
    pub u: Option<f64>,
    /// Where the drawn token lies on the cumulative line, from and to; `None` for a greedy choice.
    pub interval: Option<(f64, f64)>,
    /// Where the figures come from.
    pub source: TraceSource,
    /// What the same number draws from figures that were read again, where that is another token than the one that
    /// was really drawn: they agree within the rounding of the arithmetic only.
    #[serde(default)]
    pub redrawn: Option<TokenId>,
}

impl SamplerTrace {
    /// The trace of a draw that gave `id`; where the number falls elsewhere now, that is remembered.
    pub(crate) fn of_draw(mut self, id: TokenId) -> Self {
        if self.drawn != id {
            self.redrawn = Some(self.drawn);
            (self.drawn, self.interval) = (id, None);
        }
        self
    }
}

/// What one stage did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageTrace {
    /// Which.
    pub name: StageName,
    /// How many tokens it left.
    pub left: u32,
    /// Probability of each listed token, renormalised over what is left; `None` once it is cut.
    pub probabilities: Vec<Option<f32>>,
    /// Share of the column before that it threw out, 0 to 1.
    pub removed: f32,
    /// The model's own probability of all that is left, 0 to 1.
    pub kept: f32,
    /// Entropy of what is left, nats.
    pub entropy: f32,
}

/// A stage's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StageName {
    /// A stage of the configured chain.
    Chain(Stage),
    /// Mirostat 2: keeps tokens whose surprise is under its running target.
    Mirostat,
    /// The likeliest of what is left is taken.
    Greedy,
    /// Tokens that no sentence of the grammar allows here.
    Grammar,
}

/// Where a trace's figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceSource {
    /// Recorded while the token was drawn.
    Live,
    /// Worked out from the kept candidates, which determine it.
    Candidates,
    /// The model read the text again, and the chain ran again on all of its logits.
    Replayed,
    /// Worked out among the candidates that a server told, as if there were no others; the model's column is as told.
    Came,
}

impl StageName {
    /// The name in column heads and captions, as in the configuration.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Chain(stage) => stage.about().label,
            Self::Mirostat => "mirostat",
            Self::Greedy => "greedy",
            Self::Grammar => "grammar",
        }
    }
}

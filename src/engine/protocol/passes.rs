//! Passes that write nothing: a text scored, a past pass looked at, a beam followed.
//!
//! Invariant: probabilities are over the whole vocabulary, before any sampler; `ids` are everything that is read,
//! the model's begin-of-sequence rule already applied.

use serde::{Deserialize, Serialize};

use super::Patch;
use crate::chat::Intervention;
use crate::inspect::feed_forward::{FfnLayer, NeuronOrder};
use crate::inspect::stages::SamplerTrace;
use crate::inspect::trace::{Component, FeedForward, Followed, ForwardTrace};
use crate::sampling::Sampling;
use crate::token::{Candidate, TokenId};

/// Tokens to score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The whole text; the model's begin-of-sequence rule has been applied.
    pub ids: Vec<TokenId>,
    /// Index of the first token that is scored, at least 1: a text's first token has no probability.
    pub from: u32,
    /// How many candidates each step keeps.
    pub top_logprobs: u32,
    /// Changes made to the network.
    #[serde(default)]
    pub interventions: Vec<Intervention>,
}

/// A forward pass to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Everything the pass has read; it is the pass at the last of these, whose output chooses the next.
    pub ids: Vec<TokenId>,
    /// Changes made to the network.
    #[serde(default)]
    pub interventions: Vec<Intervention>,
    /// Whether the whole distribution is wanted.
    pub logits: bool,
    /// The chain to run on it again, if wanted.
    #[serde(default)]
    pub chain: Option<Box<ChainSetup>>,
}

/// What a sampler chain is rebuilt from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChainSetup {
    /// Settings of the run.
    pub sampling: Sampling,
    /// The seed that the run really used.
    pub seed: u32,
    /// How many of [`Replay::ids`] are the run's prompt; those after it the run wrote.
    pub prompt: u32,
    /// How many of the run's first tokens were taken instead of drawn.
    pub taken: u32,
    /// How many of the prompt's last tokens are the reply's own; see [`super::Generate::begun`].
    #[serde(default)]
    pub begun: u32,
    /// The token that was drawn; it is listed however unlikely it was.
    pub drawn: TokenId,
    /// How many of the likeliest tokens are listed.
    pub list: u32,
}

/// A beam to follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beam {
    /// What has been read.
    pub ids: Vec<TokenId>,
    /// How many paths are kept at each depth.
    pub width: u32,
    /// How many tokens deep.
    pub depth: u32,
    /// Changes made to the network.
    #[serde(default)]
    pub interventions: Vec<Intervention>,
}

/// A forward pass that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// Every logit, by id, before the samplers, as little-endian f32; empty if not wanted.
    #[serde(with = "serde_bytes")]
    pub logits: Vec<u8>,
    /// The chain's way through it.
    pub stages: Option<Box<SamplerTrace>>,
    /// Tokens that had to be decoded.
    pub decoded: u32,
    /// How long it took, ms.
    pub ms: f32,
}

impl Replayed {
    /// Puts logits into bytes.
    pub(crate) fn pack(logits: &[f32]) -> Vec<u8> {
        logits.iter().flat_map(|logit| logit.to_le_bytes()).collect()
    }

    /// The logits by id.
    #[must_use]
    pub fn unpack(&self) -> Vec<f32> {
        self.logits.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}

/// A forward pass to open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inspect {
    /// Everything the pass has read; it is the pass at the last of these.
    pub ids: Vec<TokenId>,
    /// What the conversation was read under; the pass is read under it too.
    #[serde(default)]
    pub interventions: Vec<Intervention>,
    /// What is changed on top of that, for the comparison in [`ForwardTrace::original`].
    #[serde(default)]
    pub ablations: Vec<Intervention>,
    /// Whether the ablations reach all positions, or only the pass's own.
    #[serde(default)]
    pub everywhere: bool,
    /// Parts that get, at the pass's own position, what they gave elsewhere; beside the ablations.
    #[serde(default)]
    pub patches: Vec<Patch>,
    /// What is to be shown.
    pub want: Want,
}

/// What of a pass is to be shown; nothing by default, and nothing else is copied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Want {
    /// Tokens whose ln p and rank are told, at the output and through the lens; the chosen one first.
    #[serde(default)]
    pub follow: Vec<TokenId>,
    /// The logit lens of every block.
    #[serde(default)]
    pub lens: bool,
    /// What each head of each block does.
    #[serde(default)]
    pub overview: bool,
    /// Blocks whose attention is given whole.
    #[serde(default)]
    pub attention: Vec<u32>,
    /// A head whose write is told as tokens: block and query head → [`crate::inspect::trace::Attention::head_logits`].
    #[serde(default)]
    pub head: Option<(u32, u32)>,
    /// Blocks whose feed-forward is opened; [`ForwardTrace::ffn`] holds the last, [`Inspected::ffns`] all.
    #[serde(default)]
    pub ffn: Vec<u32>,
    /// How many neurons of each.
    #[serde(default)]
    pub neurons: u32,
    /// Whether it is told what each of them promotes and suppresses, which costs a product with `W_U` for each.
    #[serde(default)]
    pub words: bool,
    /// Which of them come first. Pushes are of the first followed token over the second.
    #[serde(default)]
    pub neuron_order: NeuronOrder,
    /// Every block's feed-forward in one line → [`Inspected::ffn_layers`].
    #[serde(default)]
    pub ffn_layers: bool,
    /// Attribution of the first token against the second.
    #[serde(default)]
    pub attribution: Option<(TokenId, TokenId)>,
    /// How many single neurons of all blocks the attribution lists, the strongest; 0 is none.
    #[serde(default)]
    pub pushing_neurons: u32,
    /// Parts that are each switched off alone at the pass's position → [`Inspected::off`].
    #[serde(default)]
    pub off: Vec<Component>,
    /// Position's part in a head: block, query head, and the position that is read.
    #[serde(default)]
    pub rotation: Option<(u32, u32, u32)>,
}

/// A forward pass that was opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    /// What it did.
    pub trace: ForwardTrace,
    /// The feed-forwards that were asked for, in the order of the request.
    #[serde(default)]
    pub ffns: Vec<FeedForward>,
    /// The followed tokens' ln p and rank with each of the wanted parts off alone.
    #[serde(default)]
    pub off: Vec<(Component, Vec<Followed>)>,
    /// The two tokens that pushes of neurons and feed-forwards are between: the first over the second.
    #[serde(default)]
    pub pushes_of: Option<(TokenId, TokenId)>,
    /// Every block's feed-forward in one line; empty where that was not asked for.
    #[serde(default)]
    pub ffn_layers: Vec<FfnLayer>,
    /// Tokens that had to be decoded.
    pub decoded: u32,
    /// How long it took, ms.
    pub ms: f32,
}

/// A question to the embedding table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Embed {
    /// A sum of rows, each with its sign: `[(a, 1), (b, -1), (c, 1)]` is a − b + c. One token for its own row.
    pub sum: Vec<(TokenId, f32)>,
    /// How many neighbours are wanted.
    pub neighbours: u32,
    /// Tokens to put on a map and to compare with each other.
    #[serde(default)]
    pub span: Vec<TokenId>,
    /// Tokens to put on the map in the span's place; empty for the span's.
    #[serde(default)]
    pub map: Vec<TokenId>,
    /// Whether the neighbours go onto the map too.
    #[serde(default)]
    pub map_neighbours: bool,
}

/// Where a beam led.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BeamPaths {
    /// Paths by falling probability of the whole. A path that ended early ends with an end-of-generation
    /// token.
    pub paths: Vec<Path>,
    /// Tokens that had to be decoded.
    pub decoded: u32,
    /// How long it took, ms.
    pub ms: f32,
}

/// A path of a beam: each token with ln p given all before it, over the whole vocabulary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// Its tokens, in order.
    pub tokens: Vec<Candidate>,
}

impl Path {
    /// ln p of the whole path.
    #[must_use]
    pub fn logprob(&self) -> f32 {
        self.tokens.iter().map(|token| token.logprob).sum()
    }
}

//! What one forward pass did inside: the facts that the stations 2 to 6 and 9 show. Plain data.
//!
//! Invariant: everything is the pass at one position, the last of the tokens that were read, whose output chooses
//! the next token. Probabilities are over the whole vocabulary, before any sampler; logarithms are natural. What a
//! model does not have is named in [`ForwardTrace::missing`], never guessed.

use serde::{Deserialize, Serialize};

use super::feed_forward::NeuronOrder;
use super::position::{LearnedPosition, Yarn};
use crate::token::{Candidate, TokenId};

/// A pass, opened as far as was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForwardTrace {
    /// The position of the pass: index of the last token read.
    pub position: u32,
    /// Number of blocks of the model.
    pub layers: u32,
    /// Query heads of a block.
    pub heads: u32,
    /// Key-value heads of a block; each serves `heads / kv_heads` query heads.
    pub kv_heads: u32,
    /// The 20 likeliest next tokens, likeliest first, under the request's interventions.
    pub next: Vec<Candidate>,
    /// Entropy of the next token, nats.
    pub entropy: f32,
    /// The followed tokens' ln p and rank in the output, in the order of the request.
    #[serde(default)]
    pub followed: Vec<Followed>,
    /// D(p without interventions ‖ p with them), nats; only where there were some.
    #[serde(default)]
    pub kl_from_original: Option<f32>,
    /// The 20 likeliest without the interventions, and ln p and rank of the followed; only where there were some.
    #[serde(default)]
    pub original: Option<(Vec<Candidate>, Vec<Followed>)>,
    /// The logit lens.
    #[serde(default)]
    pub lens: Option<Lens>,
    /// Attention.
    #[serde(default)]
    pub attention: Option<Attention>,
    /// A feed-forward.
    #[serde(default)]
    pub ffn: Option<FeedForward>,
    /// Who wrote the chosen token.
    #[serde(default)]
    pub attribution: Option<Attribution>,
    /// Position's part in one head.
    #[serde(default)]
    pub rotation: Option<Rotation>,
    /// What was asked for and this model does not have, in words: `feed-forward neurons: a mixture of experts`.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// A token that is followed through the stack.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Followed {
    /// Which.
    pub id: TokenId,
    /// ln p.
    pub logprob: f32,
    /// 1 for the likeliest.
    pub rank: u32,
}

/// The logit lens (nostalgebraist 2020): `softcap(W_U · norm_out(h))` after each block, with the model's own final
/// norm, whose statistics are recomputed at each layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lens {
    /// The embedding first, then one row a block.
    pub rows: Vec<LensRow>,
    /// The first block from which on the first followed token (else the output's likeliest) stays the likeliest;
    /// `None` where it is not the likeliest at the end.
    pub decided: Option<u32>,
    /// How long it took, ms.
    pub ms: f32,
}

/// The residual stream at one depth, read as if it were the last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LensRow {
    /// The block after which it is read; `None` for the embedding.
    pub layer: Option<u32>,
    /// The likeliest three.
    pub top: Vec<Candidate>,
    /// The followed tokens here.
    pub followed: Vec<Followed>,
    /// ln p that this depth gives to the likeliest token of the output.
    pub final_best: f32,
    /// `D(p_final ‖ p here)`, nats.
    pub kl: f32,
    /// ‖h‖ of the residual stream.
    pub norm: f32,
    /// ‖·‖ of what attention's output projection gave, before any norm that follows it; 0 for the embedding.
    pub attention_norm: f32,
    /// ‖·‖ of what the feed-forward's down projection gave, before any norm that follows it; 0 for the embedding.
    pub ffn_norm: f32,
    /// ‖·‖ of what attention added to the stream.
    pub attention_added: f32,
    /// ‖·‖ of what the feed-forward added to the stream.
    pub ffn_added: f32,
}

/// Attention of one position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// What every head of every block does here, `[layer][head]`; empty if not asked for.
    pub overview: Vec<Vec<HeadReading>>,
    /// Blocks whose heads are given whole.
    pub layers: Vec<AttentionLayer>,
    /// What single heads write, told as tokens.
    #[serde(default)]
    #[serde(rename = "told")]
    pub head_logits: Vec<HeadLogits>,
    /// Whether the weights were computed separately, since flash attention does not keep them.
    pub flash: bool,
}

/// What a head writes into the stream at one position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadLogits {
    /// The block.
    pub layer: u32,
    /// The query head.
    pub head: u32,
    /// `‖W_O Σ_j a_j v_j‖ ÷ ‖h‖`, token 0 included, h the stream after the block; a norm that follows is frozen.
    pub share: f32,
    /// The tokens whose logits it raises most, and by how much more than the mean of all (final norm frozen).
    pub promotes: Vec<(TokenId, f32)>,
    /// The tokens whose logits it lowers most.
    pub suppresses: Vec<(TokenId, f32)>,
    /// What it does to the followed tokens' logits, by the same measure.
    pub followed: Vec<(TokenId, f32)>,
}

impl HeadLogits {
    /// Whether these are the tokens that it was followed for.
    #[must_use]
    pub fn tells_of(&self, follow: &[TokenId]) -> bool {
        self.followed.iter().map(|(id, _)| id).eq(follow)
    }
}

/// What a head does at one position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadReading {
    /// What sort of reading has the most weight.
    pub class: HeadClass,
    /// That weight, 0 to 1.
    pub strength: f32,
    /// The positions with the largest weights, largest first, at most eight.
    pub top: Vec<(u32, f32)>,
    /// How much the head writes from anything but token 0: `‖W_O Σ_(j>0) a_j v_j‖ ÷ ‖h‖`, h the stream after the
    /// block; `None` where that could not be worked out.
    #[serde(default)]
    pub written: Option<f32>,
}

/// Sorts of reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadClass {
    /// The token before.
    Previous,
    /// Position 0, where heads rest that have nothing to do.
    Sink,
    /// The token after an earlier copy of this one (Olsson et al. 2022).
    Induction,
    /// An earlier copy of this token.
    Duplicate,
    /// This token itself.
    Own,
    /// The eight tokens before.
    Local,
    /// None of these.
    #[default]
    Other,
}

/// One block's heads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttentionLayer {
    /// The block.
    pub layer: u32,
    /// Tokens that its window holds, where it has one; outside it weights are structural zeros.
    pub window: Option<u32>,
    /// Its query heads, in order.
    pub heads: Vec<HeadRow>,
}

/// One head's row: what this position reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadRow {
    /// softmax(mask + scale · q·k), by position from 0.
    #[serde(with = "super::floats")]
    pub weights: Vec<f32>,
    /// scale · q·k before mask and softmax, soft-capped where the model does so, by position; empty where it could
    /// not be read.
    #[serde(with = "super::floats")]
    pub scores: Vec<f32>,
    /// `‖a · W_O v‖` by position (Kobayashi et al. 2020); empty where it could not be read.
    #[serde(with = "super::floats")]
    pub value_norms: Vec<f32>,
    /// The share that a learned sink took; 0 in models that have none.
    pub sink: f32,
}

/// One block's feed-forward.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedForward {
    /// The block.
    pub layer: u32,
    /// How many neurons it has; of one expert in a mixture.
    pub width: u32,
    /// The first in the order that was asked for.
    pub neurons: Vec<Neuron>,
    /// Whether it was asked what these promote and suppress.
    #[serde(default)]
    pub words: bool,
    /// In a mixture the experts that were used with their weights, heaviest first.
    pub experts: Vec<(u32, f32)>,
    /// What the neurons are sorted by.
    #[serde(default)]
    pub order: NeuronOrder,
    /// ‖·‖ of what the down projection gave, before any norm that follows.
    #[serde(default)]
    pub write: f32,
    /// How many neurons make half of the lengths that all of them write.
    #[serde(default)]
    pub half: u32,
    /// How much it pushes the first followed token above the second, logits.
    #[serde(default)]
    pub push: Option<f32>,
    /// The neurons that are not listed, taken together: how many, the length of what they write, their push.
    #[serde(default)]
    pub rest: Option<(u32, f32, Option<f32>)>,
    /// How many neurons fire how hard, by the bins of [`super::feed_forward::histogram`].
    #[serde(default)]
    pub histogram: Vec<u32>,
}

/// A neuron: one input of the down projection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Neuron {
    /// Its index in the block; in a mixture within its expert, or within the experts that are always used.
    pub index: u32,
    /// Which expert, in a mixture; `None` there for the experts that are always used.
    pub expert: Option<u32>,
    /// Its value.
    pub activation: f32,
    /// `‖activation · W_down column‖`: how long the vector is that it adds.
    pub added: f32,
    /// How much it pushes the first followed token above the second, logits, the final norm frozen.
    #[serde(default)]
    pub push: Option<f32>,
    /// The tokens whose logits it raises most with this activation, and by how much more than the mean of all, since
    /// what is added to all alike changes nothing (final norm frozen).
    pub promotes: Vec<(TokenId, f32)>,
    /// The tokens whose logits it lowers most.
    pub suppresses: Vec<(TokenId, f32)>,
}

/// Direct logit attribution (Elhage et al. 2021), chosen − rival, the final norm frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// The token that was chosen.
    pub token: TokenId,
    /// The one it is held against.
    pub rival: TokenId,
    /// The parts of the stream: the embedding, then attention and feed-forward of each block.
    pub parts: Vec<AttributionPart>,
    /// The heads; those of a block add up to its attention, but for biases and rounding.
    pub heads: Vec<AttributionPart>,
    /// The strongest single neurons of all blocks, strongest first; empty if not asked for.
    #[serde(default)]
    pub neurons: Vec<AttributionPart>,
    /// logit(token) − logit(rival) of the model's own output, before any final soft-cap.
    pub difference: f32,
    /// |Σ parts − difference|.
    pub closure_error: f32,
}

/// How much a part of the network pushes the chosen token above its rival.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributionPart {
    /// Which.
    pub part: Component,
    /// Its part of the difference of the logits.
    pub logit_difference: f32,
}

/// A part of the network that writes into the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// The token's embedding.
    Embedding,
    /// A block's attention.
    Attention(u32),
    /// A head: block and index.
    Head(u32, u32),
    /// A block's feed-forward.
    Ffn(u32),
    /// A neuron: block and index of the down projection's input.
    Neuron(u32, u32),
    /// The residual stream after a block: what all parts so far wrote, not one that writes.
    Stream(u32),
    /// The bias of a block's attention output projection, which no head writes.
    AttentionBias(u32),
    /// The bias of the final norm, which is no part of the stream.
    NormBias,
    /// The bias on the logits.
    OutputBias,
}

impl std::fmt::Display for Component {
    /// As `--ablate` and the exported fields spell it: `embedding`, `attn:L`, `head:L.H`, `ffn:L`, `neuron:L.I`,
    /// `resid:L`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedding => f.write_str("embedding"),
            Self::Attention(layer) => write!(f, "attn:{layer}"),
            Self::Head(layer, head) => write!(f, "head:{layer}.{head}"),
            Self::Ffn(layer) => write!(f, "ffn:{layer}"),
            Self::Neuron(layer, neuron) => write!(f, "neuron:{layer}.{neuron}"),
            Self::Stream(layer) => write!(f, "resid:{layer}"),
            Self::AttentionBias(layer) => write!(f, "attn_bias:{layer}"),
            Self::NormBias => f.write_str("norm_bias"),
            Self::OutputBias => f.write_str("output_bias"),
        }
    }
}

impl std::str::FromStr for Component {
    type Err = String;

    /// `head:L.H`, `attn:L`, `ffn:L`, `neuron:L.I`, `resid:L` or `embedding`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || {
            format!(
                "{text}: a part is head:LAYER.HEAD, attn:LAYER, ffn:LAYER, neuron:LAYER.INDEX or resid:LAYER, for \
                 example head:23.4"
            )
        };
        let number = |text: &str| text.parse::<u32>().map_err(|_| bad());
        let two = |place: &str| {
            let (layer, index) = place.split_once('.').ok_or_else(bad)?;
            Ok::<_, String>((number(layer)?, number(index)?))
        };
        match text.split_once(':') {
            Some(("attn", layer)) => Ok(Self::Attention(number(layer)?)),
            Some(("ffn", layer)) => Ok(Self::Ffn(number(layer)?)),
            Some(("resid", layer)) => Ok(Self::Stream(number(layer)?)),
            Some(("attn_bias", layer)) => Ok(Self::AttentionBias(number(layer)?)),
            Some(("head", place)) => two(place).map(|(layer, head)| Self::Head(layer, head)),
            Some(("neuron", place)) => two(place).map(|(layer, neuron)| Self::Neuron(layer, neuron)),
            None if text == "embedding" => Ok(Self::Embedding),
            None if text == "norm_bias" => Ok(Self::NormBias),
            None if text == "output_bias" => Ok(Self::OutputBias),
            _ => Err(bad()),
        }
    }
}

/// How position enters one head, for rotary ones (`RoPE`, Su et al. 2021).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rotation {
    /// What kind of position encoding the model has.
    pub kind: PositionKind,
    /// Base of the frequencies, of this block.
    pub base: f32,
    /// Factor on positions (linear scaling); 1 without.
    pub scale: f32,
    /// Radians per position of each frequency pair, fastest first; includes learned frequency factors.
    #[serde(with = "super::floats")]
    pub frequencies: Vec<f32>,
    /// The block and the query head that the figures below are of.
    pub head: (u32, u32),
    /// The position that is read, `≤` the pass's.
    pub other: u32,
    /// Each pair's part of scale · q·k at the real distance.
    #[serde(with = "super::floats")]
    pub pairs: Vec<f32>,
    /// Each pair's part if both were rotated to the same position.
    #[serde(with = "super::floats")]
    pub unrotated: Vec<f32>,
    /// scale · q·k as it would be at every distance from 0 on, other things equal.
    #[serde(with = "super::floats")]
    pub by_distance: Vec<f32>,
    /// `YaRN`'s mix of angles, where it is on.
    #[serde(default)]
    pub yarn: Option<Yarn>,
    /// The position's own vector, where the model learned one.
    #[serde(default)]
    pub learned: Option<LearnedPosition>,
    /// How fast each head's score falls with the distance, where it does.
    #[serde(default, with = "super::floats")]
    pub slopes: Vec<f32>,
}

/// How a model knows positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionKind {
    /// Rotary, pairs (2i, 2i+1).
    RopeNormal,
    /// Rotary, pairs (i, i + n/2).
    RopeNeox,
    /// A learned vector a position, added to the embedding.
    Learned,
    /// A slope a head on the distance.
    Alibi,
    /// None that the graph shows.
    #[default]
    None,
}

/// A token's row in the embedding table, and what lies near it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingFacts {
    /// ‖row‖ of the table, before any scaling; of the sum, where an expression was asked for.
    pub norm: f32,
    /// The nearest tokens by cosine over the whole table, nearest first; those of the question left out.
    pub neighbours: Vec<(TokenId, f32)>,
    /// Cosines among the asked span's tokens, row by row; empty if none was asked.
    #[serde(with = "super::floats")]
    pub cosines: Vec<f32>,
    /// The span's tokens on their first two principal components, in units of the largest.
    pub map: Vec<(f32, f32)>,
    /// Share of the span's variance that the two components have, 0 to 1 each.
    pub explained: (f32, f32),
    /// The tokens of the map.
    #[serde(default)]
    pub mapped: Vec<TokenId>,
    /// Cosines of the span's tokens, the mean of the table taken off; row by row.
    #[serde(default, with = "super::floats")]
    pub centred: Vec<f32>,
    /// The median cosine with the rows of the whole table: what a random token gets.
    #[serde(default)]
    pub median: f32,
    /// ‖·‖ of the shortest and the longest row of the table that is not nothing.
    #[serde(default)]
    pub lengths: (f32, f32),
    /// The smallest and the largest number of the row.
    #[serde(default)]
    pub values: (f32, f32),
    /// The dimensions with the largest |numbers|, largest first, two.
    #[serde(default)]
    pub largest: Vec<(u32, f32)>,
    /// Whether the table is the output matrix too.
    #[serde(default)]
    pub tied: bool,
    /// How long it took, ms.
    pub ms: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_as_it_is_written() {
        for part in [
            Component::Embedding,
            Component::Attention(3),
            Component::Head(23, 4),
            Component::Ffn(0),
            Component::Neuron(2, 1535),
            Component::Stream(7),
        ] {
            assert_eq!(part.to_string().parse(), Ok(part));
        }
        for bad in ["", "head:3", "head:3.x", "neuron:4", "resid:", "ffn:", "mlp:2", "attn:-1", "3.4"] {
            assert!(bad.parse::<Component>().is_err(), "{bad}");
        }
    }
}

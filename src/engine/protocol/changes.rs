//! Changes to the network as the app asks for them: parts off, parts patched, a direction to steer along.
//!
//! Invariant: a patch names where its values come from; the engine reads them there itself.

use serde::{Deserialize, Serialize};

use crate::chat::{HookPoint, Intervention};
use crate::inspect::trace::Component;
use crate::token::TokenId;

/// A part whose output is replaced by what it was elsewhere (activation patching, Meng et al. 2022).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Which part.
    pub part: Component,
    /// The position whose values are taken.
    pub position: u32,
    /// The text they are taken from, read from its beginning; empty is the pass's own.
    #[serde(default)]
    pub text: Vec<TokenId>,
}

/// What switches a part of the network off; `None` for the embedding and the stream, without which there is nothing,
/// and for a bias alone.
#[must_use]
pub fn switched_off(part: Component) -> Option<Intervention> {
    match part {
        Component::Embedding
        | Component::Stream(_)
        | Component::AttentionBias(_)
        | Component::NormBias
        | Component::OutputBias => None,
        Component::Attention(layer) => Some(Intervention::ZeroAttention { layer }),
        Component::Head(layer, head) => Some(Intervention::ZeroHead { layer, head }),
        Component::Ffn(layer) => Some(Intervention::ZeroFfn { layer }),
        Component::Neuron(layer, neuron) => Some(Intervention::ZeroNeuron { layer, neuron }),
    }
}

/// Where a part's values are; `None` for the embedding and biases, which are not computed.
pub fn site(part: Component) -> Option<HookPoint> {
    match part {
        Component::Embedding | Component::AttentionBias(_) | Component::NormBias | Component::OutputBias => {
            None
        }
        Component::Attention(layer) => Some(HookPoint::Attention { layer }),
        Component::Head(layer, head) => Some(HookPoint::Head { layer, head }),
        Component::Ffn(layer) => Some(HookPoint::Ffn { layer }),
        Component::Neuron(layer, neuron) => Some(HookPoint::Neuron { layer, neuron }),
        Component::Stream(layer) => Some(HookPoint::Stream { layer }),
    }
}

/// Two texts whose difference gives a direction to steer along: mean stream of one − mean stream of the other (Turner
/// et al. 2023; Rimsky et al. 2024). A text's first position is left out of its mean where it has more than one: its
/// stream is huge in every text alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Direction {
    /// The text that is steered towards.
    pub towards: Vec<TokenId>,
    /// The text that is steered away from.
    pub away: Vec<TokenId>,
    /// The block after which the streams are compared.
    pub layer: u32,
}

/// A direction, and how well it tells the two texts apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Directed {
    /// d̂, of length 1.
    #[serde(with = "crate::inspect::floats")]
    pub direction: Vec<f32>,
    /// ‖mean of the one − mean of the other‖.
    pub distance: f32,
    /// ‖mean‖ of the one and of the other.
    pub norms: (f32, f32),
    /// Mean length of the stream after the block, over the tokens of both texts that count.
    #[serde(default)]
    pub stream: f32,
    /// Cosine between the two means.
    pub cosine: f32,
    /// Difference of the two texts' mean projections on d̂ in units of their pooled standard deviation (d′); `None`
    /// where both have too few tokens to spread.
    pub separation: Option<f32>,
    /// Tokens that had to be decoded.
    pub decoded: u32,
    /// How long it took, ms.
    pub ms: f32,
}

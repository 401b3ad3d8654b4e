//! A reply read again after another prompt: how likely its own tokens would have been there.
//!
//! Invariant: nothing is drawn. The prompt is rendered as for a reply, the reply is exactly these ids, and every
//! probability is over the whole vocabulary and before any sampler.

use serde::{Deserialize, Serialize};

use super::Prompt;
use crate::chat::Intervention;
use crate::token::{Step, TokenId};

/// A reply to score after a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rescore {
    /// What the reply is to be conditioned on.
    pub prompt: Prompt,
    /// The reply's tokens, in order; each is scored given the prompt and those before it.
    pub reply: Vec<TokenId>,
    /// How many candidates each step keeps.
    #[serde(default)]
    pub top_logprobs: u32,
    /// Changes made to the network.
    #[serde(default)]
    pub interventions: Vec<Intervention>,
}

/// A reply that was scored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rescored {
    /// The prompt as it was read, marks of the template included.
    pub prompt: Vec<TokenId>,
    /// One step a token of the reply.
    pub steps: Vec<Step>,
    /// Tokens decoded.
    pub decoded: u32,
    /// Tokens of the chat that had to make room: its next reply reads them again. 0 where all went on beside it.
    #[serde(default)]
    pub displaced: u32,
    /// How long it took, ms.
    pub ms: f32,
}

impl Rescored {
    /// ln p of the whole reply, nats.
    #[must_use]
    pub fn logprob(&self) -> f64 {
        self.steps.iter().map(|step| f64::from(step.logprob)).sum()
    }
}

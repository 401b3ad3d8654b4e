//! The logit lens of many passes of one text: at which layer each token was decided, and what every depth would have
//! said in its place. Plain data.
//!
//! Invariant: a token is judged by the pass before it, whose output chose it; probabilities are over the whole
//! vocabulary, before any sampler.

use serde::{Deserialize, Serialize};

use crate::token::TokenId;

/// A token of a text, as the depths of the pass before it saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Depth {
    /// The token that was written.
    pub id: TokenId,
    /// The first block from which on it stays the likeliest; `None` where it is not the likeliest at the end.
    pub decided: Option<u32>,
    /// The embedding first, then one entry a block; empty where only the decision was asked for.
    #[serde(default)]
    pub cells: Vec<DepthCell>,
}

impl Depth {
    /// A token of which nothing is known yet.
    #[must_use]
    pub fn of(id: TokenId) -> Self {
        Self { id, decided: None, cells: Vec::new() }
    }
}

/// What one depth would have said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepthCell {
    /// Its likeliest token.
    pub best: TokenId,
    /// ln p of that.
    pub best_logprob: f32,
    /// ln p that it gives to the token that was written.
    pub logprob: f32,
}

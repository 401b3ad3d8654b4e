//! What a pass led to: its distribution, and what that says of single tokens.
//!
//! Invariant: every figure is over the whole vocabulary, before the samplers.

use crate::engine::compute::numbers::{self, Reader};
use crate::engine::protocol::{Failure, FailureKind};
use crate::inspect::trace::Followed;
use crate::token::{Candidate, TokenId};

/// The likeliest next tokens that a trace lists.
const LISTED: usize = 20;

/// The output of a pass.
pub(crate) struct Output {
    pub logits: Vec<f32>,
    pub log_normaliser: f64,
    pub entropy: f32,
    pub next: Vec<Candidate>,
    pub followed: Vec<Followed>,
}

impl Output {
    /// Of a pass's logits, telling of the followed tokens.
    pub(crate) fn of(logits: &[f32], follow: &[TokenId]) -> Result<Self, Failure> {
        let mut reader = Reader::default();
        let all = reader.read(logits, LISTED).ok_or_else(no_numbers)?;
        let followed = follow.iter().map(|id| self::follow(logits, &all, *id)).collect();
        let next =
            reader.top().iter().map(|s| Candidate { id: s.id, logprob: all.logprob(s.logit) }).collect();
        let logits = logits.to_vec();
        Ok(Self { log_normaliser: all.log_normaliser, entropy: all.entropy, next, followed, logits })
    }
}

/// A token's ln p and rank among these logits; the ids were checked.
pub(crate) fn follow(logits: &[f32], all: &numbers::Distribution, id: TokenId) -> Followed {
    let logit = logits[id.0 as usize];
    Followed { id, logprob: all.logprob(logit), rank: numbers::rank(logits, logit) }
}

/// What is said where a pass gave something else than numbers.
pub(crate) fn no_numbers() -> Failure {
    let message =
        "The model gave logits that are not numbers; its file or the device may be faulty.".to_string();
    Failure { message, kind: FailureKind::Other }
}

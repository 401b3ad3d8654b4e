//! The whole distribution of one step: every logit of the vocabulary, and what follows from them.
//!
//! Invariant: everything is over **all** logits, before any sampler; the normaliser is summed in f64 with the
//! maximum subtracted. Ids index `logits`.

use std::cmp::Ordering;

use crate::token::{Candidate, Step, TokenId};

/// Logits of a whole vocabulary, and their normaliser.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// One logit per entry of the vocabulary; `-∞` for what the model itself rules out.
    logits: Vec<f32>,
    /// ln Σ exp(z).
    log_sum: f64,
    /// −Σ p ln p, nats.
    entropy: f32,
    /// Ids by falling logit, the smaller id first among equals.
    order: Vec<TokenId>,
}

impl Distribution {
    /// What it takes, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.logits.as_slice()) + size_of_val(self.order.as_slice())
    }

    /// Of these logits; `None` where there is none or they are no numbers.
    pub fn new(logits: Vec<f32>) -> Option<Self> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !largest.is_finite() || logits.iter().any(|logit| logit.is_nan()) {
            return None;
        }
        let weights = logits.iter().map(|z| (f64::from(*z - largest)).exp());
        let sum: f64 = weights.clone().sum();
        let log_sum = f64::from(largest) + sum.ln();
        let mean: f64 =
            weights.zip(&logits).filter(|(w, _)| *w > 0.0).map(|(w, z)| w / sum * f64::from(*z)).sum();
        let mut order: Vec<TokenId> = (0..).take(logits.len()).map(TokenId).collect();
        let logit = |id: &TokenId| logits[id.0 as usize];
        order.sort_unstable_by(|a, b| {
            logit(b).partial_cmp(&logit(a)).unwrap_or(Ordering::Equal).then(a.cmp(b))
        });
        Some(Self { log_sum, entropy: (log_sum - mean) as f32, order, logits })
    }

    /// Entries of the vocabulary.
    #[must_use]
    pub fn len(&self) -> usize {
        self.logits.len()
    }

    /// Whether there is no entry; never, since [`Distribution::new`] refuses that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logits.is_empty()
    }

    /// The logit of a token.
    pub(crate) fn logit(&self, id: TokenId) -> Option<f32> {
        self.logits.get(usize::try_from(id.0).ok()?).copied()
    }

    /// All logits, by id.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// ln p of a token.
    #[must_use]
    pub fn logprob(&self, id: TokenId) -> Option<f32> {
        self.logit(id).map(|logit| (f64::from(logit) - self.log_sum) as f32)
    }

    /// −Σ p ln p, nats.
    #[must_use]
    pub fn entropy(&self) -> f32 {
        self.entropy
    }

    /// 1 + how many tokens have a larger logit.
    #[must_use]
    pub fn rank(&self, id: TokenId) -> Option<u32> {
        let logit = self.logit(id)?;
        let larger = self.order.partition_point(|other| self.logits[other.0 as usize] > logit);
        u32::try_from(larger + 1).ok()
    }

    /// Ids by falling probability.
    #[must_use]
    pub fn order(&self) -> &[TokenId] {
        &self.order
    }

    /// The likeliest tokens, most likely first.
    #[must_use]
    pub fn top(&self, count: usize) -> Vec<Candidate> {
        let top = self.order.iter().take(count);
        top.filter_map(|id| Some(Candidate { id: *id, logprob: self.logprob(*id)? })).collect()
    }

    /// A step of this distribution that wrote `id`, with so many candidates; `None` outside the vocabulary.
    #[must_use]
    pub fn step(&self, id: TokenId, bytes: &[u8], candidates: usize) -> Option<Step> {
        Some(Step {
            id: Some(id),
            bytes: bytes.to_vec(),
            logprob: self.logprob(id)?,
            rank: self.rank(id)?,
            entropy: self.entropy,
            candidates: self.top(candidates),
            ..Step::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_ranks_share_places() {
        let whole = Distribution::new(vec![1.0, 3.0, 3.0, f32::NEG_INFINITY, 0.0]).unwrap();
        let sum: f32 = (0..5).filter_map(|id| whole.logprob(TokenId(id))).map(f32::exp).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert_eq!(whole.order(), [1, 2, 0, 4, 3].map(TokenId));
        assert_eq!([0, 1, 2, 3, 4].map(|id| whole.rank(TokenId(id)).unwrap()), [3, 1, 1, 5, 4]);
        let entropy: f32 = (0..5)
            .filter_map(|id| whole.logprob(TokenId(id)))
            .map(|l| if l.is_finite() { -l.exp() * l } else { 0.0 })
            .sum();
        assert!((entropy - whole.entropy()).abs() < 1e-6);
    }

    #[test]
    fn a_step_keeps_the_likeliest_and_says_where_the_token_ranks() {
        let whole = Distribution::new(vec![0.0, 2.0, 1.0, 1.0]).unwrap();
        let step = whole.step(TokenId(3), b"x", 2).unwrap();
        assert_eq!(step.candidates, whole.top(2));
        assert_eq!(whole.top(9).iter().map(|c| c.id.0).collect::<Vec<_>>(), [1, 2, 3, 0]);
        assert_eq!((step.id, step.rank, step.chosen_index()), (Some(TokenId(3)), 2, None));
        assert_eq!((Some(step.logprob), step.entropy), (whole.logprob(TokenId(3)), whole.entropy()));
        for outside in [-1, 4] {
            assert_eq!(whole.logprob(TokenId(outside)), None);
            assert_eq!(whole.rank(TokenId(outside)), None);
            assert_eq!(whole.step(TokenId(outside), b"", 2), None);
        }
    }

    #[test]
    fn logits_of_any_size_have_their_odds() {
        for shift in [-3e4, 0.0, 3e4] {
            let whole = Distribution::new(vec![shift, shift, shift - 100.0]).unwrap();
            let half = -std::f32::consts::LN_2;
            assert!((whole.logprob(TokenId(0)).unwrap() - half).abs() < 1e-5, "{shift}");
            assert!((whole.logprob(TokenId(2)).unwrap() - (half - 100.0)).abs() < 1e-4, "{shift}");
            assert!((whole.entropy() + half).abs() < 1e-5, "{shift}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(Distribution::new(vec![]), None);
        assert_eq!(Distribution::new(vec![1.0, f32::NAN]), None);
        assert_eq!(Distribution::new(vec![1.0, f32::INFINITY]), None);
        assert_eq!(Distribution::new(vec![f32::NEG_INFINITY]), None);
    }
}

//! Two models on one text: how far apart their distributions lie at each of its tokens, and over all of them.
//!
//! Invariant: the first model is the reference p, the second is held against it as q. `D(p ‖ q)` is over the whole
//! vocabulary, in nats, and is there only where both give all of it; of the rest nothing is estimated.

use serde::{Deserialize, Serialize};

use crate::token::Candidate;

/// A token of the text under both models. The pairs are the reference's and the other's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// `D(p ‖ q)` of the distributions that the token was drawn from, nats.
    pub kl: f32,
    /// ln p of the token itself, nats.
    pub logprob: [f32; 2],
    /// The likeliest token, with its own ln p.
    pub first: [Candidate; 2],
}

impl Contrast {
    /// Whether the other model's first choice is another token.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.first[0].id != self.first[1].id
    }

    /// By how many bits the token surprises the other model more than the reference.
    #[must_use]
    pub fn more_bits(&self) -> f32 {
        (self.logprob[0] - self.logprob[1]) / std::f32::consts::LN_2
    }

    /// By how much likelier the other model finds the token, −1 to 1.
    #[must_use]
    pub fn more_likely(&self) -> f32 {
        self.logprob[1].exp() - self.logprob[0].exp()
    }
}

/// What the tokens of a text add up to; figures as `llama-perplexity --kl-divergence` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Tokens that were held against each other.
    pub tokens: u32,
    /// Mean `D(p ‖ q)` of a token, nats.
    pub mean_kl: f64,
    /// Its standard error: `σ / √(n − 1)`.
    pub mean_kl_error: f64,
    /// The half of the tokens lies below, nats.
    pub median_kl: f32,
    /// Nine tenths lie below, nats.
    pub p90_kl: f32,
    /// All but a hundredth lie below, nats.
    pub p99_kl: f32,
    /// The largest, nats.
    pub max_kl: f32,
    /// The share of tokens at which both models' first choice is the same, 0 to 1.
    pub same_first: f64,
    /// `e^(−mean ln p)` of both.
    pub perplexity: [f64; 2],
    /// Root of the mean squared difference of the token's probability, 0 to 1.
    pub rms_difference: f64,
}

impl Summary {
    /// Of the tokens of a text; `None` without any.
    #[must_use]
    pub fn of(tokens: &[Contrast]) -> Option<Self> {
        if tokens.is_empty() {
            return None;
        }
        let n = tokens.len() as f64;
        let mean = |figure: &dyn Fn(&Contrast) -> f64| tokens.iter().map(figure).sum::<f64>() / n;
        let mean_kl = mean(&|token| f64::from(token.kl));
        let variance = (mean(&|token| f64::from(token.kl).powi(2)) - mean_kl * mean_kl).max(0.0);
        let mut sorted: Vec<f32> = tokens.iter().map(|token| token.kl).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let perplexity = [0, 1].map(|which| (-mean(&|token| f64::from(token.logprob[which]))).exp());
        Some(Self {
            tokens: tokens.len() as u32,
            mean_kl,
            mean_kl_error: if tokens.len() > 1 { (variance / (n - 1.0)).sqrt() } else { 0.0 },
            median_kl: quantile(&sorted, 0.5),
            p90_kl: quantile(&sorted, 0.9),
            p99_kl: quantile(&sorted, 0.99),
            max_kl: quantile(&sorted, 1.0),
            same_first: mean(&|token| f64::from(u8::from(!token.is_changed()))),
            perplexity,
            rms_difference: mean(&|token| f64::from(token.more_likely()).powi(2)).sqrt(),
        })
    }
}

/// Between the two values that lie nearest, in proportion.
fn quantile(sorted: &[f32], share: f32) -> f32 {
    let place = share * (sorted.len() - 1) as f32;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * part
}

/// A stretch of a text that both of two tokenizers cut off at both ends: the shortest in which two models with different
/// vocabularies can be held against each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Where in the text, bytes.
    pub from: usize,
    /// Behind its last byte.
    pub to: usize,
    /// Surprise of the reference and of the other, bits.
    pub bits: [f64; 2],
}

/// A token of a text: behind which byte it ends, and its surprise in bits.
pub type Ended = (usize, f64);

/// The stretches between the ends that both have, from the first byte for which both have a figure; `from` is where the
/// first token of each begins that has one. Both are in order.
#[must_use]
pub fn spans(from: [usize; 2], tokens: [&[Ended]; 2]) -> Vec<Span> {
    let (mut all, mut bits, mut at) = (Vec::new(), [0.0; 2], [0; 2]);
    let mut start = from[0].max(from[1]);
    // What only one of them has a figure for counts for none: tokens that end there are passed over.
    let mut whole = true;
    for which in [0, 1] {
        let skipped = tokens[which].iter().take_while(|(end, _)| *end <= start).count();
        at[which] = skipped;
        let cut = if skipped > 0 { tokens[which][skipped - 1].0 } else { from[which] };
        whole &= cut == start;
    }
    while let [Some(&first), Some(&second)] = [tokens[0].get(at[0]), tokens[1].get(at[1])] {
        let end = first.0.min(second.0);
        for (which, token) in [first, second].into_iter().enumerate() {
            if token.0 == end {
                bits[which] += token.1;
                at[which] += 1;
            }
        }
        if first.0 == second.0 {
            if whole && end > start {
                all.push(Span { from: start, to: end, bits });
            }
            (start, bits, whole) = (end, [0.0; 2], true);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenId;
    use proptest::prelude::*;

    fn token(kl: f32, logprob: [f32; 2], first: [i32; 2]) -> Contrast {
        let candidate = |id| Candidate { id: TokenId(id), logprob: -0.1 };
        Contrast { kl, logprob, first: first.map(candidate) }
    }

    #[test]
    fn a_text_adds_up_to_its_means_and_quantiles() {
        let all = [
            token(0.1, [-1.0, -2.0], [1, 1]),
            token(0.3, [-3.0, -2.0], [1, 2]),
            token(0.2, [-2.0, -2.0], [3, 3]),
        ];
        let summary = Summary::of(&all).unwrap();
        assert!((summary.mean_kl - 0.2).abs() < 1e-6 && (summary.median_kl - 0.2).abs() < 1e-6);
        assert!((summary.mean_kl_error - (0.02_f64 / 3.0 / 2.0).sqrt()).abs() < 1e-6, "{summary:?}");
        assert!((summary.p90_kl - 0.28).abs() < 1e-6 && (summary.max_kl - 0.3).abs() < 1e-9);
        assert!((summary.same_first - 2.0 / 3.0).abs() < 1e-9);
        assert!(summary.perplexity.iter().all(|value| (value - 2.0_f64.exp()).abs() < 1e-6));
        assert!((all[0].more_bits() - 1.0 / std::f32::consts::LN_2).abs() < 1e-6);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn texts_are_held_together_where_both_cut_them() {
        // "abcdef" as ab|cde|f and a|b|c|def: both end at 2 and at 6.
        let first = [(2, 3.0), (5, 4.0), (6, 1.0)];
        let second = [(1, 1.0), (2, 1.5), (3, 0.5), (6, 2.0)];
        let all = spans([0, 0], [&first, &second]);
        assert_eq!(
            all,
            [Span { from: 0, to: 2, bits: [3.0, 2.5] }, Span { from: 2, to: 6, bits: [5.0, 2.5] }]
        );
        // A first token without a figure: what stands before both have one is left out.
        let all = spans([2, 1], [&first[1..], &second[1..]]);
        assert_eq!(all, [Span { from: 2, to: 6, bits: [5.0, 2.5] }]);
        let all = spans([2, 0], [&first[1..], &second]);
        assert_eq!(all, [Span { from: 2, to: 6, bits: [5.0, 2.5] }]);
    }

    proptest! {
        #[test]
        fn no_bit_is_lost_or_counted_twice(
            cuts in prop::collection::vec((1_usize..60, 0.0_f64..9.0), 1..40),
            others in prop::collection::vec((1_usize..60, 0.0_f64..9.0), 1..40),
        ) {
            let tokens = |mut cuts: Vec<Ended>| {
                cuts.push((60, 1.0));
                cuts.sort_by_key(|(end, _)| *end);
                cuts.dedup_by_key(|(end, _)| *end);
                cuts
            };
            let (first, second) = (tokens(cuts), tokens(others));
            let all = spans([0, 0], [&first, &second]);
            let sum = |of: &[Ended]| of.iter().map(|(_, bits)| bits).sum::<f64>();
            prop_assert!((all.iter().map(|span| span.bits[0]).sum::<f64>() - sum(&first)).abs() < 1e-9);
            prop_assert!((all.iter().map(|span| span.bits[1]).sum::<f64>() - sum(&second)).abs() < 1e-9);
            prop_assert!(all.first().is_some_and(|span| span.from == 0));
            prop_assert!(all.windows(2).all(|two| two[0].to == two[1].from));
        }
    }
}

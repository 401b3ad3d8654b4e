//! The numbers of one step over the whole vocabulary, in one pass: normaliser, entropy and the likeliest
//! tokens. Naive loops would cost a tenth of the decode time on large vocabularies; these cost a fiftieth.
//!
//! Invariant: everything is over **all** logits, before any sampler. Blocks stay in the first-level cache,
//! inside a block 32 independent accumulators let the compiler use vector instructions, and blocks are
//! summed in f64.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::token::TokenId;

/// Logits per block: 4 KiB.
const BLOCK: usize = 1024;
/// Independent accumulators.
const LANES: usize = 32;
/// Logits that are tested together against the smallest kept logit.
const FILTER: usize = 64;
/// Below this distance from the maximum, e^x counts as e^this: nothing at f32 precision.
const FLOOR: f32 = -86.0;

/// A token and its raw logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The token.
    pub id: TokenId,
    /// Its logit as the model gave it.
    pub logit: f32,
}

impl Eq for Scored {}

impl Ord for Scored {
    /// Larger logits first in rank; among equals the smaller id, as llama.cpp's greedy pick has it.
    fn cmp(&self, other: &Self) -> Ordering {
        self.logit.total_cmp(&other.logit).then(other.id.cmp(&self.id))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What the whole distribution looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    /// ln Σ e^z, so that ln p = z − this.
    pub log_normaliser: f64,
    /// −Σ p ln p, nats.
    pub entropy: f32,
}

impl Distribution {
    /// ln p of a token of this logit, nats.
    #[must_use]
    pub fn logprob(&self, logit: f32) -> f32 {
        (f64::from(logit) - self.log_normaliser) as f32
    }
}

/// Reads distributions; keeps its buffers between steps.
#[derive(Debug, Default)]
pub struct Reader {
    heap: BinaryHeap<Reverse<Scored>>,
    top: Vec<Scored>,
}

impl Reader {
    /// Reads all logits once and keeps the `k` largest for [`Reader::top`]. `None` when a logit is not a
    /// number or infinite, in which case no probability can be stated.
    pub fn read(&mut self, logits: &[f32], k: usize) -> Option<Distribution> {
        self.heap.clear();
        let (mut max, mut sum, mut weighted) = (f32::NEG_INFINITY, 0.0_f64, 0.0_f64);
        for (index, block) in logits.chunks(BLOCK).enumerate() {
            let high = largest(block);
            if high > max {
                (sum, weighted) = rescale(sum, weighted, f64::from(max) - f64::from(high));
                max = high;
            }
            let (block_sum, block_weighted) = sums(block, max);
            sum += block_sum;
            weighted += block_weighted;
            self.keep(block, index * BLOCK, high, k);
        }
        self.top.clear();
        self.top.extend(self.heap.drain().map(|Reverse(scored)| scored));
        self.top.sort_unstable_by(|a, b| b.cmp(a));

        let log_sum = sum.ln();
        let entropy = (log_sum - weighted / sum).max(0.0) as f32;
        let log_normaliser = f64::from(max) + log_sum;
        (log_normaliser.is_finite() && entropy.is_finite())
            .then_some(Distribution { log_normaliser, entropy })
    }

    /// The likeliest tokens of the last [`Reader::read`], most likely first.
    #[must_use]
    pub fn top(&self) -> &[Scored] {
        &self.top
    }

    /// Offers a block whose largest logit is `high` to the `k` best.
    fn keep(&mut self, block: &[f32], base: usize, high: f32, k: usize) {
        if k == 0 || (self.heap.len() == k && high <= self.smallest_kept()) {
            return;
        }
        for (index, group) in block.chunks(FILTER).enumerate() {
            if self.heap.len() == k {
                let smallest = self.smallest_kept();
                if group.iter().map(|&z| u32::from(z > smallest)).sum::<u32>() == 0 {
                    continue;
                }
            }
            for (offset, &logit) in group.iter().enumerate() {
                self.offer(Scored { id: id(base + index * FILTER + offset), logit }, k);
            }
        }
    }

    fn offer(&mut self, scored: Scored, k: usize) {
        if self.heap.len() < k {
            self.heap.push(Reverse(scored));
        } else if let Some(mut smallest) = self.heap.peek_mut()
            && scored > smallest.0
        {
            smallest.0 = scored;
        }
    }

    fn smallest_kept(&self) -> f32 {
        self.heap.peek().map_or(f32::NEG_INFINITY, |smallest| smallest.0.logit)
    }
}

/// The rank of a token that is among the likeliest, which it nearly always is.
#[must_use]
pub fn rank_among(top: &[Scored], id: TokenId) -> Option<u32> {
    let logit = top.iter().find(|scored| scored.id == id)?.logit;
    Some(1 + top.iter().take_while(|scored| scored.logit > logit).count() as u32)
}

/// 1 + how many tokens have a larger logit.
#[must_use]
pub fn rank(logits: &[f32], logit: f32) -> u32 {
    1 + logits.iter().map(|&z| u32::from(z > logit)).sum::<u32>()
}

/// The token of the largest logit, the first among equals.
#[must_use]
pub fn likeliest(logits: &[f32]) -> TokenId {
    let high = logits.chunks(BLOCK).map(largest).fold(f32::NEG_INFINITY, f32::max);
    id(logits.iter().position(|&z| z >= high).unwrap_or(0))
}

fn id(index: usize) -> TokenId {
    TokenId(i32::try_from(index).expect("a vocabulary has fewer than 2^31 entries"))
}

fn largest(block: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = block.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &z) in lanes.iter_mut().zip(chunk) {
            *lane = if z > *lane { z } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Σ e^d and Σ d e^d when the maximum rises by −`shift`.
fn rescale(sum: f64, weighted: f64, shift: f64) -> (f64, f64) {
    if sum == 0.0 {
        return (0.0, 0.0);
    }
    let factor = shift.exp();
    (sum * factor, (weighted + shift * sum) * factor)
}

/// Σ e^d and Σ d e^d over a block, with d = z − max ≤ 0.
fn sums(block: &[f32], max: f32) -> (f64, f64) {
    let mut plain = [0.0_f32; LANES];
    let mut weighted = [0.0_f32; LANES];
    let (chunks, rest) = block.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let d = floored(chunk[lane] - max);
            let e = exp(d);
            plain[lane] += e;
            weighted[lane] += d * e;
        }
    }
    for (lane, &z) in rest.iter().enumerate() {
        let d = floored(z - max);
        plain[lane] += exp(d);
        weighted[lane] += d * exp(d);
    }
    (plain.iter().copied().map(f64::from).sum(), weighted.iter().copied().map(f64::from).sum())
}

/// Written so that "not a number" passes through and is noticed in the sum.
#[inline]
fn floored(d: f32) -> f32 {
    if d < FLOOR { FLOOR } else { d }
}

/// e^x for −86 ≤ x ≤ 0, within 2 units in the last place: the polynomial of Cephes' `expf` (Moshier),
/// with the power of two put together in the exponent bits so that it vectorises.
#[inline]
fn exp(x: f32) -> f32 {
    /// Adding it leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Logits as a model gives them: most small, few large.
    fn sample(seed: u64, len: usize, spread: f32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let unit = (state >> 40) as f32 / (1_u64 << 24) as f32;
                (unit - 0.5) * spread + unit.powi(30) * spread
            })
            .collect()
    }

    fn naive(logits: &[f32]) -> (f64, f64) {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&z| (f64::from(z) - f64::from(max)).exp()).sum();
        let lse = f64::from(max) + sum.ln();
        let entropy = -logits
            .iter()
            .map(|&z| f64::from(z) - lse)
            .filter(|lp| lp.is_finite())
            .map(|lp| lp.exp() * lp)
            .sum::<f64>();
        (lse, entropy)
    }

    #[test]
    fn exponential_agrees_with_the_standard_library() {
        for step in 0..8600 {
            let x = -(step as f32) / 100.0;
            let relative = (exp(x) - x.exp()).abs() / x.exp();
            assert!(relative < 3e-7, "e^{x}: {} against {}", exp(x), x.exp());
        }
    }

    #[test]
    fn not_a_number_is_refused() {
        let mut logits = sample(3, 5000, 20.0);
        logits[4321] = f32::NAN;
        assert_eq!(Reader::default().read(&logits, 5), None);
    }

    #[test]
    fn banned_tokens_have_no_weight() {
        let mut logits = vec![f32::NEG_INFINITY; 3000];
        logits[7] = 1.0;
        logits[2999] = 1.0;
        let read = Reader::default().read(&logits, 2).unwrap();
        assert!((f64::from(read.entropy) - 2.0_f64.ln()).abs() < 1e-6);
        assert!((read.logprob(1.0) + 2.0_f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn the_likeliest_are_found_also_where_all_logits_are_negative() {
        let logits: Vec<f32> = sample(5, 5000, 20.0).iter().map(|logit| logit - 100.0).collect();
        let mut reader = Reader::default();
        reader.read(&logits, 20).unwrap();
        let mut sorted: Vec<Scored> =
            (0..).zip(&logits).map(|(id, &logit)| Scored { id: TokenId(id), logit }).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(reader.top(), &sorted[..20]);
        for scored in reader.top() {
            assert_eq!(rank_among(reader.top(), scored.id), Some(rank(&logits, scored.logit)));
        }
        assert_eq!(rank_among(reader.top(), sorted[20].id), None);
        // Each is larger than all before it.
        let rising: Vec<f32> = (0..5000).map(|at| -5000.0 + at as f32).collect();
        reader.read(&rising, 3).unwrap();
        let ids: Vec<i32> = reader.top().iter().map(|scored| scored.id.0).collect();
        assert_eq!(ids, [4999, 4998, 4997]);
    }

    #[test]
    fn rank_counts_larger_logits_only() {
        assert_eq!(rank(&[1.0, 3.0, 3.0, 2.0], 3.0), 1);
        assert_eq!(rank(&[1.0, 3.0, 3.0, 2.0], 2.0), 3);
    }

    #[test]
    fn likeliest_takes_the_first_among_equals() {
        assert_eq!(likeliest(&[1.0, 3.0, 3.0, 2.0]), TokenId(1));
    }

    proptest! {
        #[test]
        fn agrees_with_naive_sums_in_double_precision(
            seed in any::<u64>(), len in 1_usize..6000, spread in 0.1_f32..80.0, k in 0_usize..50,
        ) {
            let logits = sample(seed, len, spread);
            let mut reader = Reader::default();
            let read = reader.read(&logits, k).unwrap();
            let (lse, entropy) = naive(&logits);
            prop_assert!((read.log_normaliser - lse).abs() < 1e-5, "{} against {lse}", read.log_normaliser);
            prop_assert!((f64::from(read.entropy) - entropy).abs() < 2e-5, "{} against {entropy}", read.entropy);

            let mut sorted: Vec<Scored> =
                (0..).zip(&logits).map(|(id, &logit)| Scored { id: TokenId(id), logit }).collect();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            sorted.truncate(k);
            prop_assert_eq!(reader.top(), sorted.as_slice());
        }
    }
}

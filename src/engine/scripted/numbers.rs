//! A made-up softmax over the whole made-up vocabulary.
//!
//! Invariant: a step's numbers are computed from one full distribution, so they agree with each other.

use super::vocabulary::token;
use crate::sampling::Sampling;
use crate::token::{Candidate, Step, TokenId};

/// The step that writes `id`. Mostly it is the likeliest token, now and then the second to fourth, rarely one
/// far down; never another than the likeliest at temperature 0.
pub(super) fn step(
    id: TokenId,
    position: usize,
    seed: u32,
    size: usize,
    top: u32,
    sampling: &Sampling,
) -> Step {
    let key = mix(u64::from(seed) << 32 ^ position as u64);
    let mut logits: Vec<f32> = (0..size).map(|other| 4.0 * bell(mix(key ^ ((other as u64) << 20)))).collect();
    let chosen = id.0 as usize;
    let mut sorted = logits.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let luck = key % 100;
    let spread = (key >> 8) as f32 % 100.0 / 100.0;
    logits[chosen] = match luck {
        _ if sampling.temperature <= 0.0 => sorted[0] + 0.5 + 4.0 * spread,
        0..70 => sorted[0] + 0.2 + 5.0 * spread,
        70..97 => sorted[1 + (key as usize >> 16) % 3] + 0.01,
        _ => sorted[25 + (key as usize >> 16) % 20],
    };
    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    let normaliser = largest + sum.ln() as f32;
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
    let logprob = |index: usize| logits[index] - normaliser;
    let entropy: f64 = (0..size).map(|index| f64::from(logprob(index))).map(|l| -l * l.exp()).sum();
    let rank = 1 + logits.iter().filter(|logit| **logit > logits[chosen]).count() as u32;
    Step {
        id: Some(id),
        logprob: logprob(chosen),
        rank,
        entropy: entropy as f32,
        candidates: order
            .iter()
            .take(top as usize)
            .map(|index| Candidate { id: token(*index), logprob: logprob(*index) })
            .collect(),
        survivors: survivors(order.iter().map(|index| logprob(*index)), sampling).max(rank),
        ..Step::default()
    }
}

/// How many of the tokens, likeliest first, top-k, top-p and min-p leave.
fn survivors(logprobs: impl Iterator<Item = f32>, sampling: &Sampling) -> u32 {
    let most = if sampling.top_k == 0 { usize::MAX } else { sampling.top_k as usize };
    let mut before = 0.0;
    let mut best = None;
    logprobs
        .take(most)
        .take_while(|logprob| {
            let p = logprob.exp();
            let best = *best.get_or_insert(p);
            let kept = before < sampling.top_p && p >= sampling.min_p * best;
            before += p;
            kept
        })
        .count() as u32
}

/// `SplitMix64` (Steele, Lea and Flood 2014).
fn mix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Four uniform numbers added up: −1 to 1, mostly near 0, with the tails that make a few tokens likely.
fn bell(key: u64) -> f32 {
    (0..4).map(|part| ((key >> (16 * part)) & 0xffff) as f32 / 65_535.0).sum::<f32>() / 2.0 - 1.0
}

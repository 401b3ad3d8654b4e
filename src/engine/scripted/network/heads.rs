//! The made-up attention: each head has a habit, and a score for every position that follows from it.
//!
//! Invariant: weights are the softmax of the scores that are shown, and the rotation's pairs add up to the score.

use super::super::hash::{mix, unit};
use super::{HEADS, KV_HEADS, LAYERS};
use crate::engine::protocol::Want;
use crate::inspect::position::Yarn;
use crate::inspect::reading::reading;
use crate::inspect::rotation::{Pairing, frequencies};
use crate::inspect::trace::{
    Attention, AttentionLayer, HeadReading, HeadRow, HeadTold, PositionKind, Rotation,
};
use crate::token::TokenId;

/// Dimensions of a head.
const SIZE: usize = 16;
/// Base of the rotation's frequencies.
const BASE: f32 = 10_000.0;
/// Tokens that the windowed block sees.
const WINDOW: usize = 64;
/// The block that has a window.
const WINDOWED: u32 = 2;

/// What a head looks for.
#[derive(Clone, Copy)]
enum Habit {
    Before,
    First,
    Copy,
    Near,
    Own,
    Wander,
}

fn habit(layer: u32, head: u32) -> Habit {
    const HABITS: [Habit; 7] =
        [Habit::Before, Habit::First, Habit::Wander, Habit::Copy, Habit::First, Habit::Near, Habit::Own];
    HABITS[(layer * HEADS + head) as usize % HABITS.len()]
}

/// The overview and the opened blocks, where they are wanted.
pub(super) fn attention(key: u64, ids: &[TokenId], want: &Want) -> Option<Attention> {
    if !want.overview && want.attention.is_empty() && want.head.is_none() {
        return None;
    }
    let layers = if want.overview { 0..LAYERS } else { 0..0 };
    let readings = |layer: u32| (0..HEADS).map(|head| overview(key, ids, layer, head)).collect();
    let opened = |layer: &u32| AttentionLayer {
        layer: *layer,
        window: window(*layer, ids.len()),
        heads: (0..HEADS).map(|head| row(key, ids, *layer, head)).collect(),
    };
    Some(Attention {
        overview: layers.map(readings).collect(),
        layers: want.attention.iter().map(opened).collect(),
        told: want.head.iter().map(|of| told(key, ids, *of, want)).collect(),
        flash: false,
    })
}

/// What a head writes: towards what it reads most, away from what it reads least.
fn told(key: u64, ids: &[TokenId], (layer, head): (u32, u32), want: &Want) -> HeadTold {
    let row = self::row(key, ids, layer, head);
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by(|a, b| row.weights[*b].total_cmp(&row.weights[*a]).then(a.cmp(b)));
    let some = |at: &mut dyn Iterator<Item = &usize>, sign: f32| {
        at.take(4).map(|at| (ids[*at], sign * (0.1 + row.weights[*at]))).collect()
    };
    let push =
        |id: &TokenId| (*id, 4.0 * unit(mix(key ^ id.0 as u64 ^ u64::from(layer * HEADS + head))) - 2.0);
    HeadTold {
        layer,
        head,
        share: 0.2 * row.value_norms.iter().sum::<f32>(),
        promotes: some(&mut order.iter(), 1.0),
        suppresses: some(&mut order.iter().rev(), -1.0),
        followed: want.follow.iter().map(push).collect(),
    }
}

/// What a head does; it writes as much as its weights on other positions than the first add up to.
fn overview(key: u64, ids: &[TokenId], layer: u32, head: u32) -> HeadReading {
    let row = self::row(key, ids, layer, head);
    let written = Some(0.2 * row.value_norms.iter().skip(1).sum::<f32>());
    HeadReading { written, ..reading(&row.weights, ids) }
}

/// A head's weights at the last of these ids.
pub(in crate::engine::scripted) fn read(key: u64, ids: &[TokenId], layer: u32, head: u32) -> Vec<f32> {
    weights(&scores(key, ids, layer, head))
}

/// The first position that a block sees from the last of so many.
pub(in crate::engine::scripted) fn seen_from(layer: u32, read: usize) -> u32 {
    window(layer, read).map_or(0, |window| read as u32 - window)
}

fn window(layer: u32, read: usize) -> Option<u32> {
    (layer == WINDOWED && read > WINDOW).then_some(WINDOW as u32)
}

fn row(key: u64, ids: &[TokenId], layer: u32, head: u32) -> HeadRow {
    let scores = scores(key, ids, layer, head);
    let weights = weights(&scores);
    // What the first position holds is short, as in real models.
    let length = |at: usize| {
        let luck = unit(mix(at as u64 ^ mix(u64::from(layer * HEADS + head))));
        if at == 0 { 0.1 } else { 0.6 + 0.8 * luck }
    };
    let value_norms = weights.iter().enumerate().map(|(at, weight)| weight * length(at)).collect();
    let shown = |score: &f32| if score.is_finite() { *score } else { 0.0 };
    HeadRow { scores: scores.iter().map(shown).collect(), weights, value_norms, sink: 0.0 }
}

/// scale · q·k by position; −∞ outside the window.
fn scores(key: u64, ids: &[TokenId], layer: u32, head: u32) -> Vec<f32> {
    let here = ids.len().saturating_sub(1);
    let noise = mix(key ^ mix(500 + u64::from(layer * HEADS + head)));
    let own = ids.get(here);
    let hidden = window(layer, ids.len()).map_or(0, |_| ids.len() - WINDOW);
    let score = |at: usize| {
        if at < hidden {
            return f32::NEG_INFINITY;
        }
        let drawn = match habit(layer, head) {
            Habit::Before => at + 1 == here,
            Habit::First => at == 0,
            Habit::Copy => at > 0 && at <= here && ids.get(at - 1) == own && at != here,
            Habit::Near => at < here && here - at <= 8,
            Habit::Own => at == here,
            Habit::Wander => false,
        };
        let crowd = (1.0 + ids.len() as f32).ln();
        let sink = if at == 0 { 0.8 * crowd } else { 0.0 };
        3.0 * unit(mix(noise ^ at as u64)) - 1.5 + sink + if drawn { 1.5 + crowd } else { 0.0 }
    };
    (0..ids.len()).map(score).collect()
}

fn weights(scores: &[f32]) -> Vec<f32> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let parts: Vec<f64> = scores.iter().map(|score| f64::from(score - most).exp()).collect();
    let sum: f64 = parts.iter().sum();
    parts.into_iter().map(|part| (part / sum) as f32).collect()
}

/// What position does to one score.
pub(super) fn rotation(key: u64, ids: &[TokenId], layer: u32, head: u32, other: u32) -> Rotation {
    let here = (ids.len() as u32).saturating_sub(1);
    let scale = 1.0 / (SIZE as f32).sqrt();
    let vector = |of: u64| -> Vec<f32> {
        (0..SIZE as u64).map(|dim| 2.0 * unit(mix(of ^ mix(dim + 9))) - 1.0).collect()
    };
    let query = vector(mix(key ^ u64::from(layer * HEADS + head)));
    let mut other_key = vector(mix(u64::from(other) ^ mix(u64::from(layer * KV_HEADS + head))));
    let score = scores(key, ids, layer, head).get(other as usize).copied().unwrap_or_default();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    // The key is moved along the query until their product is the score.
    let score = if score.is_finite() { score } else { 0.0 };
    let more = (score / scale - dot(&query, &other_key)) / dot(&query, &query);
    other_key.iter_mut().zip(&query).for_each(|(key, query)| *key += more * query);
    let frequencies = frequencies(SIZE, BASE, 1.0, &[], &Yarn::default());
    let kind = PositionKind::RopeNeox;
    let pairing =
        Pairing { kind, frequencies: &frequencies, scale, query: (&query, here), key: (&other_key, other) };
    Rotation {
        kind,
        base: BASE,
        scale: 1.0,
        head: (layer, head),
        other,
        pairs: pairing.pairs(),
        unrotated: pairing.unrotated(),
        by_distance: pairing.by_distance(here + 1),
        frequencies: frequencies.clone(),
        ..Rotation::default()
    }
}

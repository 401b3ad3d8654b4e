//! Attention of the pass: what each head reads, and position's part in one head.
//!
//! Invariant: weights are the model's own, by position; value-weighted ones say how long the vector is that a
//! position adds to the stream through one head, before any norm that follows.

use super::{Inside, head_contribution, position};
use crate::engine::compute::parallel;
use crate::engine::probe::{Captured, LayerCapture};
use crate::engine::protocol::Want;
use crate::inspect::reading::reading;
use crate::inspect::rotation::{DISTANCES, Pairing, frequencies};
use crate::inspect::trace::{Attention, AttentionLayer, HeadReading, HeadRow, PositionKind, Rotation};
use crate::token::TokenId;

/// The overview and the opened blocks.
pub(crate) fn attention(
    inside: &mut Inside,
    captured: &Captured,
    want: &Want,
    ids: &[TokenId],
) -> Result<Attention, String> {
    let has = |layer: &LayerCapture| !layer.pattern.is_empty();
    if !captured.layers.iter().any(has) {
        return Err("this model's graph does not show its attention weights".into());
    }
    let overview = if want.overview {
        let shares = head_contribution::shares(inside, captured);
        overview(&captured.layers, &shares, ids)
    } else {
        Vec::new()
    };
    let mut layers = Vec::new();
    for number in &want.attention {
        let Some(layer) = captured.layers.get(*number as usize).filter(|layer| has(layer)) else { continue };
        layers.push(AttentionLayer {
            layer: *number,
            window: layer.window,
            heads: rows(inside, layer, *number),
        });
    }
    Ok(Attention { overview, layers, flash: captured.flash, ..Attention::default() })
}

/// What each head of each block does, several blocks at once; `shares` are what its heads write, by block.
fn overview(layers: &[LayerCapture], shares: &[Vec<f32>], ids: &[TokenId]) -> Vec<Vec<HeadReading>> {
    // Only weights cross to other threads: a capture also holds operands.
    let weights: Vec<&[Vec<f32>]> = layers.iter().map(|layer| layer.pattern.as_slice()).collect();
    parallel::each(weights.len(), |block| readings(weights[block], &shares[block], ids))
}

fn readings(weights: &[Vec<f32>], shares: &[f32], ids: &[TokenId]) -> Vec<HeadReading> {
    let each = weights.iter().enumerate();
    each.map(|(head, weights)| HeadReading { written: shares.get(head).copied(), ..reading(weights, ids) })
        .collect()
}

fn rows(inside: &mut Inside, layer: &LayerCapture, number: u32) -> Vec<HeadRow> {
    let norms = inside.value_norms.of(&inside.weights, &inside.facts, layer, number).unwrap_or_else(|why| {
        tracing::debug!(layer = number, why, "attention is not weighted by its values");
        Vec::new()
    });
    let row = |(head, weights): (usize, &Vec<f32>)| HeadRow {
        weights: weights.clone(),
        scores: layer.attn_scores.get(head).cloned().unwrap_or_default(),
        value_norms: norms.get(head).cloned().unwrap_or_default(),
        sink: layer.sink.get(head).copied().unwrap_or_default(),
    };
    layer.pattern.iter().enumerate().map(row).collect()
}

/// What position does to q·k of one head; where nothing is turned, how the model knows positions.
pub(crate) fn rotation(
    inside: &Inside,
    captured: &Captured,
    (number, head): (u32, u32),
    other: u32,
    position: usize,
) -> Result<Rotation, String> {
    let facts = &inside.facts;
    let layer = captured.layers.get(number as usize).ok_or("there is no such block")?;
    let Some(rope) = &layer.rope else {
        return Ok(Rotation {
            head: (number, head),
            other,
            ..position::otherwise(inside, captured, layer, position)?
        });
    };
    let group = (facts.heads / facts.kv_heads).max(1);
    let size = layer.query.len() / (facts.heads as usize).max(1);
    let query = layer.query.get(head as usize * size..(head as usize + 1) * size);
    let keys = layer.keys.get((head / group) as usize);
    let key = keys.and_then(|keys| keys.get(other as usize * size..(other as usize + 1) * size));
    let (Some(query), Some(key)) = (query, key) else {
        return Err("the queries and keys could not be read".into());
    };
    if size == 0 {
        return Err("the queries and keys could not be read".into());
    }
    if key.iter().all(|value| *value == 0.0) {
        return Err(format!("position {other} lies outside what layer {number} sees"));
    }
    let frequencies = frequencies(rope.dims, rope.base, rope.scale, &rope.factors, &rope.yarn);
    let kind = if rope.neox { PositionKind::RopeNeox } else { PositionKind::RopeNormal };
    let pairing = Pairing {
        kind,
        frequencies: &frequencies,
        scale: layer.scale,
        query: (query, position as u32),
        key: (key, other),
    };
    Ok(Rotation {
        kind,
        base: rope.base,
        scale: rope.scale,
        head: (number, head),
        other,
        pairs: pairing.pairs(),
        unrotated: pairing.unrotated(),
        by_distance: pairing.by_distance((position as u32 + 1).max(DISTANCES[DISTANCES.len() - 1] + 1)),
        frequencies: frequencies.clone(),
        yarn: Some(rope.yarn).filter(|yarn| yarn.mix != 0.0),
        ..Rotation::default()
    })
}

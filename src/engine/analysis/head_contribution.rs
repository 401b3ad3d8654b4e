//! How much each head writes into the residual stream here, but for what it takes from token 0.
//!
//! Invariant: a share is `‖W_O (Σ_j a_j v_j − a_0 v_0)‖ ÷ ‖h‖` with h the stream after the block; a norm that follows
//! attention is frozen. Resting on token 0 is how a head does nothing (Gu et al. 2024), so that is left out.

use super::Inside;
use crate::engine::probe::{Captured, LayerCapture};
use crate::inspect::lens;

/// The shares of all heads of all blocks; empty for blocks of which they are not known.
pub(crate) fn shares(inside: &mut Inside, captured: &Captured) -> Vec<Vec<f32>> {
    let of = |(number, layer): (usize, &LayerCapture)| {
        block(inside, layer, number as u32).unwrap_or_else(|why| {
            tracing::debug!(layer = number, why, "how much the heads write is not told");
            Vec::new()
        })
    };
    captured.layers.iter().enumerate().map(of).collect()
}

fn block(inside: &mut Inside, layer: &LayerCapture, number: u32) -> Result<Vec<f32>, String> {
    let whole = lens::length(&layer.resid_post);
    if whole <= 0.0 {
        return Err("the stream after the block is not known".into());
    }
    let written = written(inside, layer, number)?;
    let name = format!("blk.{number}.post_attention_norm.weight");
    let post = inside.facts.norm_of(&inside.weights, &name);
    let factor = inside.facts.residual_scale;
    let length = |column: &Vec<f32>| match &post {
        Some(post) => lens::length(&post.frozen(column, post.divisor(&layer.attn_out))),
        None => lens::length(column),
    };
    Ok(written.iter().map(|column| factor * length(column) / whole).collect())
}

/// What each head writes before any norm that follows, token 0 left out.
pub(crate) fn written(
    inside: &mut Inside,
    layer: &LayerCapture,
    number: u32,
) -> Result<Vec<Vec<f32>>, String> {
    let heads = layer.pattern.len();
    let inputs = layer.z.len();
    let projection = layer.projection.ok_or("the output projection was not seen")?;
    let (length, width) = projection.shape().ok_or("the output projection is not a plain matrix")?;
    if heads == 0 || length != inputs || !inputs.is_multiple_of(heads) {
        return Err("the heads' parts are not known".into());
    }
    let size = inputs / heads;
    let group = (heads / layer.first.len().max(1)).max(1);
    let mut columns = vec![0.0_f32; inputs * heads];
    for (head, column) in columns.chunks_mut(inputs).enumerate() {
        let slice = head * size..(head + 1) * size;
        column[slice.clone()].copy_from_slice(&layer.z[slice.clone()]);
        let rests = layer.pattern[head].first().copied().unwrap_or_default();
        if rests <= 0.0 {
            // Outside a sliding window nothing is taken from it.
            continue;
        }
        let first = layer.first.get(head / group).filter(|first| first.len() == size);
        let first = first.ok_or("position 0's values could not be read")?;
        column[slice].iter_mut().zip(first).for_each(|(value, first)| *value -= rests * first);
    }
    let products = inside.multiplied(&format!("blk.{number}.attn_output.weight"), projection, &columns)?;
    Ok(products.chunks(width).map(<[f32]>::to_vec).collect())
}

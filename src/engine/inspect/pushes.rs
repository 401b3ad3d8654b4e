//! Direct logit attribution of single neurons: a_j times what its column of the down projection pushes.
//!
//! Invariant: as for all parts, norms after the projection are frozen at this pass's divisors; the neurons of a block
//! add up to its feed-forward, but for biases and the rounding of quantised products.

use super::Inside;
use crate::engine::probe::{Captured, LayerCapture};
use crate::inspect::lens::Norm;
use crate::inspect::trace::{AttributionPart, Part};

/// The strongest neurons of all blocks by |push|, strongest first.
pub(super) fn neurons(
    inside: &Inside,
    captured: &Captured,
    pulled: &[f32],
    count: usize,
) -> Result<Vec<AttributionPart>, String> {
    let mut all = Vec::new();
    for (index, layer) in captured.layers.iter().enumerate() {
        all.extend(of_block(inside, layer, index as u32, pulled)?);
        // Held down to what may still be among the strongest.
        strongest(&mut all, count);
    }
    Ok(all)
}

fn strongest(parts: &mut Vec<AttributionPart>, count: usize) {
    parts.sort_by(|a, b| {
        b.logit_difference.abs().total_cmp(&a.logit_difference.abs()).then(a.part.cmp(&b.part))
    });
    parts.truncate(count);
}

fn of_block(
    inside: &Inside,
    layer: &LayerCapture,
    number: u32,
    pulled: &[f32],
) -> Result<Vec<AttributionPart>, String> {
    let name = format!("blk.{number}.ffn_down.weight");
    if !layer.experts.is_empty() || layer.neurons.is_empty() || !inside.weights.has(&name) {
        return Ok(Vec::new());
    }
    let post = inside.facts.norm_of(&inside.weights, &format!("blk.{number}.post_ffw_norm.weight"));
    let direction = before(post, &layer.ffn_out, pulled);
    let pushes = through(inside, &name, layer.neurons.len(), &direction)?;
    let factor = inside.weights.number("residual_scale").unwrap_or(1.0);
    let each = (0..).zip(pushes.iter().zip(&layer.neurons));
    Ok(each
        .map(|(neuron, (push, activation))| AttributionPart {
            part: Part::Neuron(number, neuron),
            logit_difference: (factor * f64::from(*push) * f64::from(*activation)) as f32,
        })
        .collect())
}

/// The direction in front of a norm, its divisor frozen at what it divided; the direction itself without one.
pub(super) fn before(norm: Option<Norm>, divided: &[f32], direction: &[f32]) -> Vec<f32> {
    match norm {
        Some(norm) if divided.len() == direction.len() => norm.pull_back(direction, norm.divisor(divided)),
        _ => direction.to_vec(),
    }
}

/// Each input's push along a direction of the output: the transposed matrix on the direction.
pub(super) fn through(
    inside: &Inside,
    name: &str,
    inputs: usize,
    direction: &[f32],
) -> Result<Vec<f32>, String> {
    let matrix = inside.weights.vector(name).map_err(|error| error.to_string())?;
    let mut pushes = vec![0.0_f32; inputs];
    for (row, along) in matrix.chunks(inputs).zip(direction) {
        pushes.iter_mut().zip(row).for_each(|(push, weight)| *push += weight * along);
    }
    Ok(pushes)
}

//! Direct logit attribution of single neurons: `a_j` times what its column of the down projection pushes.
//!
//! Invariant: as for all parts, norms after the projection are frozen at this pass's divisors; the neurons of a block
//! add up to its feed-forward, but for biases and the rounding of quantised products.

use super::Inside;
use super::residual::{Added, Behind};
use crate::engine::probe::{Captured, LayerCapture};
use crate::inspect::trace::{AttributionPart, Part};

/// The strongest neurons of all blocks by |push|, strongest first.
pub(crate) fn neurons(
    inside: &Inside,
    captured: &Captured,
    halves: &[Added],
    pulled: &[f32],
    count: usize,
) -> Result<Vec<AttributionPart>, String> {
    let mut all = Vec::new();
    for ((number, layer), added) in (0..).zip(&captured.layers).zip(halves) {
        all.extend(of_block(inside, layer, number, &added.ffn, pulled)?);
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
    added: &[f32],
    pulled: &[f32],
) -> Result<Vec<AttributionPart>, String> {
    let name = format!("blk.{number}.ffn_down.weight");
    if !layer.experts.is_empty() || layer.neurons.is_empty() || !inside.weights.has(&name) {
        return Ok(Vec::new());
    }
    let direction = Behind::feed_forward(inside, (number, layer), added)?.pull_back(pulled);
    let pushes = through(inside, &name, layer.neurons.len(), &direction)?;
    let each = (0..).zip(pushes.iter().zip(&layer.neurons));
    Ok(each
        .map(|(neuron, (push, activation))| AttributionPart {
            part: Part::Neuron(number, neuron),
            logit_difference: push * activation,
        })
        .collect())
}

/// Each input's push along a direction of the output: the transposed matrix on the direction.
pub(crate) fn through(
    inside: &Inside,
    name: &str,
    inputs: usize,
    direction: &[f32],
) -> Result<Vec<f32>, String> {
    let mut pushes = vec![0.0_f32; inputs];
    let add = |first: usize, values: &[f32]| {
        for (row, along) in values.chunks_exact(inputs).zip(&direction[first..]) {
            pushes.iter_mut().zip(row).for_each(|(push, weight)| *push += weight * along);
        }
    };
    inside.weights.scan(name, 0..direction.len(), add).map_err(|error| error.to_string())?;
    Ok(pushes)
}

//! Direct logit attribution of single neurons: `a_j` times what its column of the down projection pushes.
//!
//! Invariant: as for all parts, norms after the projection are frozen at this pass's divisors; the neurons of a block
//! add up to its feed-forward, but for biases and the rounding of quantised products.

use super::Inside;
use super::residual::{Added, Behind};
use crate::engine::probe::{Captured, LayerCapture};
use crate::inspect::trace::{AttributionPart, Component};

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
    if !layer.experts.is_empty() {
        return Ok(Vec::new());
    }
    let name = format!("blk.{number}.ffn_down.weight");
    let behind = || Behind::feed_forward(inside, (number, layer), added);
    let pushes = pushes(inside, &name, &layer.neurons, behind, pulled)?.unwrap_or_default();
    let each = (0..).zip(pushes.iter().zip(&layer.neurons));
    Ok(each
        .map(|(neuron, (push, activation))| AttributionPart {
            part: Component::Neuron(number, neuron),
            logit_difference: push * activation,
        })
        .collect())
}

/// What one unit of each input of a block's projection pushes along a direction in the stream; `behind` is what stands
/// after the projection. `None` where the inputs or the matrix are not there.
pub(crate) fn pushes(
    inside: &Inside,
    name: &str,
    inputs: &[f32],
    behind: impl FnOnce() -> Result<Behind, String>,
    pulled: &[f32],
) -> Result<Option<Vec<f32>>, String> {
    if inputs.is_empty() || !inside.weights.has(name) {
        return Ok(None);
    }
    through(inside, name, inputs.len(), &behind()?.pull_back(pulled)).map(Some)
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

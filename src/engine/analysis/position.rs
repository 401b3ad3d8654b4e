//! Positions of models that turn nothing: learned vectors, slopes, or none.
//!
//! Invariant: what the file and the graph show, never what a family usually has.

use super::Inside;
use crate::engine::probe::{Captured, LayerCapture};
use crate::inspect::embedding::{cosine, dot, norm};
use crate::inspect::position::{LearnedPosition, slopes};
use crate::inspect::trace::{PositionKind, Rotation};

/// The table of learned positions.
const TABLE: &str = "position_embd.weight";
/// Positions listed as nearest.
const NEAREST: usize = 8;

/// How a block without rotation knows positions.
pub(crate) fn otherwise(
    inside: &Inside,
    captured: &Captured,
    layer: &LayerCapture,
    position: usize,
) -> Result<Rotation, String> {
    if inside.weights.has(TABLE) {
        let learned = Some(learned(inside, position)?);
        return Ok(Rotation { kind: PositionKind::Learned, learned, ..Rotation::default() });
    }
    if layer.slope > 0.0 {
        let slopes = slopes(inside.facts.heads, layer.slope);
        return Ok(Rotation { kind: PositionKind::Alibi, slopes, ..Rotation::default() });
    }
    Ok(Rotation { kind: captured.position_kind, ..Rotation::default() })
}

/// A position's own vector beside those of the others.
fn learned(inside: &Inside, position: usize) -> Result<LearnedPosition, String> {
    let weights = &inside.weights;
    let (length, count) = weights.shape(TABLE).ok_or("the table of positions has no shape")?;
    let own = weights.row(TABLE, position).map_err(|error| error.to_string())?;
    let size = norm(&own);
    let mut all = Vec::with_capacity(count);
    weights
        .scan(TABLE, 0..count, |_, values| {
            all.extend(values.chunks_exact(length.max(1)).map(|row| cosine(dot(row, &own), norm(row), size)));
        })
        .map_err(|error| error.to_string())?;
    let mut order: Vec<usize> = (0..all.len()).filter(|at| *at != position).collect();
    order.sort_by(|a, b| all[*b].total_cmp(&all[*a]).then(a.cmp(b)));
    order.truncate(NEAREST);
    let nearest = order.into_iter().map(|at| (at as u32, all[at])).collect();
    all.truncate(position + 1);
    Ok(LearnedPosition { norm: size, count: count as u32, nearest, cosines: all })
}

//! What one head writes into the stream here, told as tokens: which it raises, which it lowers, and what it does to
//! those that are followed.
//!
//! Invariant: the vector is the head's slice of the output projection's input through that projection and whatever norm
//! follows it, all positions included; it is read through the final norm, whose divisor is frozen. The difference of two
//! followed tokens is the head's push in the direct attribution, but for the rounding of quantised products.

use super::Inside;
use super::residual::{self, Behind};
use super::token_effects;
use crate::engine::probe::{Captured, Operands};
use crate::engine::protocol::Want;
use crate::inspect::lens;
use crate::inspect::trace::HeadLogits;

/// Tells what a head writes. Fails where the head's part, its projection or the way to the output is not known, in
/// words.
pub(crate) fn head(
    inside: &mut Inside,
    operands: Operands,
    captured: &Captured,
    (number, head): (u32, u32),
    want: &Want,
) -> Result<HeadLogits, String> {
    let layer = captured.layers.get(number as usize).ok_or("there is no such block")?;
    let projection = layer.projection.ok_or("the output projection was not seen")?;
    let size = layer.z.len() / (inside.facts.heads as usize).max(1);
    let slice = head as usize * size..(head as usize + 1) * size;
    let values = layer.z.get(slice.clone()).filter(|values| !values.is_empty());
    let mut input = vec![0.0_f32; layer.z.len()];
    input[slice].copy_from_slice(values.ok_or("the head's part could not be read")?);
    let written = inside.multiplied(&format!("blk.{number}.attn_output.weight"), projection, &input)?;

    let halves = residual::apart(captured, inside.facts.width)?;
    let behind = Behind::attention(inside, (number, layer), &halves[number as usize].attention)?;
    let added = behind.forward(&written);
    let share = lens::length(&added) / lens::length(&layer.resid_post).max(f32::MIN_POSITIVE);
    let raised =
        token_effects::token_effects(inside, operands, captured, &[added], &want.follow)?.swap_remove(0);
    Ok(HeadLogits {
        layer: number,
        head,
        share,
        promotes: raised.promotes,
        suppresses: raised.suppresses,
        followed: raised.followed,
    })
}

//! Direct logit attribution: what each part that writes into the stream adds to one logit over another.
//!
//! Invariant: the final norm's divisor is frozen at the value it has in this pass, and so are the divisors of norms
//! that follow a block's attention; the closure error is held against the model's own logits.

use super::{Inside, Output, pushes};
use crate::engine::probe::{Captured, LayerCapture};
use crate::inspect::lens;
use crate::inspect::trace::{Attribution, AttributionPart, Part};
use crate::token::TokenId;

/// Who pushed `token` above `rival`.
pub(super) fn attribution(
    inside: &Inside,
    captured: &Captured,
    output: &Output,
    (token, rival): (TokenId, TokenId),
    neurons: usize,
) -> Result<Attribution, String> {
    let facts = &inside.facts;
    let norm = facts.norm.as_ref().ok_or("this model's final norm is not known")?;
    let last = captured.layers.last().ok_or("nothing was captured")?;
    let whole =
        |layer: &LayerCapture| layer.after.len() == facts.width && layer.after_attention.len() == facts.width;
    if captured.embedding.len() != facts.width || !captured.layers.iter().all(whole) {
        return Err("this model's graph does not name its residual stream".into());
    }
    let direction = difference(inside, token, rival)?;
    let pulled = norm.pull_back(&direction, norm.divisor(&last.after));

    let mut parts = vec![part(Part::Embedding, lens::dot(&pulled, &captured.embedding))];
    let mut heads = Vec::new();
    let mut before = &captured.embedding;
    for (index, layer) in captured.layers.iter().enumerate() {
        let number = index as u32;
        let attention = lens::dot(&pulled, &layer.after_attention) - lens::dot(&pulled, before);
        let ffn = lens::dot(&pulled, &layer.after) - lens::dot(&pulled, &layer.after_attention);
        parts.push(part(Part::Attention(number), attention));
        parts.push(part(Part::Ffn(number), ffn));
        heads.extend(heads_of(inside, layer, number, &pulled)?);
        before = &layer.after;
    }
    let logit = |id: TokenId| {
        let logit = output.logits[id.0 as usize];
        facts.soft_cap.map_or(f64::from(logit), |cap| lens::uncapped(logit, cap))
    };
    let bias = |id: TokenId| facts.output_bias.get(id.0 as usize).copied().map_or(0.0, f64::from);
    let difference = logit(token) - logit(rival);
    let constant = norm.constant(&direction) + bias(token) - bias(rival);
    let sum: f64 = parts.iter().map(|part| f64::from(part.logit_difference)).sum::<f64>() + constant;
    Ok(Attribution {
        token,
        rival,
        parts,
        heads,
        neurons: if neurons > 0 { pushes::neurons(inside, captured, &pulled, neurons)? } else { Vec::new() },
        difference: difference as f32,
        closure_error: (sum - difference).abs() as f32,
    })
}

fn part(part: Part, value: f64) -> AttributionPart {
    AttributionPart { part, logit_difference: value as f32 }
}

/// `W_U` of the one less that of the other.
fn difference(inside: &Inside, token: TokenId, rival: TokenId) -> Result<Vec<f32>, String> {
    let weights = &inside.weights;
    let name = weights.output_name();
    let row = |id: TokenId| weights.row(name, id.0 as usize).map_err(|error| error.to_string());
    Ok(row(token)?.iter().zip(row(rival)?).map(|(a, b)| a - b).collect())
}

/// The heads of a block: each one's slice of the output projection's input, through that projection.
fn heads_of(
    inside: &Inside,
    layer: &LayerCapture,
    number: u32,
    pulled: &[f32],
) -> Result<Vec<AttributionPart>, String> {
    let (weights, facts) = (&inside.weights, &inside.facts);
    let name = format!("blk.{number}.attn_output.weight");
    if layer.heads.is_empty() || !weights.has(&name) {
        return Ok(Vec::new());
    }
    let direction = through_post_norm(inside, layer, number, pulled);
    let inputs = layer.heads.len();
    let pushes = pushes::through(inside, &name, inputs, &direction)?;
    let size = inputs / (facts.heads as usize).max(1);
    // Some models multiply what a block adds by a constant.
    let factor = weights.number("residual_scale").unwrap_or(1.0);
    let values = layer.heads.chunks(size);
    let each = pushes.chunks(size).zip(values).enumerate();
    Ok(each
        .map(|(head, (pushes, values))| {
            part(Part::Head(number, head as u32), factor * lens::dot(pushes, values))
        })
        .collect())
}

/// The direction in front of the norm that follows attention, its divisor frozen; the direction itself without one.
fn through_post_norm(inside: &Inside, layer: &LayerCapture, number: u32, pulled: &[f32]) -> Vec<f32> {
    let name = format!("blk.{number}.post_attention_norm.weight");
    pushes::before(inside.facts.norm_of(&inside.weights, &name), &layer.attn_out, pulled)
}

//! Direct logit attribution: what each part that writes into the stream adds to one logit over another.
//!
//! Invariant: the final norm's divisor is frozen at the value it has in this pass, and so are the divisors of norms
//! that follow a block's attention; the closure error is held against the model's own logits.

use super::output::Output;
use super::residual::{self, Behind};
use super::{Inside, neuron_attribution};
use crate::engine::probe::{Captured, LayerCapture, Tail};
use crate::inspect::lens::{self, Norm};
use crate::inspect::trace::{Attribution, AttributionPart, Component};
use crate::token::TokenId;

/// Who pushed `token` above `rival`.
pub(crate) fn attribution(
    inside: &Inside,
    captured: &Captured,
    output: &Output,
    tail: Option<Tail>,
    (token, rival): (TokenId, TokenId),
    neurons: usize,
) -> Result<Attribution, String> {
    let facts = &inside.facts;
    let halves = residual::apart(captured, facts.width)?;
    let tail = tail.unwrap_or_default();
    let Pull { along: pulled, norm, direction } = Pull::of(inside, captured, tail, (token, rival))?;

    let mut parts = vec![part(Component::Embedding, lens::dot(&pulled, &captured.embedding))];
    let mut heads = Vec::new();
    for ((number, layer), added) in (0..).zip(&captured.layers).zip(&halves) {
        parts.push(part(Component::Attention(number), lens::dot(&pulled, &added.attention)));
        parts.push(part(Component::Ffn(number), lens::dot(&pulled, &added.ffn)));
        heads.extend(heads_of(inside, layer, number, &added.attention, &pulled)?);
    }
    let logit = |id: TokenId| {
        let logit = output.logits[id.0 as usize];
        tail.cap.map_or(f64::from(logit), |cap| lens::uncapped(logit, cap))
    };
    let bias = |id: TokenId| facts.output_bias.get(id.0 as usize).copied().map_or(0.0, f64::from);
    let difference = logit(token) - logit(rival);
    let biases = [
        (Component::NormBias, norm.constant(&direction)),
        (Component::OutputBias, f64::from(tail.scale) * (bias(token) - bias(rival))),
    ];
    parts.extend(biases.into_iter().filter(|(_, push)| *push != 0.0).map(|(of, push)| part(of, push)));
    let sum: f64 = parts.iter().map(|part| f64::from(part.logit_difference)).sum();
    Ok(Attribution {
        token,
        rival,
        parts,
        heads,
        neurons: if neurons > 0 {
            neuron_attribution::neurons(inside, captured, &halves, &pulled, neurons)?
        } else {
            Vec::new()
        },
        difference: difference as f32,
        closure_error: (sum - difference).abs() as f32,
    })
}

fn part(part: Component, value: f64) -> AttributionPart {
    AttributionPart { part, logit_difference: value as f32 }
}

/// The direction in the stream that tells one token from another.
pub(crate) struct Pull<'a> {
    /// In the stream: through the final norm, its divisor frozen.
    pub along: Vec<f32>,
    /// The final norm.
    norm: &'a Norm,
    /// Behind the final norm.
    direction: Vec<f32>,
}

impl<'a> Pull<'a> {
    /// Of the first token over the second. Fails where the model's stream, its final norm or one of the two is not
    /// known.
    pub(crate) fn of(
        inside: &'a Inside,
        captured: &Captured,
        tail: Tail,
        (token, rival): (TokenId, TokenId),
    ) -> Result<Self, String> {
        let norm = inside.facts.norm.as_ref().ok_or("this model's final norm is not known")?;
        let last = captured.layers.last().filter(|last| last.resid_post.len() == inside.facts.width);
        let last = last.ok_or("this model's graph does not name its residual stream")?;
        let direction = difference(inside, token, rival, f64::from(tail.scale))?;
        Ok(Self { along: norm.pull_back(&direction, norm.divisor(&last.resid_post)), norm, direction })
    }
}

/// `W_U` of the one less that of the other, times the factor on the logits.
fn difference(inside: &Inside, token: TokenId, rival: TokenId, scale: f64) -> Result<Vec<f32>, String> {
    let weights = &inside.weights;
    let name = weights.output_name();
    let row = |id: TokenId| weights.row(name, id.0 as usize).map_err(|error| error.to_string());
    let rows = row(token)?.into_iter().zip(row(rival)?);
    Ok(rows.map(|(a, b)| (scale * f64::from(a - b)) as f32).collect())
}

/// The heads of a block, each one's slice of the output projection's input through that projection, and its bias.
fn heads_of(
    inside: &Inside,
    layer: &LayerCapture,
    number: u32,
    added: &[f32],
    pulled: &[f32],
) -> Result<Vec<AttributionPart>, String> {
    let name = format!("blk.{number}.attn_output.weight");
    let behind = || Behind::attention(inside, (number, layer), added);
    let Some(pushes) = neuron_attribution::pushes(inside, &name, &layer.z, behind, pulled)? else {
        return Ok(Vec::new());
    };
    let size = layer.z.len() / (inside.facts.heads as usize).max(1);
    let each = pushes.chunks(size).zip(layer.z.chunks(size)).enumerate();
    let mut heads: Vec<AttributionPart> = each
        .map(|(head, (pushes, values))| part(Component::Head(number, head as u32), lens::dot(pushes, values)))
        .collect();
    let bias = format!("blk.{number}.attn_output.bias");
    if inside.weights.has(&bias) {
        let bias = inside.weights.vector(&bias).map_err(|error| error.to_string())?;
        let direction = behind()?.pull_back(pulled);
        heads.push(part(Component::AttentionBias(number), lens::dot(&direction, &bias)));
    }
    Ok(heads)
}

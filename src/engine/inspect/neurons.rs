//! The strongest neurons of a feed-forward, and what each does to the vocabulary.
//!
//! Invariant: a neuron is an input of the down projection; what it promotes is its own vector through the final norm,
//! whose divisor is frozen, and the output matrix.

use super::Inside;
use super::blocks::{self, Behind};
use crate::engine::numbers::Scored;
use crate::engine::probe::{Captured, LayerCapture, Operands};
use crate::inspect::lens;
use crate::inspect::trace::{FeedForward, Neuron};
use crate::token::TokenId;

/// Tokens listed as promoted, and as suppressed.
const TOKENS: usize = 8;

/// Opens a block's feed-forward.
pub(super) fn feed_forward(
    inside: &mut Inside,
    operands: Operands,
    captured: &Captured,
    number: u32,
    count: usize,
) -> Result<FeedForward, String> {
    let layer = captured.layers.get(number as usize).ok_or("there is no such block")?;
    if layer.neurons.is_empty() {
        return Err("this model's graph does not show its feed-forward".into());
    }
    // Those of the experts that are always used come after the others'.
    let values: Vec<f32> = layer.neurons.iter().chain(&layer.shared).copied().collect();
    let width = if layer.experts.is_empty() {
        layer.neurons.len()
    } else {
        layer.neurons.len() / layer.experts.len()
    };
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()).then(a.cmp(b)));
    order.truncate(count);
    let columns = columns(inside, layer, number, width, &values, &order)?;
    let mut neurons: Vec<Neuron> = order
        .iter()
        .zip(&columns)
        .map(|(at, column)| Neuron {
            index: at.checked_sub(layer.neurons.len()).unwrap_or(at % width) as u32,
            expert: layer.experts.get(at / width).filter(|_| *at < layer.neurons.len()).map(|(it, _)| *it),
            activation: values[*at],
            added: lens::length(column),
            ..Neuron::default()
        })
        .collect();
    if let Err(why) = tell(inside, operands, captured, layer, number, &columns, &mut neurons) {
        tracing::debug!(layer = number, why, "what the neurons promote is not told");
    }
    Ok(FeedForward { layer: number, width: width as u32, neurons, experts: layer.experts.clone() })
}

/// What each neuron adds to the stream: its activation times its column of the down projection, the expert's weight
/// included.
fn columns(
    inside: &Inside,
    layer: &LayerCapture,
    number: u32,
    width: usize,
    values: &[f32],
    order: &[usize],
) -> Result<Vec<Vec<f32>>, String> {
    let weights = &inside.weights;
    let plain = format!("blk.{number}.ffn_down.weight");
    let mut columns = if layer.experts.is_empty() {
        weights.columns(&plain, order).map_err(|error| error.to_string())?
    } else {
        let name = format!("blk.{number}.ffn_down_exps.weight");
        let residual = inside.facts.width;
        let mut columns = Vec::with_capacity(order.len());
        for at in order {
            if let Some(shared) = at.checked_sub(layer.neurons.len()) {
                columns.push(shared_column(inside, layer, number, shared)?);
                continue;
            }
            let (expert, weight) = layer.experts[at / width];
            let first = expert as usize * residual;
            let rows = weights.rows(&name, first..first + residual).map_err(|error| error.to_string())?;
            columns.push(rows.chunks(width).map(|row| row[at % width] * weight).collect());
        }
        columns
    };
    for (column, at) in columns.iter_mut().zip(order) {
        for value in column {
            *value *= values[*at];
        }
    }
    Ok(columns)
}

/// A neuron of the experts that are always used: its column, their gate included.
fn shared_column(inside: &Inside, layer: &LayerCapture, number: u32, at: usize) -> Result<Vec<f32>, String> {
    let name = format!("blk.{number}.ffn_down_shexp.weight");
    let mut column = inside.weights.column(&name, at).map_err(|error| error.to_string())?;
    let gate = layer.shared_gate.unwrap_or(1.0);
    for value in &mut column {
        *value *= gate;
    }
    Ok(column)
}

/// Fills in what the neurons promote and suppress.
fn tell(
    inside: &mut Inside,
    operands: Operands,
    captured: &Captured,
    layer: &LayerCapture,
    number: u32,
    columns: &[Vec<f32>],
    neurons: &mut [Neuron],
) -> Result<(), String> {
    let output = operands.output.ok_or("the output matrix was not seen")?;
    let facts = &inside.facts;
    let norm = facts.norm.as_ref().ok_or("the final norm is not known")?;
    let last = captured.layers.last().ok_or("nothing was captured")?;
    let divisor = norm.divisor(&last.after);
    let halves = blocks::apart(captured, facts.width)?;
    let added = halves.get(number as usize).ok_or("there is no such block")?;
    let post = format!("blk.{number}.post_ffw_norm.weight");
    let behind = Behind::of(inside, &post, &layer.ffn_out, &added.ffn)?;
    let inputs: Vec<f32> =
        columns.iter().flat_map(|column| norm.frozen(&behind.forward(column), divisor)).collect();
    let mut logits = inside.graphs.multiply(output, &inputs).map_err(|error| error.to_string())?;
    let scale = operands.tail.unwrap_or_default().scale;
    for logit in &mut logits {
        *logit *= scale;
    }
    for (neuron, logits) in neurons.iter_mut().zip(logits.chunks(inside.facts.vocabulary)) {
        // What is added to all logits alike changes no probability.
        let mean = logits.iter().map(|logit| f64::from(*logit)).sum::<f64>() / logits.len() as f64;
        neuron.promotes = best(logits, mean as f32, 1.0);
        neuron.suppresses = best(logits, mean as f32, -1.0);
    }
    Ok(())
}

/// The tokens with the largest values beyond the mean, or with the smallest where `sign` is −1.
fn best(logits: &[f32], mean: f32, sign: f32) -> Vec<(TokenId, f32)> {
    let mut best: Vec<Scored> = Vec::with_capacity(TOKENS + 1);
    for (id, value) in (0..).map(TokenId).zip(logits) {
        let logit = (value - mean) * sign;
        if best.len() == TOKENS && best.last().is_some_and(|least| logit <= least.logit) {
            continue;
        }
        let scored = Scored { id, logit };
        let place = best.partition_point(|other| other.logit >= logit);
        best.insert(place, scored);
        best.truncate(TOKENS);
    }
    best.into_iter().map(|scored| (scored.id, scored.logit * sign)).collect()
}

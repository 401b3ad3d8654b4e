//! The feed-forward of a block as a sum of neurons: which write most, what each does to the vocabulary, and how much
//! each pushes one token above another.
//!
//! Invariant: a neuron is an input of the down projection; what it promotes is its own vector through the final norm,
//! whose divisor is frozen, as is that of a norm that follows the block. Pushes of all neurons add up to the block's
//! own, but for biases and rounding.

use std::ops::Range;
use std::sync::Arc;

use super::Inside;
use super::attribution::Pull;
use super::residual::{self, Added, Behind};
use super::token_effects;
use crate::engine::probe::{Captured, LayerCapture, Operands};
use crate::engine::protocol::Want;
use crate::inspect::feed_forward::{FfnLayer, NeuronOrder, half, histogram};
use crate::inspect::lens;
use crate::inspect::trace::{FeedForward, Neuron};
use crate::token::TokenId;

/// Weights of all down projections up to which the lengths of all their columns are worked out for the list.
const MOST: usize = 400_000_000;

/// Opens a block's feed-forward.
pub(crate) fn feed_forward(
    inside: &mut Inside,
    operands: Operands,
    captured: &Captured,
    number: u32,
    want: &Want,
) -> Result<FeedForward, String> {
    let layer = captured.layers.get(number as usize).ok_or("there is no such block")?;
    if layer.neurons.is_empty() {
        return Err("this model's graph does not show its feed-forward".into());
    }
    // Those of the experts that are always used come after the others'.
    let values: Vec<f32> = layer.neurons.iter().chain(&layer.shared).copied().collect();
    let width = layer.neurons.len() / layer.experts.len().max(1);
    let pulled = pulled(inside, operands, captured, want);
    let pushes = pulled.as_ref().and_then(|pulled| {
        let made = pushes(inside, captured, number, (&values, width), pulled);
        made.inspect_err(|why| tracing::debug!(layer = number, why, "pushes of neurons are not told")).ok()
    });
    let lengths = writes(inside, layer, number, (&values, width))?;
    let order = order(&values, &lengths, pushes.as_deref(), want);
    let columns = columns(inside, layer, number, width, &values, &order)?;
    let mut neurons: Vec<Neuron> = order
        .iter()
        .zip(&columns)
        .map(|(at, column)| Neuron {
            index: at.checked_sub(layer.neurons.len()).unwrap_or(at % width) as u32,
            expert: layer.experts.get(at / width).filter(|_| *at < layer.neurons.len()).map(|(it, _)| *it),
            activation: values[*at],
            added: lens::length(column),
            push: pushes.as_ref().map(|pushes| pushes[*at]),
            ..Neuron::default()
        })
        .collect();
    if want.words
        && let Err(why) = tell(inside, operands, captured, number, &columns, &mut neurons)
    {
        tracing::debug!(layer = number, why, "what the neurons promote is not told");
    }
    let added = residual::apart(captured, inside.facts.width).ok();
    let push =
        pulled.as_ref().zip(added.as_ref()).map(|(pulled, added)| push_of(&added[number as usize], pulled));
    Ok(FeedForward {
        layer: number,
        width: width as u32,
        experts: layer.experts.clone(),
        words: want.words,
        order: want.neuron_order,
        write: write_of(layer),
        half: half(lengths.iter().copied()),
        push,
        rest: rest(layer, &columns, pushes.as_deref(), &order),
        histogram: histogram(&values),
        neurons,
    })
}

/// Every block's feed-forward in one line.
pub(crate) fn every_layer(
    inside: &mut Inside,
    operands: Operands,
    captured: &Captured,
    want: &Want,
) -> Vec<FfnLayer> {
    let pulled = pulled(inside, operands, captured, want);
    let halves = residual::apart(captured, inside.facts.width).unwrap_or_default();
    let weights: usize = (0..captured.layers.len() as u32)
        .filter_map(|number| inside.weights.shape(&down(number)))
        .map(|(length, rows)| length * rows)
        .sum();
    let mut all = Vec::with_capacity(captured.layers.len());
    for (layer, number) in captured.layers.iter().zip(0..) {
        let small = weights <= MOST && layer.experts.is_empty() && !layer.neurons.is_empty();
        let lengths = if small {
            writes(inside, layer, number, (&layer.neurons, layer.neurons.len())).ok()
        } else {
            None
        };
        all.push(FfnLayer {
            layer: number,
            write: write_of(layer),
            half: lengths.map(|lengths| half(lengths.into_iter())),
            push: pulled
                .as_ref()
                .zip(halves.get(number as usize))
                .map(|(pulled, added)| push_of(added, pulled)),
        });
    }
    all
}

fn down(number: u32) -> String {
    format!("blk.{number}.ffn_down.weight")
}

/// The tokens that pushes are between.
pub(crate) fn pair(want: &Want) -> Option<(TokenId, TokenId)> {
    Some((*want.follow.first()?, *want.follow.get(1)?))
}

/// The direction in the stream that tells the first followed token from the second; `None` where the model's stream,
/// its final norm or one of the two is not known.
fn pulled(inside: &Inside, operands: Operands, captured: &Captured, want: &Want) -> Option<Vec<f32>> {
    Pull::of(inside, captured, operands.tail.unwrap_or_default(), pair(want)?).ok().map(|pull| pull.along)
}

/// How long what it writes is: of the down projection, else of what was added.
fn write_of(layer: &LayerCapture) -> f32 {
    if layer.ffn_out.is_empty() {
        lens::distance(&layer.resid_mid, &layer.resid_post)
    } else {
        lens::length(&layer.ffn_out)
    }
}

/// How much a block's feed-forward moves the stream along a direction.
fn push_of(added: &Added, pulled: &[f32]) -> f32 {
    lens::dot(pulled, &added.ffn) as f32
}

/// The neurons that are listed, first the strongest by what is wanted.
fn order(values: &[f32], lengths: &[f32], pushes: Option<&[f32]>, want: &Want) -> Vec<usize> {
    let key = |at: usize| match want.neuron_order {
        NeuronOrder::Activation => values[at].abs(),
        NeuronOrder::Write => lengths[at],
        NeuronOrder::Push => pushes.map_or(lengths[at], |pushes| pushes[at].abs()),
    };
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| key(*b).total_cmp(&key(*a)).then(a.cmp(b)));
    order.truncate(want.neurons as usize);
    order
}

/// What the neurons that are not listed write and push together.
fn rest(
    layer: &LayerCapture,
    columns: &[Vec<f32>],
    pushes: Option<&[f32]>,
    order: &[usize],
) -> Option<(u32, f32, Option<f32>)> {
    let mut left = layer.ffn_out.clone();
    if left.is_empty() || columns.iter().any(|column| column.len() != left.len()) {
        return None;
    }
    for column in columns {
        left.iter_mut().zip(column).for_each(|(left, value)| *left -= value);
    }
    let push = pushes.map(|pushes| {
        let listed: f32 = order.iter().map(|at| pushes[*at]).sum();
        pushes.iter().sum::<f32>() - listed
    });
    Some(((layer.neurons.len() + layer.shared.len() - order.len()) as u32, lens::length(&left), push))
}

/// `‖aⱼ · W_down[:, j]‖` of every neuron; in a mixture of those of the used experts, their weights included.
fn writes(
    inside: &mut Inside,
    layer: &LayerCapture,
    number: u32,
    (values, width): (&[f32], usize),
) -> Result<Vec<f32>, String> {
    if layer.experts.is_empty() {
        let norms = column_norms(inside, number)?;
        return Ok(values.iter().zip(norms.iter()).map(|(value, norm)| value.abs() * norm).collect());
    }
    let squares = over_rows(inside, layer, number, width, |sum, value, _| *sum += value * value, &[])?;
    Ok(values.iter().zip(squares).map(|(value, square)| value.abs() * square.sqrt()).collect())
}

/// Lengths of a down projection's columns, kept once they are known.
fn column_norms(inside: &mut Inside, number: u32) -> Result<Arc<Vec<f32>>, String> {
    if let Some(known) = inside.column_norms.get(&number) {
        return Ok(Arc::clone(known));
    }
    let name = down(number);
    let (length, rows) = inside.weights.shape(&name).ok_or_else(|| format!("the file has no {name}"))?;
    let mut squares = vec![0.0_f32; length];
    let add = |_: usize, values: &[f32]| {
        for row in values.chunks_exact(length) {
            squares.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * value);
        }
    };
    inside.weights.scan(&name, 0..rows, add).map_err(|error| error.to_string())?;
    let norms: Arc<Vec<f32>> = Arc::new(squares.into_iter().map(f32::sqrt).collect());
    inside.column_norms.insert(number, Arc::clone(&norms));
    Ok(norms)
}

/// How much each neuron pushes along a direction of the stream, what stands after the projection frozen.
fn pushes(
    inside: &Inside,
    captured: &Captured,
    number: u32,
    (values, width): (&[f32], usize),
    pulled: &[f32],
) -> Result<Vec<f32>, String> {
    let layer = &captured.layers[number as usize];
    let halves = residual::apart(captured, inside.facts.width)?;
    let behind = Behind::feed_forward(inside, (number, layer), &halves[number as usize].ffn)?;
    let direction = behind.pull_back(pulled);
    let along =
        over_rows(inside, layer, number, width, |sum, value, along| *sum += value * along, &direction)?;
    Ok(values.iter().zip(along).map(|(value, along)| value * along).collect())
}

/// A figure of every column of the down projection, made row by row with the direction's number of that row; in a
/// mixture of the used experts' columns, each multiplied with its expert's weight.
fn over_rows(
    inside: &Inside,
    layer: &LayerCapture,
    number: u32,
    width: usize,
    add: impl Fn(&mut f32, f32, f32),
    direction: &[f32],
) -> Result<Vec<f32>, String> {
    let mut figures = vec![0.0_f32; layer.neurons.len() + layer.shared.len()];
    for part in parts(inside, layer, number, width) {
        let (first, figures) = (part.rows.start, &mut figures[part.neurons]);
        let take = |at: usize, values: &[f32]| {
            for (row, values) in (at - first..).zip(values.chunks_exact(figures.len())) {
                let along = direction.get(row).copied().unwrap_or_default();
                figures.iter_mut().zip(values).for_each(|(sum, value)| add(sum, value * part.weight, along));
            }
        };
        inside.weights.scan(&part.name, part.rows, take).map_err(|error| error.to_string())?;
    }
    Ok(figures)
}

/// What each neuron adds to the stream: its activation times its column of the down projection, the expert's weight
/// included. Each matrix is read once, whatever number of its columns is wanted.
fn columns(
    inside: &Inside,
    layer: &LayerCapture,
    number: u32,
    width: usize,
    values: &[f32],
    order: &[usize],
) -> Result<Vec<Vec<f32>>, String> {
    let mut columns = vec![Vec::new(); order.len()];
    for part in parts(inside, layer, number, width) {
        let mine = order.iter().enumerate().filter(|(_, at)| part.neurons.contains(at));
        let (places, within): (Vec<usize>, Vec<usize>) =
            mine.map(|(place, at)| (place, at - part.neurons.start)).unzip();
        let read = inside.weights.columns_within(&part.name, part.rows, &within);
        for (place, mut column) in places.into_iter().zip(read.map_err(|error| error.to_string())?) {
            let factor = part.weight * values[order[place]];
            for value in &mut column {
                *value *= factor;
            }
            columns[place] = column;
        }
    }
    Ok(columns)
}

/// A matrix that some of a block's neurons write through.
struct Matrix {
    name: String,
    /// Its rows in the tensor, which may hold those of all experts.
    rows: Range<usize>,
    /// Its neurons among all of the block.
    neurons: Range<usize>,
    /// What it is multiplied with: the expert's weight, or the gate of those that are always used.
    weight: f32,
}

/// The matrices of a block's neurons: one, or in a mixture those of the used experts and of those always used.
fn parts(inside: &Inside, layer: &LayerCapture, number: u32, width: usize) -> Vec<Matrix> {
    let (residual, count) = (inside.facts.width, layer.neurons.len());
    if layer.experts.is_empty() {
        return vec![Matrix { name: down(number), rows: 0..residual, neurons: 0..count, weight: 1.0 }];
    }
    let used = layer.experts.iter().enumerate().map(|(at, (expert, weight))| {
        let first = *expert as usize * residual;
        Matrix {
            name: format!("blk.{number}.ffn_down_exps.weight"),
            rows: first..first + residual,
            neurons: at * width..(at + 1) * width,
            weight: *weight,
        }
    });
    let shared = (!layer.shared.is_empty()).then(|| Matrix {
        name: format!("blk.{number}.ffn_down_shexp.weight"),
        rows: 0..residual,
        neurons: count..count + layer.shared.len(),
        weight: layer.shared_gate.unwrap_or(1.0),
    });
    used.chain(shared).collect()
}

/// Fills in what the neurons promote and suppress.
fn tell(
    inside: &mut Inside,
    operands: Operands,
    captured: &Captured,
    number: u32,
    columns: &[Vec<f32>],
    neurons: &mut [Neuron],
) -> Result<(), String> {
    let halves = residual::apart(captured, inside.facts.width)?;
    let (layer, added) = captured.layers.iter().zip(&halves).nth(number as usize).ok_or("no such block")?;
    let behind = Behind::feed_forward(inside, (number, layer), &added.ffn)?;
    let written: Vec<Vec<f32>> = columns.iter().map(|column| behind.forward(column)).collect();
    let raised = token_effects::token_effects(inside, operands, captured, &written, &[])?;
    for (neuron, raised) in neurons.iter_mut().zip(raised) {
        neuron.promotes = raised.promotes;
        neuron.suppresses = raised.suppresses;
    }
    Ok(())
}

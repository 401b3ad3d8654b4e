//! The logit lens: the residual stream of every depth through the model's own final norm and output matrix.
//!
//! Invariant: the last row is the model's own output, to the last bits that batch size moves.

use std::time::Instant;

use super::output::Output;
use super::output::follow as follow_one;
use super::{Inside, residual};
use crate::engine::compute::numbers::Reader;
use crate::engine::compute::parallel;
use crate::engine::milliseconds;
use crate::engine::probe::{Captured, Operands};
use crate::inspect::lens::{self, Norm};
use crate::inspect::trace::{Lens, LensRow};
use crate::token::{Candidate, TokenId};

/// Tokens listed at each depth.
const TOP: usize = 3;

/// All depths, the embedding first.
pub(crate) fn lens(
    inside: &mut Inside,
    operands: Operands,
    captured: &Captured,
    output: &Output,
    follow: &[TokenId],
) -> Result<Lens, String> {
    let started = Instant::now();
    let norm = inside.facts.norm.clone().ok_or("this model's final norm is not known")?;
    let streams: Vec<&[f32]> = std::iter::once(captured.embedding.as_slice())
        .chain(captured.layers.iter().map(|layer| layer.resid_post.as_slice()))
        .collect();
    if streams.iter().any(|stream| stream.len() != inside.facts.width) {
        return Err("this model's graph does not name its residual stream".into());
    }
    let best = output.next.first().map(|candidate| candidate.id).ok_or("the model gave no tokens")?;
    let logits = logits(inside, operands, &norm, &streams)?;
    let halves = residual::apart(captured, inside.facts.width).ok();
    let reference = lens::Reference::new(&output.logits, output.log_normaliser);
    let vocabulary = inside.facts.vocabulary;
    let read = parallel::each(streams.len(), |depth| {
        let logits = &logits[depth * vocabulary..(depth + 1) * vocabulary];
        let mut reader = Reader::default();
        let all = reader.read(logits, TOP)?;
        Some(LensRow {
            top: reader.top().iter().map(|s| Candidate { id: s.id, logprob: all.logprob(s.logit) }).collect(),
            followed: follow.iter().map(|id| follow_one(logits, &all, *id)).collect(),
            final_best: all.logprob(logits[best.0 as usize]),
            kl: reference.divergence(logits, all.log_normaliser),
            ..LensRow::default()
        })
    });
    let mut rows = Vec::with_capacity(streams.len());
    for (depth, (stream, row)) in streams.iter().zip(read).enumerate() {
        let row = row.ok_or("the model gave logits that are not numbers")?;
        let layer = depth.checked_sub(1);
        let block = layer.map(|layer| &captured.layers[layer]);
        let added = layer.and_then(|layer| halves.as_ref()?.get(layer));
        let length = |of: Option<&Vec<f32>>| of.map_or(0.0, |vector| lens::length(vector));
        rows.push(LensRow {
            layer: layer.map(|layer| layer as u32),
            norm: lens::length(stream),
            attention_norm: length(block.map(|block| &block.attn_out)),
            ffn_norm: length(block.map(|block| &block.ffn_out)),
            attention_added: added.map_or(0.0, |added| lens::length(&added.attention)),
            ffn_added: added.map_or(0.0, |added| lens::length(&added.ffn)),
            ..row
        });
    }
    let chosen = follow.first().copied().unwrap_or(best);
    let on_top: Vec<bool> =
        rows.iter().skip(1).map(|row| row.top.first().is_some_and(|top| top.id == chosen)).collect();
    let ms = milliseconds(started);
    Ok(Lens { rows, decided: lens::decided(&on_top), ms })
}

/// `softcap(scale · (W_U · norm(stream) + bias))` of each stream, one after the other.
pub(crate) fn logits(
    inside: &mut Inside,
    operands: Operands,
    norm: &Norm,
    streams: &[&[f32]],
) -> Result<Vec<f32>, String> {
    let output = operands.output.ok_or("this model's output matrix was not seen")?;
    let columns: Vec<f32> = streams.iter().flat_map(|stream| norm.apply(stream)).collect();
    let mut logits = inside.multiplied(inside.weights.output_name(), output, &columns)?;
    let facts = &inside.facts;
    if logits.len() != facts.vocabulary * streams.len() {
        return Err("this model's output matrix has another shape than its vocabulary".into());
    }
    if !facts.output_bias.is_empty() {
        for row in logits.chunks_mut(facts.vocabulary) {
            row.iter_mut().zip(&facts.output_bias).for_each(|(logit, bias)| *logit += bias);
        }
    }
    let tail = operands.tail.unwrap_or_default();
    if (tail.scale - 1.0).abs() > 0.0 {
        for logit in &mut logits {
            *logit *= tail.scale;
        }
    }
    if let Some(cap) = tail.cap {
        lens::soft_cap(&mut logits, cap);
    }
    Ok(logits)
}

//! What was captured of a pass, put together.
//!
//! Invariant: nothing is decoded here; what cannot be worked out is named in the trace and leaves the rest as it is.

use super::{Inside, attention, blocks, neurons, parts, streams, told};
use crate::engine::generate;
use crate::engine::numbers::{self, Reader};
use crate::engine::probe::{Captured, Operands};
use crate::engine::protocol::{Failure, Inspected, Want};
use crate::inspect::trace::{Followed, ForwardTrace};
use crate::token::{Candidate, TokenId};

/// The likeliest next tokens that a trace lists.
const LISTED: usize = 20;

/// The output of a pass.
pub(super) struct Output {
    pub logits: Vec<f32>,
    pub log_normaliser: f64,
    pub entropy: f32,
    pub next: Vec<Candidate>,
    pub followed: Vec<Followed>,
}

impl Output {
    /// Of a pass's logits, telling of the followed tokens.
    pub(super) fn of(logits: &[f32], follow: &[TokenId]) -> Result<Self, Failure> {
        let mut reader = Reader::default();
        let all = reader.read(logits, LISTED).ok_or_else(generate::no_numbers)?;
        let followed = follow.iter().map(|id| self::follow(logits, &all, *id)).collect();
        let next =
            reader.top().iter().map(|s| Candidate { id: s.id, logprob: all.logprob(s.logit) }).collect();
        let logits = logits.to_vec();
        Ok(Self { log_normaliser: all.log_normaliser, entropy: all.entropy, next, followed, logits })
    }
}

/// A pass that was decoded with the probe on.
pub(super) struct Pass<'a> {
    /// What is shown of it.
    pub want: &'a Want,
    /// Everything it has read.
    pub ids: &'a [TokenId],
    /// What was copied.
    pub captured: &'a Captured,
    /// What it led to.
    pub output: &'a Output,
}

/// Puts together what is wanted of a pass.
pub(super) fn open(inside: &mut Inside, operands: Operands, pass: &Pass<'_>) -> Inspected {
    let want = pass.want;
    let (captured, output, facts) = (pass.captured, pass.output, &inside.facts);
    let mut trace = ForwardTrace {
        position: pass.ids.len() as u32 - 1,
        layers: facts.layers,
        heads: facts.heads,
        kv_heads: facts.kv_heads,
        next: output.next.clone(),
        entropy: output.entropy,
        followed: output.followed.clone(),
        missing: captured.missing.clone(),
        ..ForwardTrace::default()
    };
    if want.lens {
        let lens = streams::lens(inside, operands, captured, output, &want.follow);
        trace.lens = keep(lens, "the logit lens", &mut trace.missing);
        let apart = blocks::apart(captured, inside.facts.width);
        keep(apart, "what attention and feed-forward add", &mut trace.missing);
    }
    if want.overview || !want.attention.is_empty() {
        let attention = attention::attention(inside, captured, want, pass.ids);
        trace.attention = keep(attention, "attention", &mut trace.missing);
    }
    if let Some(head) = want.head {
        let told = told::head(inside, operands, captured, head, want);
        let told = keep(told, "what the head writes", &mut trace.missing);
        trace.attention.get_or_insert_default().told.extend(told);
    }
    if let Some((layer, head, other)) = want.rotation {
        let position = pass.ids.len() - 1;
        let rotation = attention::rotation(inside, captured, (layer, head), other, position);
        trace.rotation = keep(rotation, "rotation", &mut trace.missing);
    }
    if let Some(pair) = want.attribution {
        let parts =
            parts::attribution(inside, captured, output, operands.tail, pair, want.pushing_neurons as usize);
        trace.attribution = keep(parts, "attribution", &mut trace.missing);
    }
    let mut ffns = Vec::new();
    for layer in &want.ffn {
        let ffn = neurons::feed_forward(inside, operands, captured, *layer, want);
        ffns.extend(keep(ffn, "feed-forward neurons", &mut trace.missing));
    }
    trace.ffn = ffns.last().cloned();
    let ffn_layers =
        if want.ffn_layers { neurons::every_layer(inside, operands, captured, want) } else { Vec::new() };
    let pushes_of = neurons::pair(want).filter(|_| !ffns.is_empty() || !ffn_layers.is_empty());
    Inspected { trace, ffns, pushes_of, ffn_layers, ..Inspected::default() }
}

/// A token's ln p and rank among these logits; the ids were checked.
pub(super) fn follow(logits: &[f32], all: &numbers::Distribution, id: TokenId) -> Followed {
    let logit = logits[id.0 as usize];
    Followed { id, logprob: all.logprob(logit), rank: numbers::rank(logits, logit) }
}

/// Keeps what could be worked out; else says what is missing and why.
fn keep<T>(made: Result<T, String>, what: &str, missing: &mut Vec<String>) -> Option<T> {
    made.map_err(|why| missing.push(format!("{what}: {why}"))).ok()
}

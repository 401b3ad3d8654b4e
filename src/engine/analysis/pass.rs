//! What was captured of a pass, put together.
//!
//! Invariant: nothing is decoded here; what cannot be worked out is named in the trace and leaves the rest as it is.

use super::output::Output;
use super::{Inside, attention, attribution, head_logits, logit_lens, mlp, residual};
use crate::engine::probe::{Captured, Layers, Operands, Plan};
use crate::engine::protocol::{Inspected, Live, Want};
use crate::inspect::trace::ForwardTrace;
use crate::token::TokenId;

/// A pass that was decoded with the probe on.
pub(crate) struct Pass<'a> {
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
pub(crate) fn open(inside: &mut Inside, operands: Operands, pass: &Pass<'_>) -> Inspected {
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
        let lens = logit_lens::lens(inside, operands, captured, output, &want.follow);
        trace.lens = keep(lens, "the logit lens", &mut trace.missing);
        let apart = residual::apart(captured, inside.facts.width);
        keep(apart, "what attention and feed-forward add", &mut trace.missing);
    }
    if want.overview || !want.attention.is_empty() {
        let attention = attention::attention(inside, captured, want, pass.ids);
        trace.attention = keep(attention, "attention", &mut trace.missing);
    }
    if let Some(head) = want.head {
        let told = head_logits::head(inside, operands, captured, head, want);
        let told = keep(told, "what the head writes", &mut trace.missing);
        trace.attention.get_or_insert_default().head_logits.extend(told);
    }
    if let Some((layer, head, other)) = want.rotation {
        let position = pass.ids.len() - 1;
        let rotation = attention::rotation(inside, captured, (layer, head), other, position);
        trace.rotation = keep(rotation, "rotation", &mut trace.missing);
    }
    if let Some(pair) = want.attribution {
        let parts = attribution::attribution(
            inside,
            captured,
            output,
            operands.tail,
            pair,
            want.pushing_neurons as usize,
        );
        trace.attribution = keep(parts, "attribution", &mut trace.missing);
    }
    let mut ffns = Vec::new();
    for layer in &want.ffn {
        let ffn = mlp::feed_forward(inside, operands, captured, *layer, want);
        ffns.extend(keep(ffn, "feed-forward neurons", &mut trace.missing));
    }
    trace.ffn = ffns.last().cloned();
    let ffn_layers =
        if want.ffn_layers { mlp::every_layer(inside, operands, captured, want) } else { Vec::new() };
    let pushes_of = mlp::pair(want).filter(|_| !ffns.is_empty() || !ffn_layers.is_empty());
    Inspected { trace, ffns, pushes_of, ffn_layers, ..Inspected::default() }
}

/// What is copied for a live look, before it is known which tokens it will follow.
pub fn live_plan(live: &Live) -> Plan {
    let any = TokenId(0);
    plan(&live.of(any, Some(any), 0))
}

/// What is copied for what is wanted.
pub fn plan(want: &Want) -> Plan {
    let heads = want.attribution.is_some() || want.head.is_some();
    let only = |layers: &[u32]| if layers.is_empty() { Layers::None } else { Layers::Only(layers.to_vec()) };
    let mut queried = want.attention.clone();
    queried.extend(want.rotation.map(|(layer, ..)| layer));
    Plan {
        residual: want.lens || heads || !want.ffn.is_empty() || want.ffn_layers,
        residual_of_all: false,
        z: heads,
        pattern: if want.overview { Layers::All } else { only(&want.attention) },
        attn_scores: only(&want.attention),
        neurons: if (want.pushing_neurons > 0 && want.attribution.is_some()) || want.ffn_layers {
            Layers::All
        } else {
            only(&want.ffn)
        },
        queries: only(&queried),
        head_contribution: want.overview,
        ..Plan::default()
    }
}

/// Keeps what could be worked out; else says what is missing and why.
fn keep<T>(made: Result<T, String>, what: &str, missing: &mut Vec<String>) -> Option<T> {
    made.map_err(|why| missing.push(format!("{what}: {why}"))).ok()
}

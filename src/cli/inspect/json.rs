//! A pass as one JSON object, in the names of the outside reference.
//!
//! Invariant: natural logarithms and true values; a figure that there is none of is null, never a sentinel.

use serde_json::{Map, Value, json};

use super::{Found, What};
use crate::export::figures::{self, named};
use crate::export::json::number;
use crate::inspect::trace::{AttentionLayer, Attribution, FeedForward, Lens};
use crate::token::{Candidate, TokenId};

/// The object.
pub(super) fn object(found: &Found) -> Value {
    let trace = &found.inspected.trace;
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    put("prompt", json!(found.prompt));
    put("position", json!(trace.position));
    put("arithmetic", json!(found.arithmetic()));
    if found.wants(What::Tokens) {
        put("ids", json!(found.ids));
        put("tokens", found.ids.iter().map(|id| json!(String::from_utf8_lossy(found.bytes(*id)))).collect());
        put("bytes", found.ids.iter().map(|id| json!(found.bytes(*id))).collect());
    }
    if found.wants(What::Logprobs) {
        put("next", trace.next.iter().map(|candidate| likely(found, *candidate)).collect());
        put(figures::ENTROPY, number(trace.entropy));
        let first = std::iter::once(Value::Null);
        put("prompt_logprobs_nats", first.chain(found.prompt_logprobs.iter().map(|l| number(*l))).collect());
    }
    if !found.args.ablations.is_empty() {
        put("ablated", found.args.ablations.iter().map(|part| json!(part.to_string())).collect());
        put(figures::KL, trace.kl_from_original.map_or(Value::Null, number));
    }
    if let Some(lens) = &trace.lens {
        put(figures::LENS, logit_lens(found, lens));
        put(figures::DECISION, json!(lens.decided));
    }
    if found.wants(What::Attention)
        && let Some(attention) = &trace.attention
    {
        let layers = attention.layers.iter().map(|layer| (layer.layer.to_string(), heads(found, layer)));
        put(figures::ATTENTION, Value::Object(layers.collect()));
    }
    if found.wants(What::Ffn) {
        let layers = found.inspected.ffns.iter().map(|ffn| (ffn.layer.to_string(), neurons(found, ffn)));
        put(figures::NEURONS, Value::Object(layers.collect()));
    }
    if let (Some(facts), Some(id)) = (&found.embedding, found.ids.last()) {
        let near = |(id, cosine): &(_, f32)| json!({"id": id, "token": String::from_utf8_lossy(found.bytes(*id)), "cosine": number(*cosine)});
        let nearest: Value = facts.neighbours.iter().map(near).collect();
        let word = String::from_utf8_lossy(found.bytes(*id));
        put(
            "embedding_neighbours",
            json!([{"word": word, "id": id, "norm": number(facts.norm), "nearest": nearest}]),
        );
    }
    if let Some(attribution) = &trace.attribution {
        put(figures::ATTRIBUTION, pushes(found, attribution));
    }
    if !trace.missing.is_empty() {
        put(figures::MISSING, json!(trace.missing));
    }
    Value::Object(object)
}

fn likely(found: &Found, candidate: Candidate) -> Value {
    figures::likely(candidate, text(found, candidate.id))
}

fn text(found: &Found, id: TokenId) -> Value {
    json!(String::from_utf8_lossy(found.bytes(id)))
}

fn logit_lens(found: &Found, lens: &Lens) -> Value {
    let rows = lens.rows.iter().filter_map(|row| {
        row.layer?;
        let top = row.top.iter().map(|candidate| likely(found, *candidate)).collect();
        Some(Value::Object(figures::depth(row, top)))
    });
    rows.collect()
}

/// Every head's weights by position; those that were not asked for are null.
fn heads(found: &Found, layer: &AttentionLayer) -> Value {
    let wanted = &found.args.heads;
    let heads = layer.heads.iter().enumerate().map(|(head, row)| {
        let shown = wanted.is_empty() || wanted.contains(&(head as u32));
        if shown { row.weights.iter().map(|weight| number(*weight)).collect() } else { Value::Null }
    });
    heads.collect()
}

fn neurons(found: &Found, ffn: &FeedForward) -> Value {
    let tokens = |list: &[(_, f32)]| -> Value { list.iter().map(|(id, _)| text(found, *id)).collect() };
    let neurons = ffn.neurons.iter().map(|neuron| {
        Value::Object(figures::neuron(neuron, tokens(&neuron.promotes), tokens(&neuron.suppresses)))
    });
    neurons.collect()
}

fn pushes(found: &Found, attribution: &Attribution) -> Value {
    let parts = attribution.parts.iter().chain(&attribution.heads).map(figures::push);
    let name = |id| named(id, text(found, id));
    Value::Object(figures::attribution(attribution, name, parts.collect()))
}

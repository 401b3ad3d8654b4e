//! A pass as one JSON object, in the names of the outside reference.
//!
//! Invariant: natural logarithms and true values; a figure that there is none of is null, never a sentinel.

use serde_json::{Map, Value, json};

use super::{Found, What};
use crate::export::json::number;
use crate::inspect::trace::{AttentionLayer, Attribution, FeedForward, Lens};
use crate::token::Candidate;

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
        put("entropy_nats", number(trace.entropy));
        let first = std::iter::once(Value::Null);
        put("prompt_logprobs_nats", first.chain(found.prompt_logprobs.iter().map(|l| number(*l))).collect());
    }
    if !found.args.ablations.is_empty() {
        put("ablated", found.args.ablations.iter().map(|part| json!(part.to_string())).collect());
        put("kl_from_original_nats", trace.kl_from_original.map_or(Value::Null, number));
    }
    if let Some(lens) = &trace.lens {
        put("logit_lens", logit_lens(found, lens));
        put("layer_of_decision", json!(lens.decided));
    }
    if found.wants(What::Attention)
        && let Some(attention) = &trace.attention
    {
        let layers = attention.layers.iter().map(|layer| (layer.layer.to_string(), heads(found, layer)));
        put("attention_last_query", Value::Object(layers.collect()));
    }
    if found.wants(What::Ffn) {
        let layers = found.inspected.ffns.iter().map(|ffn| (ffn.layer.to_string(), neurons(found, ffn)));
        put("ffn_top_neurons_by_abs_activation", Value::Object(layers.collect()));
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
        put("attribution", pushes(found, attribution));
    }
    if !trace.missing.is_empty() {
        put("missing", json!(trace.missing));
    }
    Value::Object(object)
}

fn likely(found: &Found, candidate: Candidate) -> Value {
    let token = String::from_utf8_lossy(found.bytes(candidate.id));
    json!({
        "id": candidate.id,
        "token": token,
        "p": number(candidate.logprob.exp()),
        "logprob": number(candidate.logprob),
    })
}

fn logit_lens(found: &Found, lens: &Lens) -> Value {
    let rows = lens.rows.iter().filter_map(|row| {
        let layer = row.layer?;
        let top: Value = row.top.iter().map(|candidate| likely(found, *candidate)).collect();
        Some(json!({
            "layer": layer,
            "top": top,
            "residual_norm": number(row.norm),
            "attn_out_norm": number(row.attention_norm),
            "ffn_out_norm": number(row.ffn_norm),
            "kl_final_from_layer_nats": number(row.kl),
            "p_of_final_top1": number(row.final_best.exp()),
        }))
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
    let tokens = |list: &[(_, f32)]| -> Value {
        list.iter().map(|(id, _)| json!(String::from_utf8_lossy(found.bytes(*id)))).collect()
    };
    let neurons = ffn.neurons.iter().map(|neuron| {
        let mut object = Map::new();
        object.insert("neuron".to_owned(), json!(neuron.index));
        if let Some(expert) = neuron.expert {
            object.insert("expert".to_owned(), json!(expert));
        }
        object.insert("activation".to_owned(), number(neuron.activation));
        object.insert("promotes".to_owned(), tokens(&neuron.promotes));
        object.insert("suppresses".to_owned(), tokens(&neuron.suppresses));
        Value::Object(object)
    });
    neurons.collect()
}

fn pushes(found: &Found, attribution: &Attribution) -> Value {
    let part = |part: &crate::inspect::trace::AttributionPart| json!({"part": part.part.to_string(), "logit_difference": number(part.logit_difference)});
    let token = |id| json!({"id": id, "token": String::from_utf8_lossy(found.bytes(id))});
    json!({
        "token": token(attribution.token),
        "rival": token(attribution.rival),
        "logit_difference": number(attribution.difference),
        "parts": attribution.parts.iter().chain(&attribution.heads).map(part).collect::<Value>(),
        "closure_error": number(attribution.closure_error),
    })
}

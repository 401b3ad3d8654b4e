//! Figures of a pass as JSON, in the names of the outside reference: what the command line and a written station share.
//!
//! Invariant: a figure has one name wherever it is written; natural logarithms and true values.

use serde_json::{Map, Value, json};

use super::json::number;
use crate::inspect::trace::{Attribution, AttributionPart, LensRow, Neuron};
use crate::token::{Candidate, TokenId};

/// Entropy of the output, nats.
pub const ENTROPY: &str = "entropy_nats";
/// D(p without changes ‖ p with them), nats.
pub const KL: &str = "kl_from_original_nats";
/// The lens: one entry a depth.
pub const LENS: &str = "logit_lens";
/// The first layer from which on the chosen token stays the likeliest.
pub const DECISION: &str = "layer_of_decision";
/// By layer, each head's weights at the pass's position.
pub const ATTENTION: &str = "attention_last_query";
/// By layer, the strongest neurons.
pub const NEURONS: &str = "ffn_top_neurons_by_abs_activation";
/// Who pushed the token above its rival.
pub const ATTRIBUTION: &str = "attribution";
/// What this model does not have, in words.
pub const MISSING: &str = "missing";

/// A token: `{id, token}`.
pub fn named(id: TokenId, text: Value) -> Map<String, Value> {
    object([("id", json!(id)), ("token", text)])
}

/// A candidate: `{id, token, p, logprob}`.
pub fn likely(candidate: Candidate, text: Value) -> Value {
    let mut object = named(candidate.id, text);
    object.insert("p".into(), number(candidate.logprob.exp()));
    object.insert("logprob".into(), number(candidate.logprob));
    Value::Object(object)
}

/// A depth of the lens with its likeliest tokens.
pub fn depth(row: &LensRow, top: Value) -> Map<String, Value> {
    object([
        ("layer", json!(row.layer)),
        ("top", top),
        ("residual_norm", number(row.norm)),
        ("attn_out_norm", number(row.attention_norm)),
        ("ffn_out_norm", number(row.ffn_norm)),
        ("kl_final_from_layer_nats", number(row.kl)),
        ("p_of_final_top1", number(row.final_best.exp())),
    ])
}

/// A neuron; its expert only in a mixture.
pub fn neuron(neuron: &Neuron, promotes: Value, suppresses: Value) -> Map<String, Value> {
    let mut object = object([("neuron", json!(neuron.index))]);
    if let Some(expert) = neuron.expert {
        object.insert("expert".into(), json!(expert));
    }
    object.insert("activation".into(), number(neuron.activation));
    object.insert("promotes".into(), promotes);
    object.insert("suppresses".into(), suppresses);
    object
}

/// What a part pushes.
pub fn push(part: &AttributionPart) -> Value {
    json!({ "part": part.part.to_string(), "logit_difference": number(part.logit_difference) })
}

/// An attribution between two tokens that `name` writes out.
pub fn attribution(
    attribution: &Attribution,
    name: impl Fn(TokenId) -> Map<String, Value>,
    parts: Value,
) -> Map<String, Value> {
    object([
        ("token", Value::Object(name(attribution.token))),
        ("rival", Value::Object(name(attribution.rival))),
        ("logit_difference", number(attribution.difference)),
        ("parts", parts),
        ("closure_error", number(attribution.closure_error)),
    ])
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

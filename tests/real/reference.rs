//! What stands in the JSON of the outside reference, in the program's terms.

use glassbox::chat::Intervention;
use glassbox::token::TokenId;
use serde_json::Value;

pub fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

pub fn float(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

pub fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

pub fn id_of(value: &Value) -> TokenId {
    TokenId(i32::try_from(value["id"].as_i64().unwrap()).unwrap())
}

pub fn ids_of(prompt: &Value) -> Vec<TokenId> {
    list(&prompt["ids"]).iter().map(|id| TokenId(i32::try_from(id.as_i64().unwrap()).unwrap())).collect()
}

/// The layers that figures are given for.
pub fn layers_of(figures: &Value) -> Vec<u32> {
    figures.as_object().unwrap().keys().map(|layer| layer.parse().unwrap()).collect()
}

/// What was switched off.
pub fn change_of(ablation: &Value) -> Intervention {
    if let Some(head) = ablation.get("zero_head") {
        return Intervention::ZeroHead { layer: number(&head[0]), head: number(&head[1]) };
    }
    match ablation.get("zero_attn") {
        Some(layer) => Intervention::ZeroAttention { layer: number(layer) },
        None => Intervention::ZeroFfn { layer: number(&ablation["zero_ffn"]) },
    }
}

//! What the app shows of a model, and the memory it will take, from the header alone.
//!
//! Invariant: a key that is missing gives 0 or a stated default; a key of the wrong type is an error.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::format::{TensorType, file_type_name};
use super::parse::{Array, Value, shown};
use super::{GgufError, Header};
use crate::model_entry::{CacheType, FlashAttention, LoadParams, ModelFacts, RopeMethod};
use crate::sampling::SamplingOverrides;

/// Tokens beyond the chat's own that the KV cache holds for inspection and look-ahead.
const SCRATCH_TOKENS: u64 = 512;
/// Where llama.cpp uses weights in place, their addresses are multiples of so many bytes (ggml's `TENSOR_ALIGNMENT`).
const USED_IN_PLACE: u64 = 32;
/// More layers for multi-token prediction are not looked for.
const MOST_MTP_LAYERS: u64 = 64;
/// Prompt tokens that llama.cpp computes at once at most.
const MICRO_BATCH: u64 = 512;
/// Rows of the residual stream's width alive at once in a graph, about.
const WORKING_ROWS: u64 = 12;

/// Memory a model will take, bytes. An estimate before loading; llama.cpp's own report comes after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Weights.
    pub weights: u64,
    /// KV cache.
    pub context: u64,
    /// Working buffers.
    pub compute: u64,
}

impl MemoryNeed {
    /// All three.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.context).saturating_add(self.compute)
    }
}

/// Estimates the memory that loading a model with `params` takes: the file, the KV cache at its own data
/// types, and the largest buffers of the graph (logits of a micro-batch and, without flash attention,
/// its attention weights).
#[must_use]
pub fn memory_needed(facts: &ModelFacts, params: &LoadParams) -> MemoryNeed {
    let context = u64::from(params.context_for(facts)).saturating_add(SCRATCH_TOKENS);
    // kv_bytes_per_token is at f16: 16 bits for a key's element and 16 for a value's.
    let bits = cache_eighths(params.cache_type_k) + cache_eighths(params.cache_type_v);
    let batch = u64::from(params.batch).clamp(1, MICRO_BATCH);
    let scores = match params.flash_attention {
        FlashAttention::On => 0,
        FlashAttention::Auto | FlashAttention::Off => u64::from(facts.heads).saturating_mul(context),
    };
    let row = u64::from(facts.vocabulary_size)
        .saturating_add(scores)
        .saturating_add(WORKING_ROWS * u64::from(facts.embedding_length));
    MemoryNeed {
        weights: facts.file_size,
        context: context.saturating_mul(facts.kv_bytes_per_token).saturating_mul(bits) / 256,
        compute: batch.saturating_mul(row).saturating_mul(4),
    }
}

/// Eighths of a bit per element, so that half bits stay whole numbers.
fn cache_eighths(kind: CacheType) -> u64 {
    match kind {
        CacheType::F32 => 256,
        CacheType::F16 | CacheType::Bf16 => 128,
        CacheType::Q8_0 => 68,
        CacheType::Q5_1 => 48,
        CacheType::Q4_0 => 36,
    }
}

/// Reads what [`ModelFacts`] holds; `header.facts` has the size already.
pub(super) fn gather(header: &Header) -> Result<ModelFacts, GgufError> {
    let architecture = match text(header, "general.architecture")? {
        Some(architecture) => architecture,
        // What is no model by its own word needs none; `kind` says what it is.
        None if header.metadata("general.type")?.is_some() => String::new(),
        None => return Err(GgufError::NoArchitecture(header.files[0].clone())),
    };
    let key = |name: &str| format!("{architecture}.{name}");
    // Blocks behind these guess tokens further on and take no part in a usual pass.
    let guessing = number(header, &key("nextn_predict_layers"))?;
    let layers = number(header, &key("block_count"))?.saturating_sub(guessing);
    let guesses = |block: &u64| {
        let name = format!("blk.{block}.nextn.eh_proj.weight");
        header.tensors.iter().any(|tensor| tensor.name == name)
    };
    let mtp_layers =
        (layers..layers.saturating_add(guessing.min(MOST_MTP_LAYERS))).filter(guesses).count() as u64;
    let width = number(header, &key("embedding_length"))?;
    let heads = per_layer(header, &key("attention.head_count"))?;
    let most_heads = heads.iter().copied().max().unwrap_or(0);
    let kv_heads = match per_layer(header, &key("attention.head_count_kv"))? {
        given if given.is_empty() => heads,
        given => given,
    };
    let head_default = width.checked_div(most_heads).unwrap_or(0);
    let key_length = match number(header, &key("attention.key_length"))? {
        0 => head_default,
        given => given,
    };
    let value_length = match number(header, &key("attention.value_length"))? {
        0 => head_default,
        given => given,
    };
    let cached = kv_heads_in_all(&kv_heads, layers).saturating_mul(key_length.saturating_add(value_length));
    Ok(ModelFacts {
        name: text(header, "general.name")?
            .filter(|name| !name.trim().is_empty())
            .unwrap_or_else(|| file_name(header)),
        quantisation: quantisation(header)?,
        file_size: header.facts.file_size,
        parameters: header.tensors.iter().map(super::TensorInfo::elements).fold(0, u64::saturating_add),
        context_length: small(number(header, &key("context_length"))?),
        rope_method: rope_method(text(header, &key("rope.scaling.type"))?.as_deref()),
        rope_factor: decimal(header, &key("rope.scaling.factor"))?,
        layers: small(layers),
        mtp_layers: small(mtp_layers),
        heads: small(most_heads),
        kv_heads: small(kv_heads.iter().copied().max().unwrap_or(0)),
        embedding_length: small(width),
        head_dim: small(key_length),
        vocabulary_size: small(vocabulary_size(header, &key("vocab_size"))?),
        licence: text(header, "general.license")?,
        chat_template: text(header, "tokenizer.chat_template")?,
        makers: makers(header),
        kv_bytes_per_token: cached.saturating_mul(2),
        files: header.files.clone(),
        unaligned: !alignment(header)?.is_multiple_of(USED_IN_PLACE),
        doubts: super::doubts::doubts(header),
        architecture,
    })
}

/// What the offsets of weights are multiples of, bytes.
fn alignment(header: &Header) -> Result<u64, GgufError> {
    Ok(match number(header, "general.alignment")? {
        0 => USED_IN_PLACE,
        given => given,
    })
}

/// Key/value heads summed over the layers; one number stands for every layer.
fn kv_heads_in_all(kv_heads: &[u64], layers: u64) -> u64 {
    match kv_heads {
        [same] => same.saturating_mul(layers),
        each => each.iter().copied().take(layers as usize).fold(0, u64::saturating_add),
    }
}

fn quantisation(header: &Header) -> Result<String, GgufError> {
    let named = match header.metadata("general.file_type")? {
        Some(value) => file_type_name(whole(header, "general.file_type", &value)?),
        None => None,
    };
    Ok(named.unwrap_or_else(|| commonest_type(header)).to_owned())
}

/// The type that most weights have.
fn commonest_type(header: &Header) -> &'static str {
    let mut elements: HashMap<TensorType, u64> = HashMap::new();
    for tensor in &header.tensors {
        let sum = elements.entry(tensor.kind).or_default();
        *sum = sum.saturating_add(tensor.elements());
    }
    elements.into_iter().max_by_key(|(kind, count)| (*count, *kind)).map_or("?", |(kind, _)| kind.name())
}

fn vocabulary_size(header: &Header, key: &str) -> Result<u64, GgufError> {
    match header.list_len("tokenizer.ggml.tokens") {
        Some(count) => Ok(count),
        None => number(header, key),
    }
}

fn text(header: &Header, key: &str) -> Result<Option<String>, GgufError> {
    match header.metadata(key)? {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(wrong_type(header, key, "a text")),
    }
}

/// A whole number, 0 if it is not there; the largest of a list.
fn number(header: &Header, key: &str) -> Result<u64, GgufError> {
    Ok(per_layer(header, key)?.into_iter().max().unwrap_or(0))
}

/// A whole number or a list of one for each layer; empty if it is not there.
fn per_layer(header: &Header, key: &str) -> Result<Vec<u64>, GgufError> {
    match header.metadata(key)? {
        None => Ok(Vec::new()),
        Some(Value::Array(Array::Unsigned(values))) => Ok(values),
        Some(Value::Array(Array::Signed(values))) => values
            .into_iter()
            .map(|value| u64::try_from(value).map_err(|_| wrong_type(header, key, "a count")))
            .collect(),
        Some(value) => Ok(vec![whole(header, key, &value)?]),
    }
}

fn whole(header: &Header, key: &str, value: &Value) -> Result<u64, GgufError> {
    match value {
        Value::Unsigned(value) => Some(*value),
        Value::Signed(value) => u64::try_from(*value).ok(),
        _ => None,
    }
    .ok_or_else(|| wrong_type(header, key, "a whole number"))
}

/// A number with decimals, 0 if it is not there.
fn decimal(header: &Header, key: &str) -> Result<f32, GgufError> {
    match header.metadata(key)? {
        None => Ok(0.0),
        Some(Value::Float(value)) => Ok(value as f32),
        Some(_) => Err(wrong_type(header, key, "a number with decimals")),
    }
}

/// What the file recommends of the sampler, under llama.cpp's names; what makes no sense is left out.
fn makers(header: &Header) -> SamplingOverrides {
    let value = |key: &str| header.metadata(&format!("general.sampling.{key}")).ok().flatten();
    let decimal = |key: &str, range: RangeInclusive<f64>| match value(key)? {
        Value::Float(value) if range.contains(&value) => Some(value as f32),
        _ => None,
    };
    let count = |key: &str| match value(key)? {
        Value::Unsigned(value) => Some(value),
        Value::Signed(value) => u64::try_from(value).ok(),
        _ => None,
    };
    SamplingOverrides {
        temperature: decimal("temp", 0.0..=5.0),
        top_k: count("top_k").and_then(|count| u32::try_from(count).ok()),
        top_p: decimal("top_p", 0.0..=1.0),
        min_p: decimal("min_p", 0.0..=1.0),
        xtc_probability: decimal("xtc_probability", 0.0..=1.0),
        xtc_threshold: decimal("xtc_threshold", 0.0..=1.0),
        repeat_penalty: decimal("penalty_repeat", 0.05..=10.0),
        ..SamplingOverrides::default()
    }
}

/// The method that a file names. Others than these (`longrope`) are the model's own affair.
fn rope_method(named: Option<&str>) -> RopeMethod {
    match named {
        Some("none") => RopeMethod::None,
        Some("linear") => RopeMethod::Linear,
        Some("yarn") => RopeMethod::Yarn,
        _ => RopeMethod::Model,
    }
}

fn wrong_type(header: &Header, key: &str, wanted: &str) -> GgufError {
    header.damaged(format!("{} is not {wanted}", shown(key)))
}

fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn file_name(header: &Header) -> String {
    header.files[0].file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

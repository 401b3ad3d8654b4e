//! What a server told, in one form for all kinds of servers.
//!
//! Invariant: what a server did not say is absent here too; nothing is filled in.

use serde_json::{Value, json};

use crate::chat::StopReason;
use crate::token::TokenId;

/// A token with its odds.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The model's own id, where it was said.
    pub id: Option<TokenId>,
    /// Its bytes, where they are known.
    pub bytes: Option<Vec<u8>>,
    /// ln p; NaN where it was not said.
    pub logprob: f32,
}

/// A token that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The token.
    pub chosen: Choice,
    /// 1 + how many were likelier, where the server says that; 0 otherwise.
    pub rank: u32,
    /// The likeliest ones, in any order.
    pub top: Vec<Choice>,
    /// Those that were asked for by id.
    pub watched: Vec<Choice>,
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// So much of the prompt has been read.
    Read {
        /// Tokens of it, those from the cache included.
        done: u32,
        /// All of them.
        total: u32,
        /// Those from the cache.
        cached: u32,
    },
    /// Text, with the tokens that it is made of where they were said.
    Text {
        /// What is to be shown.
        text: Vec<u8>,
        /// Whether it was thought rather than said, and came apart from the answer.
        thought: bool,
        /// Its tokens.
        tokens: Vec<Told>,
    },
    /// Tokens were counted.
    Counted {
        /// Of the prompt.
        prompt: u32,
        /// Of the reply.
        written: u32,
        /// Of the prompt, from the cache.
        cached: u32,
    },
    /// It has ended.
    Ended(StopReason),
    /// It failed, in the server's words.
    Trouble(Value),
}

/// An event that reports an error, in the forms that servers have.
pub fn trouble(data: &Value) -> Option<Part> {
    let is_there = |value: &Value| !value.is_null();
    let of_choice = &data["choices"][0]["error"];
    if is_there(of_choice) && data.get("error").is_none_or(Value::is_null) {
        return Some(Part::Trouble(json!({"error": of_choice})));
    }
    let is_reported =
        data.get("error").is_some_and(is_there) || data["object"] == "error" || data["type"] == "error";
    // Where there is no piece of an answer, these are what went wrong.
    let is_piece =
        ["choices", "text", "content", "meta_info"].iter().any(|name| data.get(name).is_some_and(is_there));
    let has_reason = ["detail", "errors"].iter().any(|name| data.get(name).is_some_and(is_there));
    (is_reported || (has_reason && !is_piece)).then(|| Part::Trouble(data.clone()))
}

/// What was reported as an error by the name of its event.
pub fn reported(data: &[u8]) -> Part {
    let told: Value =
        serde_json::from_slice(data).unwrap_or_else(|_| String::from_utf8_lossy(data).into_owned().into());
    trouble(&told).unwrap_or_else(|| Part::Trouble(json!({ "error": told })))
}

/// A log-probability as servers send it: below what is possible stands for "not known".
pub fn logprob(value: &Value) -> f32 {
    figure(value.as_f64())
}

/// As [`logprob`], where it was read as a number.
pub fn figure(logprob: Option<f64>) -> f32 {
    /// vLLM's −9999, llama.cpp's least number.
    const NO_FIGURE: f64 = -9000.0;
    match logprob {
        Some(figure) if figure > NO_FIGURE => figure.min(0.0) as f32,
        _ => f32::NAN,
    }
}

/// The bytes of a text that a server cut into tokens; a sign that stands for half a character says nothing of them.
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    (!text.contains(char::REPLACEMENT_CHARACTER)).then(|| text.as_bytes().to_vec())
}

/// An id in JSON.
pub fn id_of(value: &Value) -> Option<TokenId> {
    id(value.as_i64()?)
}

/// An id as a server sends it: none is below zero.
pub fn id(number: i64) -> Option<TokenId> {
    i32::try_from(number).ok().filter(|id| *id >= 0).map(TokenId)
}

/// A list of numbers that are bytes.
pub fn byte_list(value: &Value) -> Option<Vec<u8>> {
    value.as_array()?.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
}

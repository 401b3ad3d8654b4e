//! llama.cpp's server: its own completion, with the prompt as ids, and the pieces of its answers.
//!
//! Tokens that end inside a character are not sent by it: the next one comes with all of the text, and how many were
//! written is told. What was not sent stays a stretch of text without an id.
//!
//! Invariant: pure; a token's bytes are those that the server lists for its id, never a part of a longer text.

use serde_json::{Map, Value, json};

use super::openai::messages_of;
use super::settings::{self, Ask, Dialect};
use super::told::{self, Choice, Part, Told};
use crate::chat::{StopReason, TemplateValues};
use crate::engine::protocol::Message;
use crate::token::TokenId;

/// Most candidates that are asked for; the server would give any number.
pub const MOST: u32 = 100;

/// The request for a reply to a prompt.
pub fn completion(ids: &[TokenId], ask: &Ask<'_>) -> Value {
    let mut body = Map::new();
    body.insert("prompt".into(), ids.iter().map(|id| id.0).collect());
    body.insert("n_predict".into(), json!(-1));
    // Without candidates the token's own figure does not come either.
    body.insert("n_probs".into(), ask.top.clamp(1, MOST).into());
    for (name, value) in [
        ("post_sampling_probs", false),
        ("return_tokens", true),
        ("cache_prompt", true),
        ("return_progress", true),
        ("stream", true),
    ] {
        body.insert(name.into(), value.into());
    }
    settings::put(&mut body, ask, Dialect::Llama);
    body.into()
}

/// The question for the prompt that a chat becomes. The server takes a last message of the model's as one to go on with.
pub fn template(messages: &[Message], values: &TemplateValues) -> Value {
    let mut body = json!({"messages": messages_of(messages), "add_generation_prompt": true});
    super::openai::template_values(&mut body, values);
    body
}

/// The question for a text's tokens.
pub fn tokenize(text: &str, special: bool, begin: bool) -> Value {
    json!({"content": text, "add_special": begin, "parse_special": special, "with_pieces": true})
}

/// The tokens in an answer to it.
pub fn tokens(answer: &Value) -> Option<Vec<(TokenId, Vec<u8>)>> {
    let token = |entry: &Value| {
        let piece = &entry["piece"];
        let bytes = piece.as_str().map(|text| text.as_bytes().to_vec());
        Some((told::id_of(&entry["id"])?, bytes.or_else(|| told::byte_list(piece))?))
    };
    answer["tokens"].as_array()?.iter().map(token).collect()
}

/// Reads the events of one reply.
#[derive(Debug, Default)]
pub struct Reader {
    /// Tokens that were written so far.
    written: u64,
    /// A token without text: the next event tells whether it ended the reply.
    waiting: Option<Part>,
}

impl Reader {
    /// The pieces of one event.
    pub fn parts(&mut self, data: &Value) -> Vec<Part> {
        if data.get("error").is_some() {
            return vec![Part::Trouble(data.clone())];
        }
        let mut parts = Vec::new();
        if let Some(progress) = data.get("prompt_progress") {
            let number = |name: &str| progress[name].as_u64().unwrap_or(0) as u32;
            parts.push(Part::Read {
                done: number("processed"),
                total: number("total"),
                cached: number("cache"),
            });
            return parts;
        }
        if data["stop"] == true {
            self.end(data, &mut parts);
        } else if let Some(id) =
            data["tokens"].as_array().and_then(|tokens| tokens.last()).and_then(told::id_of)
        {
            parts.extend(self.waiting.take());
            self.token(id, data, &mut parts);
        }
        parts
    }

    fn token(&mut self, id: TokenId, data: &Value, parts: &mut Vec<Part>) {
        let text = data["content"].as_str().unwrap_or_default().as_bytes();
        let now = data["tokens_predicted"].as_u64().unwrap_or(self.written + 1);
        let alone = now <= self.written + 1;
        self.written = now;
        let told = told(id, &data["completion_probabilities"][0], text, alone);
        let own = told.chosen.bytes.clone().unwrap_or_default();
        let tokens = vec![told];
        if alone {
            let part = Part::Text { text: text.to_vec(), thought: false, tokens };
            if text.is_empty() {
                self.waiting = Some(part);
            } else {
                parts.push(part);
            }
            return;
        }
        let before = text.strip_suffix(own.as_slice()).unwrap_or(text);
        parts.push(Part::Text { text: before.to_vec(), thought: false, tokens: Vec::new() });
        parts.push(Part::Text { text: text[before.len()..].to_vec(), thought: false, tokens });
    }

    fn end(&mut self, data: &Value, parts: &mut Vec<Part>) {
        let number = |value: &Value| value.as_u64().unwrap_or(0) as u32;
        let stop = match data["stop_type"].as_str() {
            Some("limit") if data["truncated"] == true => StopReason::Context,
            Some("limit") => StopReason::Length,
            Some("word") => StopReason::Stop,
            _ => StopReason::Eos,
        };
        parts.extend(self.waiting.take().filter(|_| stop != StopReason::Eos));
        parts.push(Part::Counted {
            prompt: number(&data["tokens_evaluated"]),
            written: number(&data["tokens_predicted"]),
            cached: number(&data["timings"]["cache_n"]),
        });
        parts.push(Part::Ended(stop));
    }
}

/// A token and its candidates. The bytes that stand beside the token itself are the text that was sent; those of the
/// candidates are their own.
fn told(id: TokenId, entry: &Value, text: &[u8], alone: bool) -> Told {
    let choice = |entry: &Value| Choice {
        id: told::id_of(&entry["id"]),
        bytes: told::byte_list(&entry["bytes"]),
        logprob: told::logprob(&entry["logprob"]),
    };
    let top: Vec<Choice> = entry["top_logprobs"].as_array().into_iter().flatten().map(choice).collect();
    let listed = top.iter().find(|other| other.id == Some(id)).and_then(|other| other.bytes.clone());
    let bytes = listed.or_else(|| (alone && !text.is_empty()).then(|| text.to_vec()));
    Told {
        chosen: Choice { id: Some(id), bytes, logprob: told::logprob(&entry["logprob"]) },
        rank: 0,
        top,
        watched: Vec::new(),
    }
}

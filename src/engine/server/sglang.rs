//! SGLang's own `/generate`: prompts as ids, candidates, chosen tokens' odds, log-probabilities of a given text.
//!
//! Its chat template is not shown. Where its `/tokenize` takes chats, they are asked by ids; else they go through its
//! `OpenAI` form, and their tokens have no ids.
//!
//! Invariant: pure but for [`tokenizes`]; what comes is the whole reply so far, of which only what is new is given.

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::http::{Http, Path};
use super::settings::{self, Ask, Dialect};
use super::told::{self, Choice, Part, Told};
use super::vllm;
use crate::chat::{Role, TemplateValues};
use crate::engine::protocol::Message;
use crate::token::TokenId;

/// Whether this server tells a text's tokens, and a chat's: only newer ones do.
pub async fn tokenizes(http: &Http, model: Option<&str>, cancel: &CancellationToken) -> (bool, bool) {
    let ask = async |body: Value| {
        let answer = http.ask_once(Path::Root("/tokenize"), &body, cancel).await;
        answer.as_ref().and_then(vllm::tokens).is_some_and(|tokens| !tokens.is_empty())
    };
    if !ask(vllm::tokenize(model, "a", false)).await {
        return (false, false);
    }
    let chat = [Message::new(Role::User, "a")];
    (true, ask(vllm::chat_tokens(model, &chat, false, &TemplateValues::default())).await)
}

/// The request for a reply to a prompt.
pub fn generate(prompt: &Prompt<'_>, ask: &Ask<'_>) -> Value {
    let mut params = Map::new();
    settings::put(&mut params, ask, Dialect::SgLang);
    let mut body = base(prompt, -1, ask.top);
    body["sampling_params"] = params.into();
    body["stream"] = true.into();
    if !ask.watch.is_empty() {
        body["token_ids_logprob"] = ask.watch.iter().map(|id| id.0).collect();
    }
    body
}

/// What is gone on from.
#[derive(Clone, Copy, Debug)]
pub enum Prompt<'a> {
    /// Ids.
    Ids(&'a [TokenId]),
    /// A text.
    Text(&'a str),
}

/// The request for the log-probabilities of a text from its token at `from` on.
pub fn score(ids: &[TokenId], from: usize, top: u32) -> Value {
    let mut body = base(&Prompt::Ids(ids), i64::try_from(from).unwrap_or(i64::MAX), top);
    body["sampling_params"] = json!({"max_new_tokens": 0, "temperature": 0});
    body
}

fn base(prompt: &Prompt<'_>, from: i64, top: u32) -> Value {
    let mut body = json!({
        "return_logprob": true,
        "logprob_start_len": from,
        "top_logprobs_num": top.min(super::openai::MOST),
        "return_text_in_logprobs": true,
    });
    match prompt {
        Prompt::Ids(ids) => body["input_ids"] = ids.iter().map(|id| id.0).collect(),
        Prompt::Text(text) => body["text"] = (*text).into(),
    }
    body
}

/// Reads the events of one reply.
#[derive(Debug, Default)]
pub struct Reader {
    text: String,
    tokens: usize,
}

impl Reader {
    /// The pieces of one event.
    pub fn parts(&mut self, data: &Value) -> Vec<Part> {
        if let Some(trouble) = told::trouble(data) {
            return vec![trouble];
        }
        let (meta, text) = (&data["meta_info"], data["text"].as_str().unwrap_or_default());
        let mut told = told(meta, "output");
        let written = meta["completion_tokens"].as_u64().unwrap_or(0) as usize;
        // A server may be set to send only what is new.
        let is_whole = told.len() >= written && text.starts_with(&self.text);
        let new_text = if is_whole { &text[self.text.len()..] } else { text }.to_owned();
        let mut tokens = if is_whole { told.split_off(self.tokens.min(told.len())) } else { told };
        self.tokens = written.max(self.tokens);
        if is_whole {
            text.clone_into(&mut self.text);
        } else {
            self.text.push_str(text);
        }
        let why = &meta["finish_reason"];
        // Stopped by a token rather than by a text: that token is not part of the reply.
        if why["type"] == "stop" && why["matched"].is_number() {
            tokens.pop();
        }
        let mut parts = Vec::new();
        if !new_text.is_empty() || !tokens.is_empty() {
            parts.push(Part::Text { text: new_text.into_bytes(), thought: false, tokens });
        }
        if let Some(kind) = why["type"].as_str() {
            let number = |name: &str| meta[name].as_u64().unwrap_or(0) as u32;
            parts.push(Part::Counted {
                prompt: number("prompt_tokens"),
                written: number("completion_tokens"),
                cached: number("cached_tokens"),
            });
            parts.push(match kind {
                "abort" if why["message"].is_string() => Part::Trouble(json!({"error": why["message"]})),
                kind => super::openai::ended(kind),
            });
        }
        parts
    }
}

/// The tokens of the prompt or of the reply (`input`, `output`) with their figures.
fn told(meta: &Value, which: &str) -> Vec<Told> {
    let list = |what: &str| &meta[format!("{which}_{what}")];
    let all = list("token_logprobs").as_array();
    let choices = |what: &str, place: usize| {
        list(what)[place].as_array().into_iter().flatten().map(choice).collect::<Vec<_>>()
    };
    let token = |(place, entry): (usize, &Value)| Told {
        chosen: choice(entry),
        rank: 0,
        top: choices("top_logprobs", place),
        watched: choices("token_ids_logprobs", place),
    };
    all.into_iter().flatten().enumerate().map(token).collect()
}

/// `[ln p, id, text or null]`.
fn choice(entry: &Value) -> Choice {
    Choice {
        id: told::id_of(&entry[1]),
        bytes: entry[2].as_str().and_then(told::bytes_of),
        logprob: told::logprob(&entry[0]),
    }
}

/// The tokens of a text that was scored, the last ones of it.
pub fn scored(answer: &Value, ids: &[TokenId]) -> Option<Vec<Told>> {
    let told = told(&answer["meta_info"], "input");
    let last = ids.len().checked_sub(told.len())?;
    let same = told.iter().zip(&ids[last..]).all(|(told, id)| told.chosen.id == Some(*id));
    (same && !told.is_empty()).then_some(told)
}

//! `OpenAI`'s chat completions, which nearly all servers have: requests and the pieces of their answers.
//!
//! Invariant: pure; what a server leaves out stays unknown.

use serde_json::{Map, Value, json};

use super::settings::{self, Ask, Dialect};
use super::told::{self, Choice, Part, Told};
use crate::chat::{Role, StopReason, TemplateValues};
use crate::engine::protocol::Message;

/// Most candidates that it gives.
pub const MOST: u32 = 20;
/// Most candidates of the older form, which goes on with a text.
const MOST_OF_TEXTS: u32 = 5;

/// The request for a reply to a chat.
pub fn chat(model: Option<&str>, messages: &[Message], ask: &Ask<'_>, dialect: Dialect) -> Value {
    let mut body = of_model(model);
    body.insert("messages".into(), messages_of(messages));
    stream(&mut body);
    body.insert("logprobs".into(), true.into());
    body.insert("top_logprobs".into(), ask.top.min(MOST).into());
    settings::put(&mut body, ask, dialect);
    body.into()
}

/// The request for what follows a text.
pub fn completion(model: Option<&str>, text: &str, ask: &Ask<'_>, dialect: Dialect) -> Value {
    let mut body = of_model(model);
    body.insert("prompt".into(), text.into());
    stream(&mut body);
    body.insert("logprobs".into(), ask.top.min(MOST_OF_TEXTS).into());
    settings::put(&mut body, ask, dialect);
    body.into()
}

/// What a request begins with that names the model.
pub fn of_model(model: Option<&str>) -> Map<String, Value> {
    model.map(|model| ("model".to_owned(), model.into())).into_iter().collect()
}

/// The answer is to come piece by piece, with the tokens counted at its end.
pub fn stream(body: &mut Map<String, Value>) {
    body.insert("stream".into(), true.into());
    body.insert("stream_options".into(), json!({"include_usage": true}));
}

/// Messages as servers take them: of a reply that was thought about, the answer alone.
pub fn messages_of(messages: &[Message]) -> Value {
    let message = |message: &Message| {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let from = message.reasoned.as_ref().map_or(0, |reasoned| reasoned.answer_from as usize);
        let text = message.text.get(from..).unwrap_or(&message.text);
        json!({"role": role, "content": text})
    };
    messages.iter().map(message).collect()
}

/// What a template is told beside the messages, for servers that pass it on.
pub fn template_values(body: &mut Value, values: &TemplateValues) {
    if !values.is_empty() {
        body["chat_template_kwargs"] = json!(values);
    }
}

/// The pieces of one event.
pub fn parts(data: &Value) -> Vec<Part> {
    if let Some(trouble) = told::trouble(data) {
        return vec![trouble];
    }
    let mut parts = Vec::new();
    let choice = &data["choices"][0];
    let delta = if choice["delta"].is_object() { &choice["delta"] } else { &choice["message"] };
    let thought = ["reasoning_content", "reasoning"].into_iter().find_map(|name| delta[name].as_str());
    let said = [&delta["content"], &delta["refusal"], &choice["text"]];
    let said = said.into_iter().find_map(Value::as_str).unwrap_or_default();
    let (in_parts, thought_in_parts) = of_parts(&delta["content"]);
    let (said, thought) = (format!("{said}{in_parts}"), thought.map_or(thought_in_parts, str::to_owned));
    let tokens: Vec<Told> =
        choice["logprobs"]["content"].as_array().into_iter().flatten().map(told).collect();
    // A token without text in the last event is the one that ended the reply.
    let is_end = choice["finish_reason"]
        .as_str()
        .is_some_and(|why| matches!(stop(why), StopReason::Eos | StopReason::ToolCalls));
    match (thought.is_empty(), said.is_empty()) {
        (true, true) if tokens.is_empty() || is_end => {}
        (false, true) => parts.push(Part::Text { text: thought.into(), thought: true, tokens }),
        (false, false) => {
            parts.push(Part::Text { text: thought.into(), thought: true, tokens: Vec::new() });
            parts.push(Part::Text { text: said.into(), thought: false, tokens });
        }
        (true, _) => parts.push(Part::Text { text: said.into(), thought: false, tokens }),
    }
    parts.extend(counted(&data["usage"]));
    parts.extend(choice["finish_reason"].as_str().map(ended));
    parts
}

/// Content that comes as a list of parts: the texts of what is said and of what is thought.
fn of_parts(content: &Value) -> (String, String) {
    let (mut said, mut thought) = (String::new(), String::new());
    for part in content.as_array().into_iter().flatten() {
        said += part["text"].as_str().unwrap_or_default();
        let inner = &part["thinking"];
        thought += inner.as_str().unwrap_or_default();
        thought += &of_parts(inner).0;
    }
    (said, thought)
}

/// A token and its candidates.
fn told(entry: &Value) -> Told {
    let top = entry["top_logprobs"].as_array().into_iter().flatten().map(choice).collect();
    Told { chosen: choice(entry), rank: 0, top, watched: Vec::new() }
}

fn choice(entry: &Value) -> Choice {
    let text = entry["token"].as_str().unwrap_or_default();
    // Bytes of a sign that stands for half a character are that sign's.
    let listed = told::byte_list(&entry["bytes"]).filter(|bytes| bytes != "\u{fffd}".as_bytes());
    Choice {
        id: told::id_of(&entry["id"]),
        bytes: listed.or_else(|| told::bytes_of(text)),
        logprob: told::logprob(&entry["logprob"]),
    }
}

/// The tokens that were counted.
pub fn counted(usage: &Value) -> Option<Part> {
    let number = |value: &Value| value.as_u64().map(|number| number as u32);
    Some(Part::Counted {
        prompt: number(&usage["prompt_tokens"])?,
        written: number(&usage["completion_tokens"]).unwrap_or(0),
        cached: number(&usage["prompt_tokens_details"]["cached_tokens"]).unwrap_or(0),
    })
}

/// How it ended.
pub fn ended(why: &str) -> Part {
    match stop(why) {
        StopReason::Error => Part::Trouble(json!({"error": format!("the reply was broken off ({why})")})),
        stop => Part::Ended(stop),
    }
}

/// Why it ended.
fn stop(why: &str) -> StopReason {
    match why.to_ascii_lowercase().as_str() {
        "length" | "max_tokens" => StopReason::Length,
        "content_filter" | "safety" | "recitation" | "refusal" => StopReason::ContentFilter,
        "tool_calls" | "function_call" | "tool_use" => StopReason::ToolCalls,
        "abort" | "error" => StopReason::Error,
        _ => StopReason::Eos,
    }
}

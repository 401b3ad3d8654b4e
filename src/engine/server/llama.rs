//! llama.cpp's server: its own completion, with the prompt as ids, and the pieces of its answers.
//!
//! Tokens that end inside a character are not sent by it: the next one comes with all of the text, and how many were
//! written is told. What was not sent stays a stretch of text without an id.
//!
//! Invariant: pure; a token's bytes are those that the server lists for its id, never a part of a longer text.

use serde::Deserialize;
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

/// One event of a reply. Most of them are a token with its candidates, and beside a server on the same machine each
/// microsecond of reading them is taken from the model; so they are read into this rather than into a tree. What is null
/// is not there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    prompt_progress: Option<Progress>,
    stop: Option<bool>,
    content: Option<String>,
    tokens: Option<Vec<i64>>,
    tokens_predicted: Option<i64>,
    completion_probabilities: Option<Vec<Entry>>,
    stop_type: Option<String>,
    truncated: Option<bool>,
    tokens_evaluated: Option<i64>,
    timings: Option<Timings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Progress {
    processed: Option<i64>,
    total: Option<i64>,
    cache: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Timings {
    /// Negative where it is not known.
    cache_n: Option<i64>,
}

/// A token; of one that was written also the likeliest ones.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    id: Option<i64>,
    bytes: Option<Vec<u8>>,
    logprob: Option<f64>,
    top_logprobs: Option<Vec<Entry>>,
}

impl From<Entry> for Choice {
    fn from(entry: Entry) -> Self {
        Self { id: entry.id.and_then(told::id), bytes: entry.bytes, logprob: told::figure(entry.logprob) }
    }
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
    ///
    /// # Errors
    /// It is no event of this server's.
    pub fn parts(&mut self, data: &[u8]) -> serde_json::Result<Vec<Part>> {
        let mut event: Event = serde_json::from_slice(data)?;
        if let Some(Progress { processed, total, cache }) = event.prompt_progress {
            let [done, total, cached] = [processed, total, cache].map(count);
            return Ok(vec![Part::Read { done, total, cached }]);
        }
        let mut parts = Vec::new();
        if event.stop == Some(true) {
            self.end(&event, &mut parts);
        } else if let Some(id) =
            event.tokens.as_ref().and_then(|tokens| tokens.last()).copied().and_then(told::id)
        {
            parts.extend(self.waiting.take());
            self.token(id, &mut event, &mut parts);
        } else {
            parts.extend(told::trouble(&serde_json::from_slice(data)?));
        }
        Ok(parts)
    }

    fn token(&mut self, id: TokenId, event: &mut Event, parts: &mut Vec<Part>) {
        let text = event.content.take().unwrap_or_default().into_bytes();
        let now = event.tokens_predicted.map_or(self.written + 1, |now| now.max(0).cast_unsigned());
        let alone = now <= self.written + 1;
        self.written = now;
        let entry = event.completion_probabilities.take().unwrap_or_default().into_iter().next();
        let told = told(id, entry.unwrap_or_default(), &text, alone);
        let own = told.chosen.bytes.clone().unwrap_or_default();
        let tokens = vec![told];
        if alone {
            let is_silent = text.is_empty();
            let part = Part::Text { text, thought: false, tokens };
            if is_silent {
                self.waiting = Some(part);
            } else {
                parts.push(part);
            }
            return;
        }
        let before = text.strip_suffix(own.as_slice()).unwrap_or(&text);
        parts.push(Part::Text { text: before.to_vec(), thought: false, tokens: Vec::new() });
        parts.push(Part::Text { text: text[before.len()..].to_vec(), thought: false, tokens });
    }

    fn end(&mut self, event: &Event, parts: &mut Vec<Part>) {
        let stop = match event.stop_type.as_deref() {
            Some("limit") if event.truncated == Some(true) => StopReason::Context,
            Some("limit") => StopReason::Length,
            Some("word") => StopReason::Stop,
            _ => StopReason::Eos,
        };
        parts.extend(self.waiting.take().filter(|_| stop != StopReason::Eos));
        parts.push(Part::Counted {
            prompt: count(event.tokens_evaluated),
            written: count(event.tokens_predicted),
            cached: count(event.timings.as_ref().and_then(|timings| timings.cache_n)),
        });
        parts.push(Part::Ended(stop));
    }
}

/// A number of tokens; 0 where it is not known.
fn count(number: Option<i64>) -> u32 {
    number.map_or(0, |number| number.clamp(0, u32::MAX.into()) as u32)
}

/// A token and its candidates. The bytes that stand beside the token itself are the text that was sent; those of the
/// candidates are their own.
fn told(id: TokenId, entry: Entry, text: &[u8], alone: bool) -> Told {
    let top: Vec<Choice> = entry.top_logprobs.unwrap_or_default().into_iter().map(Choice::from).collect();
    let listed = top.iter().find(|other| other.id == Some(id)).and_then(|other| other.bytes.clone());
    let bytes = listed.or_else(|| (alone && !text.is_empty()).then(|| text.to_vec()));
    let chosen = Choice { id: Some(id), bytes, logprob: told::figure(entry.logprob) };
    Told { chosen, rank: 0, top, watched: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(events: &[&str]) -> Vec<Part> {
        let mut reader = Reader::default();
        events.iter().flat_map(|event| reader.parts(event.as_bytes()).unwrap()).collect()
    }

    #[test]
    fn what_is_null_or_left_out_is_not_known() {
        let bare = r#"{"content":"a","tokens":[7],"stop":null,"completion_probabilities":null,"error":null,"timings":null}"#;
        let entry = r#"{"content":"b","tokens":[8],"completion_probabilities":[{"logprob":null,"top_logprobs":null}]}"#;
        let [Part::Text { text, tokens, .. }, Part::Text { tokens: others, .. }] = &parts(&[bare, entry])[..]
        else {
            panic!("two tokens")
        };
        assert_eq!((text.as_slice(), tokens[0].chosen.id), (&b"a"[..], Some(TokenId(7))));
        assert!(tokens[0].chosen.logprob.is_nan() && others[0].chosen.logprob.is_nan());
        assert!(others[0].top.is_empty());
        assert_eq!(parts(&[r#"{"content":"","tokens":null,"stop":false}"#]), []);
    }

    #[test]
    fn counts_that_the_server_does_not_have_are_no_failure_of_the_reply() {
        let end = r#"{"stop":true,"stop_type":"limit","truncated":null,"tokens_evaluated":12,
            "tokens_predicted":null,"timings":{"cache_n":-1}}"#;
        let counted = Part::Counted { prompt: 12, written: 0, cached: 0 };
        assert_eq!(parts(&[end]), [counted, Part::Ended(StopReason::Length)]);
        let progress =
            r#"{"prompt_progress":{"processed":3,"total":9,"cache":null},"tokens":[],"content":""}"#;
        assert_eq!(parts(&[progress]), [Part::Read { done: 3, total: 9, cached: 0 }]);
    }

    #[test]
    fn errors_are_told_in_the_servers_words_and_other_things_are_none_of_its_events() {
        let trouble = parts(&[r#"{"error":{"message":"no","code":500}}"#]);
        assert_eq!(trouble, [Part::Trouble(json!({"error": {"message": "no", "code": 500}}))]);
        assert!(matches!(parts(&[r#"{"object":"error","message":"no"}"#])[..], [Part::Trouble(_)]));
        for other in ["\"a\"", "7", "{\"tokens\":\"a\"}", "{\"tokens\":[1"] {
            assert!(Reader::default().parts(other.as_bytes()).is_err(), "{other}");
        }
    }
}

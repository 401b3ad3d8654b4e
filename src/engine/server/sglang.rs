//! SGLang's own `/generate`: prompts as ids, candidates, chosen tokens' odds, log-probabilities of a given text.
//!
//! Its chat template is not shown. Where its `/tokenize` takes chats, they are asked by ids; else they go through its
//! `OpenAI` form, and their tokens have no ids.
//!
//! The log-probabilities of a reply are those after the temperature, unless the server was started with
//! `SGLANG_RETURN_ORIGINAL_LOGPROB=1`; those of a text that is given are the model's own. Which it is no server says, so that
//! it is tried at loading.
//!
//! Invariant: pure but for [`tokenizes`] and [`ways`]; what comes is the whole reply so far, of which only what is new is
//! given.

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::http::{Http, Path};
use super::settings::{self, Ask, Dialect};
use super::told::{self, Choice, Part, Told};
use super::{openai, vllm};
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

/// How a server does what others do otherwise; by its answers at loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// Whether the odds of a reply are those after the temperature.
    pub scales: bool,
    /// Whether it goes on with a message that has begun, asked by ids.
    pub continues: bool,
    /// Whether a token's text beside its log-probability is its own, with its leading blank.
    pub texts_are_whole: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self { scales: false, continues: false, texts_are_whole: true }
    }
}

/// Finds out how this server does; `tokenizes` as [`tokenizes`] has found it.
pub async fn ways(
    http: &Http,
    model: Option<&str>,
    tokenizes: (bool, bool),
    cancel: &CancellationToken,
) -> Ways {
    let gap = async |temperature: f32| {
        let body = json!({
            "text": "a",
            "return_logprob": true,
            "top_logprobs_num": 2,
            "sampling_params": {"max_new_tokens": 1, "temperature": temperature},
        });
        let answer = http.ask_once(Path::Root("/generate"), &body, cancel).await?;
        let told = told(&answer["meta_info"], "output").into_iter().next()?;
        Some(told.top.first()?.logprob - told.top.get(1)?.logprob)
    };
    let mut ways = Ways::default();
    // At temperature 0 they are the model's; at a half the gap between two doubles, if it is scaled at all.
    if let (Some(plain), Some(sharp)) = (gap(0.0).await, gap(0.5).await) {
        ways.scales = plain > 0.0 && (sharp - 2.0 * plain).abs() < (sharp - plain).abs();
    }
    let (texts, chats) = tokenizes;
    if chats {
        ways.continues = goes_on(http, model, cancel).await == Some(true);
    }
    if texts {
        ways.texts_are_whole = keeps_blanks(http, model, cancel).await.unwrap_or(true);
    }
    ways
}

/// Whether a chat that ends with a message that has begun ends so as ids too.
async fn goes_on(http: &Http, model: Option<&str>, cancel: &CancellationToken) -> Option<bool> {
    let chat = [Message::new(Role::User, "a"), Message::new(Role::Assistant, "b")];
    let body = chat_tokens(model, &chat, true, &TemplateValues::default());
    let answer = http.ask_once(Path::Root("/tokenize"), &body, cancel).await?;
    let ids = vllm::tokens(&answer)?;
    Some(spelt(http, model, &ids, cancel).await?.ends_with('b'))
}

/// Whether a token alone is spelt with the blank that it begins with behind others.
async fn keeps_blanks(http: &Http, model: Option<&str>, cancel: &CancellationToken) -> Option<bool> {
    let body = vllm::tokenize(model, "a a", false);
    let ids = vllm::tokens(&http.ask_once(Path::Root("/tokenize"), &body, cancel).await?)?;
    let alone = spelt(http, model, ids.get(ids.len().checked_sub(1)?..)?, cancel).await?;
    let all = spelt(http, model, &ids, cancel).await?;
    Some(all != "a a" || alone != "a")
}

async fn spelt(
    http: &Http,
    model: Option<&str>,
    ids: &[TokenId],
    cancel: &CancellationToken,
) -> Option<String> {
    let mut body = vllm::detokenize(model, ids);
    body["skip_special_tokens"] = false.into();
    let answer = http.ask_once(Path::Root("/detokenize"), &body, cancel).await?;
    answer["text"].as_str().map(str::to_owned)
}

/// The question for the prompt that a chat becomes, as ids.
pub fn chat_tokens(
    model: Option<&str>,
    messages: &[Message],
    continue_last: bool,
    values: &TemplateValues,
) -> Value {
    let mut body = vllm::chat_tokens(model, messages, continue_last, values);
    if continue_last && let Some(body) = body.as_object_mut() {
        // It opens the turn that it goes on with, and refuses to be told not to.
        body.remove("add_generation_prompt");
    }
    body
}

/// The question for the texts of several lists of ids.
pub fn detokenize_all<const N: usize>(
    model: Option<&str>,
    lists: &[[TokenId; N]],
    without_marks: bool,
) -> Value {
    let mut body = openai::of_model(model);
    body.insert("tokens".into(), lists.iter().map(|list| list.map(|id| id.0)).collect::<Vec<_>>().into());
    body.insert("skip_special_tokens".into(), without_marks.into());
    body.into()
}

/// The texts in the answer to it, if there are so many.
pub fn texts(answer: &Value, count: usize) -> Option<Vec<String>> {
    let texts: Vec<String> = answer["text"]
        .as_array()?
        .iter()
        .map(|text| text.as_str().map(str::to_owned))
        .collect::<Option<_>>()?;
    (texts.len() == count).then_some(texts)
}

/// The question for the bytes of a token that is a part of a character: a chat whose next token it is made to be.
pub fn half(model: Option<&str>, id: TokenId) -> Value {
    let mut body = openai::of_model(model);
    body.insert("messages".into(), json!([{"role": "user", "content": "a"}]));
    body.insert("logit_bias".into(), json!({id.0.to_string(): 100}));
    for (name, value) in [("max_tokens", json!(1)), ("temperature", json!(0)), ("logprobs", json!(true))] {
        body.insert(name.into(), value);
    }
    body.insert("top_logprobs".into(), 1.into());
    body.into()
}

/// The bytes in the answer to it, if it is a part of a character.
pub fn half_told(answer: &Value) -> Option<Vec<u8>> {
    let token = &answer["choices"][0]["logprobs"]["content"][0];
    let is_part = token["token"].as_str().is_some_and(|text| told::bytes_of(text).is_none());
    told::byte_list(&token["bytes"]).filter(|bytes| is_part && std::str::from_utf8(bytes).is_err())
}

/// The request for a reply to a prompt.
pub fn generate(prompt: &Prompt<'_>, ask: &Ask<'_>, ways: Ways) -> Value {
    let mut params = Map::new();
    settings::put(&mut params, ask, Dialect::SgLang);
    let mut body = base(prompt, -1, ask.top, ways);
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
pub fn score(ids: &[TokenId], from: usize, top: u32, ways: Ways) -> Value {
    let mut body = base(&Prompt::Ids(ids), i64::try_from(from).unwrap_or(i64::MAX), top, ways);
    body["sampling_params"] = json!({"max_new_tokens": 0, "temperature": 0});
    body
}

fn base(prompt: &Prompt<'_>, from: i64, top: u32, ways: Ways) -> Value {
    let mut body = json!({
        "return_logprob": true,
        "logprob_start_len": from,
        "top_logprobs_num": top.min(openai::MOST),
        "return_text_in_logprobs": ways.texts_are_whole,
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
        // A refusal comes as an event with a token that no model wrote.
        let refusal = &meta["finish_reason"]["message"];
        if meta["finish_reason"]["type"] == "abort" && refusal.is_string() {
            return vec![Part::Trouble(json!({"error": refusal}))];
        }
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
            parts.push(openai::ended(kind));
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

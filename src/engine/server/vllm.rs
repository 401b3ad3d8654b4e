//! vLLM: its completions with the prompt as ids, and the log-probabilities of a given text.
//!
//! Tokens are named by ids there (`token_id:17`), since their texts do not tell them apart; the texts are asked for by
//! `/detokenize`.
//!
//! Invariant: pure; −9999 stands for "not known" and is no figure.

use serde_json::{Map, Value, json};

use super::openai::{self, counted, messages_of};
use super::settings::{self, Ask, Dialect};
use super::spelling;
use super::told::{self, Choice, Part, Told};
use crate::chat::TemplateValues;
use crate::engine::protocol::Message;
use crate::token::TokenId;

/// Most tokens whose odds can be chosen at once.
const MOST_CHOSEN: usize = 128;

/// The request for a reply to a prompt.
pub fn completion(model: Option<&str>, ids: &[TokenId], ask: &Ask<'_>) -> Value {
    let mut body = base(model, numbers(ids));
    openai::stream(&mut body);
    body.insert("logprobs".into(), ask.top.min(openai::MOST).into());
    settings::put(&mut body, ask, Dialect::Vllm);
    body.into()
}

/// The request for the log-probabilities of a text. The server wants room for one token more than it reads: of a text
/// that fills the context the last one is written instead, as the only one that is allowed.
pub fn score(model: Option<&str>, ids: &[TokenId], context: u32, top: u32) -> Value {
    let (last, before) = ids.split_last().filter(|_| ids.len() == context as usize).unzip();
    let mut body = one_token(model, numbers(before.unwrap_or(ids)));
    body.insert("prompt_logprobs".into(), top.min(openai::MOST).into());
    if let Some(last) = last {
        body.insert("allowed_token_ids".into(), json!([last.0]));
        body.insert("logprobs".into(), top.min(openai::MOST).into());
    }
    body.into()
}

/// The question for chosen tokens' odds after each of some texts. They come in the place of the likeliest ones.
pub fn odds(model: Option<&str>, after: &[Vec<TokenId>], chosen: &[TokenId]) -> Value {
    let mut body = one_token(model, after.iter().map(|ids| numbers(ids)).collect());
    body.insert("logprobs".into(), 1.into());
    body.insert("logprob_token_ids".into(), numbers(&chosen[..chosen.len().min(MOST_CHOSEN)]));
    body.into()
}

/// The odds in an answer to it, for each text.
pub fn odds_told(answer: &Value) -> Vec<Vec<Choice>> {
    let choices = answer["choices"].as_array().into_iter().flatten();
    let mut all: Vec<_> = choices.map(|choice| (choice["index"].as_u64(), told(choice))).collect();
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, told)| told.into_iter().next().map_or_else(Vec::new, |told| told.top)).collect()
}

/// Whether a server's description of itself has that question.
pub fn watches(described: &Value) -> bool {
    described["components"]["schemas"]["CompletionRequest"]["properties"]["logprob_token_ids"].is_object()
}

/// How a server is told what a reply has to look like; what it does not know it ignores without a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holding {
    /// It does not say; schemas go in `OpenAI`'s form.
    #[default]
    Unknown,
    /// By `structured_outputs`.
    Structured,
    /// By `guided_json` and `guided_grammar`, as it was called before.
    Guided,
}

/// How, by a server's description of itself.
pub fn holding(described: &Value) -> Holding {
    let request = &described["components"]["schemas"]["CompletionRequest"]["properties"];
    if request["structured_outputs"].is_object() {
        Holding::Structured
    } else if request["guided_grammar"].is_object() {
        Holding::Guided
    } else {
        Holding::Unknown
    }
}

/// The question whether a token is a mark: the server writes it, and leaves it out of the text if it is one.
pub fn writes(model: Option<&str>, id: TokenId) -> Value {
    let mut body = one_token(model, numbers(&[id]));
    body.insert("allowed_token_ids".into(), json!([id.0]));
    body.into()
}

/// The text that was written.
pub fn text(answer: &Value) -> Option<&str> {
    answer["choices"][0]["text"].as_str()
}

fn one_token(model: Option<&str>, prompt: Value) -> Map<String, Value> {
    let mut body = base(model, prompt);
    body.insert("max_tokens".into(), 1.into());
    body.insert("temperature".into(), 0.into());
    body
}

fn base(model: Option<&str>, prompt: Value) -> Map<String, Value> {
    let mut body = openai::of_model(model);
    body.insert("prompt".into(), prompt);
    body.insert("return_tokens_as_token_ids".into(), true.into());
    body.insert("return_token_ids".into(), true.into());
    body
}

fn numbers(ids: &[TokenId]) -> Value {
    ids.iter().map(|id| id.0).collect()
}

/// The question for the prompt that a chat becomes, as ids.
pub fn chat_tokens(
    model: Option<&str>,
    messages: &[Message],
    continue_last: bool,
    values: &TemplateValues,
) -> Value {
    let mut body = openai::of_model(model);
    body.insert("messages".into(), messages_of(messages));
    body.insert("add_generation_prompt".into(), (!continue_last).into());
    body.insert("continue_final_message".into(), continue_last.into());
    body.insert("return_token_strs".into(), true.into());
    let mut body = body.into();
    openai::template_values(&mut body, values);
    body
}

/// The question for a text's ids.
pub fn tokenize(model: Option<&str>, text: &str, begin: bool) -> Value {
    let mut body = openai::of_model(model);
    body.insert("prompt".into(), text.into());
    body.insert("add_special_tokens".into(), begin.into());
    body.insert("return_token_strs".into(), true.into());
    body.into()
}

/// The ids in an answer to either.
pub fn tokens(answer: &Value) -> Option<Vec<TokenId>> {
    answer["tokens"].as_array()?.iter().map(told::id_of).collect()
}

/// The tokens' bytes in an answer to either, where the server says how its tokenizer writes them; `text` is what was cut.
pub fn bytes(answer: &Value, text: &str) -> Option<Vec<Vec<u8>>> {
    let pieces: Vec<&str> =
        answer["token_strs"].as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    spelling::bytes_of(&pieces, text)
}

/// The question for the text of ids.
pub fn detokenize(model: Option<&str>, ids: &[TokenId]) -> Value {
    let mut body = openai::of_model(model);
    body.insert("tokens".into(), numbers(ids));
    body.into()
}

/// The pieces of one event.
pub fn parts(data: &Value) -> Vec<Part> {
    if let Some(trouble) = told::trouble(data) {
        return vec![trouble];
    }
    let mut parts = Vec::new();
    let choice = &data["choices"][0];
    let text = choice["text"].as_str().unwrap_or_default();
    let why = choice["finish_reason"].as_str();
    let mut tokens = told(choice);
    // Without a stop text that was met, the last token is the one that ended the reply.
    if why == Some("stop") && !choice["stop_reason"].is_string() {
        tokens.pop();
    }
    if !text.is_empty() || !tokens.is_empty() {
        parts.push(Part::Text { text: text.into(), thought: false, tokens });
    }
    parts.extend(counted(&data["usage"]));
    parts.extend(why.map(openai::ended));
    parts
}

fn told(choice: &Value) -> Vec<Told> {
    let logprobs = &choice["logprobs"];
    let by_name = |(name, figure): (&String, &Value)| named(name, figure);
    let token = |(place, name): (usize, &Value)| {
        let name = name.as_str().unwrap_or_default();
        let top = logprobs["top_logprobs"][place].as_object().into_iter().flatten().map(by_name).collect();
        Told { chosen: named(name, &logprobs["token_logprobs"][place]), rank: 0, top, watched: Vec::new() }
    };
    let with_odds: Vec<Told> =
        logprobs["tokens"].as_array().into_iter().flatten().enumerate().map(token).collect();
    if !with_odds.is_empty() {
        return with_odds;
    }
    let ids = choice["token_ids"].as_array().into_iter().flatten();
    ids.map(|id| Told {
        chosen: Choice { id: told::id_of(id), bytes: None, logprob: f32::NAN },
        rank: 0,
        top: Vec::new(),
        watched: Vec::new(),
    })
    .collect()
}

/// A token by the name `token_id:17`; an older server gives its text.
fn named(name: &str, figure: &Value) -> Choice {
    let id = name.strip_prefix("token_id:").and_then(|id| id.parse().ok()).map(TokenId);
    let bytes = if id.is_some() { None } else { told::bytes_of(name) };
    Choice { id, bytes, logprob: told::logprob(figure) }
}

/// The tokens of a text that was scored: one for each of `ids`, the first of which has no figure.
pub fn scored(answer: &Value, ids: &[TokenId]) -> Option<Vec<Told>> {
    let choice = &answer["choices"][0];
    let places = [&choice["prompt_logprobs"], &answer["prompt_logprobs"]];
    let list = places.into_iter().find_map(Value::as_array)?;
    let (read, rest) = ids.split_at_checked(list.len())?;
    let written = told(choice).into_iter().filter(|told| rest == told.chosen.id.as_slice());
    let written: Vec<Told> = written.take(rest.len()).collect();
    if written.len() < rest.len() {
        return None;
    }
    let token = |(id, entry): (&TokenId, &Value)| {
        let all = entry.as_object();
        let choice = |(id, about): (&String, &Value)| {
            let id = TokenId(id.parse().ok()?);
            let bytes = about["decoded_token"].as_str().and_then(told::bytes_of);
            Some((Choice { id: Some(id), bytes, logprob: told::logprob(&about["logprob"]) }, rank(about)))
        };
        let top: Vec<(Choice, u32)> = all.into_iter().flatten().filter_map(choice).collect();
        let own = top.iter().find(|(choice, _)| choice.id == Some(*id)).cloned();
        let nothing = || (Choice { id: Some(*id), bytes: None, logprob: f32::NAN }, 0);
        let (chosen, rank) = own.unwrap_or_else(nothing);
        Told { chosen, rank, top: top.into_iter().map(|(choice, _)| choice).collect(), watched: Vec::new() }
    };
    Some(read.iter().zip(list).map(token).chain(written).collect())
}

fn rank(about: &Value) -> u32 {
    about["rank"].as_u64().unwrap_or(0) as u32
}

//! What a server refuses, in its own words, and what of a request it would do without.
//!
//! Invariant: only what a refusal names as not supported is left out of a request; a value that is wrong stays the user's to
//! mend.

use serde_json::Value;

use crate::engine::protocol::{Failure, FailureKind};

/// How many reasons of one refusal are told.
const REASONS: usize = 3;

/// A request that came to nothing.
#[derive(Debug)]
pub struct Refusal {
    /// What is said of it.
    pub failure: Failure,
    /// The status of the answer, where there was one that is no success.
    pub status: Option<u16>,
    /// The answer; nothing where there was none, or a page.
    pub answer: Value,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, status: None, answer: Value::Null }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        refusal.failure
    }
}

impl Refusal {
    /// Whether the server has not read its model yet.
    pub fn is_loading(&self) -> bool {
        let words = ["loading model", "model loading", "is loading", "currently loading", "still loading"];
        self.status == Some(503) && words.iter().any(|words| self.text().contains(words))
    }

    /// Whether another try may do; without `persists`, only where the server asks for that.
    pub fn may_pass(&self, persists: bool) -> bool {
        match self.status {
            Some(429) => {
                !["insufficient_quota", "billing_hard_limit"].iter().any(|code| self.text().contains(code))
            }
            Some(408 | 425 | 500 | 502..=504 | 529) | None => persists,
            Some(_) => false,
        }
    }

    /// Which parameter of a request is refused as such, where the request would do without it.
    pub fn parameter(&self, body: &Value) -> Option<&'static str> {
        if self.failure.kind == FailureKind::ContextFull {
            return None;
        }
        let text = self.text();
        if !UNSUPPORTED.iter().any(|words| text.contains(words)) {
            return None;
        }
        // Fewer candidates may do.
        if text.contains("logprobs") && LIMITED.iter().any(|words| text.contains(words)) {
            return None;
        }
        let sent = |name: &&&str| body.get(**name).is_some() || body["sampling_params"].get(**name).is_some();
        let named = named_by(&self.answer);
        let named = named.as_deref().map(|name| name.rsplit(['.', '/']).next().unwrap_or(name));
        if let Some(name) = OPTIONAL.iter().filter(sent).find(|name| Some(**name) == named) {
            return Some(name);
        }
        let words = message_of(&self.answer)?.to_lowercase();
        let places = OPTIONAL.iter().filter(sent).filter_map(|name| Some((place_of(&words, name)?, *name)));
        places.min().map(|(_, name)| name)
    }

    fn text(&self) -> String {
        self.answer.to_string().to_lowercase()
    }
}

/// What a request would do without; the figures of a reply are lost with the first two.
const OPTIONAL: [&str; 17] = [
    "logprobs",
    "top_logprobs",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "stop",
    "stream_options",
    "return_token_ids",
    "return_tokens_as_token_ids",
    "chat_template_kwargs",
];

/// How a refusal says that it is the parameter, not its value.
const UNSUPPORTED: [&str; 15] = [
    "not support",
    "unsupported",
    "n't support",
    "not allowed",
    "not permitted",
    "not available",
    "forbidden",
    "unknown",
    "unrecognized",
    "unrecognised",
    "unexpected",
    "only the default",
    "not compatible",
    "incompatible",
    "extra fields",
];

/// How a refusal says that a number is too large.
const LIMITED: [&str; 6] = ["maximum", "max allowed", "between", "<=", "at most", "greater than"];

/// The parameter that an error names in a field of its own.
fn named_by(answer: &Value) -> Option<String> {
    let error = answer.get("error").unwrap_or(answer);
    let of_details = [&answer["detail"][0]["loc"], &answer["message"]["detail"][0]["loc"]];
    let last = of_details.into_iter().find_map(|place| place.as_array()?.last()?.as_str());
    error["param"].as_str().or(last).map(str::to_owned)
}

/// Where a word stands in a text that is no part of a longer one.
fn place_of(text: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        let (before, after) = (&text[..*at], &text[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// The message of an error, in the forms that servers have.
pub fn message_of(answer: &Value) -> Option<String> {
    let error = answer.get("error").filter(|error| !error.is_null());
    let places = ["message", "detail", "errors", "msg"].map(|name| &answer[name]);
    let text = error.into_iter().chain(places).chain([answer]).find_map(words_of);
    text.or_else(|| error.map(Value::to_string))
}

/// The words of a part of an error: a text, a list of such, or an object that has them under one of the usual names.
fn words_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
        Value::Array(all) => {
            let all: Vec<String> = all.iter().filter_map(words_of).take(REASONS).collect();
            (!all.is_empty()).then(|| all.join("; "))
        }
        Value::Object(_) => {
            let names = ["message", "msg", "detail", "error", "errors", "reason"];
            let words = names.into_iter().find_map(|name| words_of(&value[name]))?;
            let place = value["loc"].as_array().and_then(|place| place.last()?.as_str());
            Some(place.map_or_else(|| words.clone(), |place| format!("{place}: {words}")))
        }
        _ => None,
    }
}

/// A reason in the terms of glassbox, where the server's own would not help.
pub fn in_own_terms(reason: &str) -> String {
    if reason.contains("tokenizer.chat_template is not set") {
        return "the model there has no chat template: ask with --raw".to_owned();
    }
    match reason.strip_prefix("repetition_penalty must") {
        Some(rest) => format!("repeat_penalty must{rest}"),
        None => reason.to_owned(),
    }
}

/// A sentence with a reason behind it, where there is one.
pub fn said(what: &str, reason: &str) -> String {
    let colon = if reason.is_empty() { "" } else { ": " };
    let end = if reason.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{what}{colon}{reason}{end}")
}

/// Whether an error says that the prompt is too long.
pub fn kind_of_error(answer: &Value) -> FailureKind {
    let text = answer.to_string().to_lowercase();
    let full = [
        "exceed_context_size",
        "context_length_exceeded",
        "maximum context length",
        "maximum model length",
        "longer than the model's context",
        "exceeds the maximum allowed length",
    ];
    if full.iter().any(|words| text.contains(words)) { FailureKind::ContextFull } else { FailureKind::Other }
}

/// How many candidates a server gives at most, in its words of refusing `asked`.
pub fn most_candidates(refused: &Failure, asked: u32) -> Option<u32> {
    let (_, said) = refused.message.split_once(": ").filter(|(_, said)| said.contains("logprobs"))?;
    let numbers = said.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    numbers.filter(|number| *number < asked).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn other(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), kind: FailureKind::Other }
    }

    #[test]
    fn how_many_candidates_there_are_is_read_from_a_refusal() {
        let most =
            |said: &str| most_candidates(&other(format!("127.0.0.1:80 refuses this (HTTP 400): {said}")), 20);
        let vllm = "Requested sample logprobs of 20, which is greater than max allowed: 5 (parameter=logprobs, value=20).";
        assert_eq!(most(vllm), Some(5));
        assert_eq!(most_candidates(&other(format!("127.0.0.1:80 reports an error: {vllm}")), 20), Some(5));
        assert_eq!(
            most(
                "Invalid 'top_logprobs': integer above maximum value. Expected a value <= 5, but got 20 instead."
            ),
            Some(5)
        );
        assert_eq!(most("Requested prompt logprobs of 20, which is greater than max allowed: 0"), Some(0));
        assert_eq!((most("logprobs are not supported"), most("temperature must be at most 2")), (None, None));
    }

    #[test]
    fn a_reason_names_what_glassbox_has() {
        let untold = "Cannot use chat template functions because tokenizer.chat_template is not set and no template \
                      argument was passed! For information about writing templates, see https://huggingface.co/docs";
        assert_eq!(in_own_terms(untold), "the model there has no chat template: ask with --raw");
        assert_eq!(
            in_own_terms("repetition_penalty must be in (0, 2] (1.0 = no penalty), got 3.0."),
            "repeat_penalty must be in (0, 2] (1.0 = no penalty), got 3.0."
        );
        for plain in ["top_p must be in (0, 1]", "unknown field `repetition_penalty`", ""] {
            assert_eq!(in_own_terms(plain), plain);
        }
    }

    #[test]
    fn an_error_is_found_in_each_form() {
        let said = |text: &str| message_of(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(said(r#"{"error":{"message":"no","code":400}}"#), "no");
        assert_eq!(said(r#"{"error":"no"}"#), "no");
        assert_eq!(said(r#"{"object":"error","message":"no"}"#), "no");
        assert_eq!(said(r#"{"detail":"no"}"#), "no");
        assert_eq!(said(r#"{"error":{"code":5}}"#), r#"{"code":5}"#);
        assert_eq!(
            said(r#"{"detail":[{"loc":["body","n"],"msg":"no"},{"msg":"nor this"}]}"#),
            "n: no; nor this"
        );
        assert_eq!(said(r#"{"errors":["no",{"message":"nor this"}]}"#), "no; nor this");
        assert_eq!(said(r#"" no\n""#), "no");
    }

    #[test]
    fn a_parameter_is_named_by_its_field_or_by_the_words() {
        let body = json!({"logprobs": true, "top_logprobs": 3, "temperature": 1, "seed": 7, "stop": ["x"]});
        let of = |answer: Value| Refusal { failure: other("no"), status: Some(400), answer }.parameter(&body);
        let error = |message: &str| json!({"error": {"message": message}});
        assert_eq!(of(error("'top_logprobs' is not supported, nor are logprobs")), Some("top_logprobs"));
        assert_eq!(of(json!({"error": {"message": "Unsupported", "param": "seed"}})), Some("seed"));
        assert_eq!(
            of(json!({"detail": [{"loc": ["body", "stop"], "msg": "extra fields not permitted"}]})),
            Some("stop")
        );
        assert_eq!(of(error("top_p is not supported")), None, "it was not sent");
        assert_eq!(of(error("seed must be a number")), None, "its value is wrong");
        assert_eq!(of(error("top_logprobs is not allowed to be greater than 2")), None, "fewer may do");
        assert_eq!(of(error("stopped: unsupported model")), None);
    }
}

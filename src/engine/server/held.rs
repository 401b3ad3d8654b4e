//! What a reply has to look like, said in the way that its server takes: as a JSON schema or as a grammar.
//!
//! Invariant: a reply that is to follow one is held to it by the server, or is not asked for.

use serde_json::{Value, json};

use super::vllm::Holding;
use crate::grammar::schema_of;

/// How a request can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a grammar among the settings: llama.cpp's server.
    Setting,
    /// By `OpenAI`'s `response_format`, which takes schemas.
    Format,
    /// By that, and grammars beside it: SGLang where it does as `OpenAI` does.
    FormatOrGrammar,
    /// In SGLang's own `sampling_params`.
    SgLang,
    /// In vLLM's completions.
    Vllm(Holding),
    /// Not at all.
    No,
}

/// Says in a request what its reply has to look like; nothing where it may look as it likes.
///
/// # Errors
/// It cannot be said: why, for a sentence that begins with the host.
pub fn put(body: &mut Value, grammar: &str, way: Way) -> Result<(), &'static str> {
    if grammar.trim().is_empty() {
        return Ok(());
    }
    let text = schema_of(grammar);
    let schema = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    match (way, schema) {
        (Way::Setting, _) => {}
        (Way::Format | Way::FormatOrGrammar | Way::Vllm(Holding::Unknown), Some(schema)) => {
            let schema = json!({"name": "reply", "strict": true, "schema": schema});
            body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
        }
        (Way::FormatOrGrammar, None) => body["ebnf"] = grammar.into(),
        (Way::SgLang, Some(_)) => body["sampling_params"]["json_schema"] = text.into(),
        (Way::SgLang, None) => body["sampling_params"]["ebnf"] = grammar.into(),
        (Way::Vllm(Holding::Structured), Some(schema)) => {
            body["structured_outputs"] = json!({"json": schema});
        }
        (Way::Vllm(Holding::Structured), None) => body["structured_outputs"] = json!({"grammar": grammar}),
        (Way::Vllm(Holding::Guided), Some(schema)) => body["guided_json"] = schema,
        (Way::Vllm(Holding::Guided), None) => body["guided_grammar"] = grammar.into(),
        (Way::Format | Way::Vllm(Holding::Unknown), None) => {
            return Err(
                "takes JSON schemas and no grammars, so nothing was asked: give a schema, or take a model that \
                        llama.cpp, vLLM or SGLang runs.",
            );
        }
        (Way::No, _) => {
            return Err(
                "holds no text that it goes on with to a schema or a grammar, so nothing was asked: ask in a chat.",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Form, read};

    #[test]
    fn each_server_is_told_in_its_way_or_not_at_all() {
        let (schema, _) = read(r#"{"type":"object"}"#, Form::Schema).unwrap();
        let grammar = "root ::= \"a\"";
        let of = |grammar: &str, way| {
            let mut body = json!({});
            put(&mut body, grammar, way).map(|()| body)
        };
        let format = json!({"response_format": {"type": "json_schema", "json_schema": {
            "name": "reply", "strict": true, "schema": {"type": "object"},
        }}});
        let object = || json!({"type": "object"});
        for (way, by_schema, by_grammar) in [
            (Way::Setting, json!({}), Some(json!({}))),
            (Way::Format, format.clone(), None),
            (Way::FormatOrGrammar, format.clone(), Some(json!({"ebnf": grammar}))),
            (
                Way::SgLang,
                json!({"sampling_params": {"json_schema": r#"{"type":"object"}"#}}),
                Some(json!({"sampling_params": {"ebnf": grammar}})),
            ),
            (
                Way::Vllm(Holding::Structured),
                json!({"structured_outputs": {"json": object()}}),
                Some(json!({"structured_outputs": {"grammar": grammar}})),
            ),
            (
                Way::Vllm(Holding::Guided),
                json!({"guided_json": object()}),
                Some(json!({"guided_grammar": grammar})),
            ),
            (Way::Vllm(Holding::Unknown), format.clone(), None),
        ] {
            assert_eq!(of(&schema, way), Ok(by_schema), "{way:?}");
            assert_eq!(of(grammar, way).ok(), by_grammar, "{way:?}");
            assert_eq!(of(" \n", way), Ok(json!({})));
        }
        assert!(of(&schema, Way::No).is_err() && of(grammar, Way::No).is_err());
    }
}

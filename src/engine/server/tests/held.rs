//! Replies that are to follow a schema or a grammar: each server is told, and one that cannot be is not asked.

use super::*;
use crate::grammar::{Form, read};

const GRAMMAR: &str = "root ::= \"a\"";

fn held(grammar: &str) -> Generate {
    let mut generate = chat("a");
    generate.sampling.grammar = grammar.into();
    generate
}

fn schema() -> String {
    read(r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#, Form::Schema).unwrap().0
}

const REPLY: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"content\":\"{}\"},\"text\":\"{}\",\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n"
);

#[test]
fn a_server_like_openais_is_given_the_schema_and_not_asked_with_a_grammar() {
    for (path, answer) in [("/v1/models", ""), ("/api/version", r#"{"version":"0.12.11"}"#)] {
        let stand = Stand::start(move |asked| match asked.path.as_str() {
            "/v1/models" => json(r#"{"data":[{"id":"m"}]}"#),
            "/v1/chat/completions" => stream(REPLY),
            asked if asked == path => json(answer),
            _ => not_found(),
        });
        let mut bench = Bench::new(quick());
        bench.try_load(entry(&stand.address, Api::Auto)).unwrap();
        let answer = bench.generate(held(&schema()));
        assert_eq!(answer.text(), "{}");
        assert!(!answer.prompt.notes.join(" ").contains("grammar"), "{:?}", answer.prompt.notes);
        let format = &stand.asked("/v1/chat/completions")[0].body["response_format"];
        assert_eq!(
            (&format["type"], &format["json_schema"]["schema"]["properties"]["a"]["type"]),
            (&"json_schema".into(), &"integer".into())
        );
        let said = bench.generate(held(GRAMMAR)).failure().to_owned();
        assert!(said.contains("takes JSON schemas and no grammars") && said.contains("127.0.0.1:"), "{said}");
        let mut raw = held(&schema());
        raw.prompt = Prompt::Raw { text: "x".into() };
        assert!(bench.generate(raw).failure().contains("so nothing was asked"));
        assert_eq!(stand.asked("/v1/chat/completions").len(), 1);
        assert_eq!(stand.asked("/v1/completions").len(), 0);
    }
}

#[test]
fn vllm_and_sglang_are_given_either_in_their_own_form() {
    for (described, by_schema, by_grammar) in [
        (
            r#"{"structured_outputs":{},"guided_grammar":{}}"#,
            ("structured_outputs", "json"),
            ("structured_outputs", "grammar"),
        ),
        (r#"{"guided_grammar":{}}"#, ("guided_json", ""), ("guided_grammar", "")),
    ] {
        let described =
            format!(r#"{{"components":{{"schemas":{{"CompletionRequest":{{"properties":{described}}}}}}}}}"#);
        let stand = Stand::start(move |asked| match asked.path.as_str() {
            "/version" => json(r#"{"version":"0.21.0"}"#),
            "/openapi.json" => json(described.clone()),
            "/v1/models" => json(r#"{"data":[{"id":"m","max_model_len":512}]}"#),
            "/tokenize" => json(r#"{"count":2,"tokens":[7,8]}"#),
            "/detokenize" => json(r#"{"prompt":"x"}"#),
            "/v1/completions" => stream(REPLY),
            _ => not_found(),
        });
        let mut bench = Bench::new(quick());
        bench.try_load(entry(&stand.address, Api::Auto)).unwrap();
        for (grammar, (name, inner)) in [(schema(), by_schema), (GRAMMAR.into(), by_grammar)] {
            assert_eq!(bench.generate(held(&grammar)).text(), "{}");
            let body = stand.asked("/v1/completions").pop().unwrap().body;
            let told = if inner.is_empty() { &body[name] } else { &body[name][inner] };
            assert!(told == GRAMMAR || told["properties"].is_object(), "{name}: {body}");
        }
    }
    let stand = Stand::start(|asked| match asked.path.as_str() {
        "/server_info" => json(r#"{"max_req_input_len":1000}"#),
        "/v1/models" => json(r#"{"data":[{"id":"m"}]}"#),
        "/v1/chat/completions" | "/generate" => stream(REPLY),
        _ => not_found(),
    });
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::Auto)).unwrap();
    for (grammar, name) in [(schema(), "response_format"), (GRAMMAR.into(), "ebnf")] {
        assert_eq!(bench.generate(held(&grammar)).text(), "{}");
        let body = stand.asked("/v1/chat/completions").pop().unwrap().body;
        assert!(!body[name].is_null(), "{name}: {body}");
        let ids = Generate { sampling: held(&grammar).sampling, ..go_on(&[7, 8], &[]) };
        bench.generate(ids);
        let params = stand.asked("/generate").pop().unwrap().body["sampling_params"].clone();
        assert!(params["json_schema"].is_string() || params["ebnf"].is_string(), "{params}");
    }
}

//! What a server refuses and can do without is left out of the next request, and said; other refusals have their reason.

use super::*;
use crate::chat::StopReason;

const REPLY: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n"
);

/// A server whose chat answers so.
fn stand(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Stand {
    Stand::start(move |asked| match asked.path.as_str() {
        "/v1/models" => json(r#"{"data":[{"id":"m"}]}"#),
        "/v1/chat/completions" => answer(asked),
        _ => not_found(),
    })
}

fn loaded(stand: &Stand) -> Bench {
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
    bench
}

/// Refuses as long as one of these stands in a request.
fn refuses(names: &'static [&'static str], kind: &'static str, body: &'static str) -> Stand {
    stand(move |asked| {
        let has = names.iter().any(|name| asked.body.get(*name).is_some());
        if has { status(kind, body) } else { stream(REPLY) }
    })
}

#[test]
fn a_model_that_refuses_log_probabilities_replies_without_them_and_that_is_remembered() {
    for (kind, body) in [
        (
            "400 Bad Request",
            r#"{"error":{"message":"logprobs are not supported with reasoning models","param":"logprobs","code":"unsupported_parameter"}}"#,
        ),
        (
            "403 Forbidden",
            r#"{"error":{"message":"You are not allowed to request logprobs from this model","code":null}}"#,
        ),
    ] {
        let stand = refuses(&["logprobs", "top_logprobs"], kind, body);
        let mut bench = loaded(&stand);
        let answer = bench.generate(chat("a"));
        assert_eq!(answer.text(), "Hi", "{:?}", answer.end);
        let says = |answer: &Answer| {
            let host = stand.address.trim_start_matches("http://");
            answer
                .prompt
                .notes
                .iter()
                .filter(|note| note.starts_with(host) && note.contains("log-probabilities"))
                .count()
        };
        assert_eq!(says(&answer), 1, "{:?}", answer.prompt.notes);
        let again = bench.generate(chat("b"));
        assert_eq!((again.text().as_str(), says(&again)), ("Hi", 0));
        assert_eq!(stand.asked("/v1/chat/completions").len(), 3, "once refused, then left out");
    }
}

#[test]
fn settings_that_a_refusal_names_are_left_out_and_said() {
    let error = |param: &str, message: &str| {
        serde_json::json!({"error": {"message": message, "param": param, "code": "unsupported_parameter"}})
            .to_string()
    };
    let stand = stand(move |asked| {
        let has = |name: &str| asked.body.get(name).is_some();
        let said = if has("max_tokens") {
            error(
                "max_tokens",
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            )
        } else if has("temperature") {
            let message = "Unsupported value: 'temperature' does not support 0.8 with this model. Only the default (1) value is supported.";
            serde_json::json!({ "error": { "message": message } }).to_string()
        } else if has("seed") {
            r#"{"detail":[{"loc":["body","seed"],"msg":"Extra inputs are not permitted","type":"extra_forbidden"}]}"#.into()
        } else if has("stream_options") {
            r#"{"error":"unknown field stream_options"}"#.into()
        } else {
            return stream(REPLY);
        };
        status("400 Bad Request", &said)
    });
    let mut bench = loaded(&stand);
    let mut asked = chat("a");
    asked.sampling.max_tokens = 9;
    let answer = bench.generate(asked);
    assert_eq!(answer.text(), "Hi", "{:?}", answer.end);
    let body = stand.asked("/v1/chat/completions").pop().unwrap().body;
    assert_eq!(body["max_completion_tokens"], 9);
    assert!(body.get("max_tokens").is_none() && body["logprobs"] == true, "{body}");
    let notes = answer.prompt.notes.join("\n");
    for name in ["temperature", "seed", "stream_options"] {
        assert!(notes.contains(name), "{name}: {notes}");
    }
    assert!(!notes.contains("max_tokens"), "it was sent by its other name: {notes}");
}

#[test]
fn a_value_that_is_wrong_is_not_left_out() {
    let said = r#"{"error":{"message":"Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.","param":"temperature","code":"decimal_above_max_value"}}"#;
    let stand = refuses(&["temperature"], "400 Bad Request", said);
    let answer = loaded(&stand).generate(chat("a"));
    assert!(answer.failure().contains("decimal above maximum"), "{}", answer.failure());
    assert_eq!(stand.asked("/v1/chat/completions").len(), 1);
}

/// What is said of a refusal.
fn said_of(kind: &'static str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> String {
    let stand = stand(move |_| Reply { status: kind, ..reply() });
    loaded(&stand).generate(chat("a")).failure().to_owned()
}

#[test]
fn the_reason_of_a_refusal_is_found_in_each_shape() {
    for (reason, body) in [
        (": prompt: field required", r#"{"detail":[{"loc":["body","prompt"],"msg":"field required"}]}"#),
        (
            ": n: too many",
            r#"{"object":"error","message":{"detail":[{"loc":["body","n"],"msg":"too many"}]},"code":null}"#,
        ),
        (": AiError: bad", r#"{"errors":[{"message":"AiError: bad"}]}"#),
        (": Rate limit reached... wait", r#"{"error":{"message":"Rate limit reached... wait"}}"#),
        (": what is this?", r#"{"error":{"message":"what is this?"}}"#),
    ] {
        let said = said_of("422 Unprocessable Entity", move || json(body));
        let end = if reason.ends_with('?') { "" } else { "." };
        assert!(said.ends_with(&format!("(HTTP 422){reason}{end}")), "{said}");
    }
    let plain =
        said_of("400 Bad Request", || reply("text/plain", "prompt too long:\n5000 \u{1b}[31mtokens > 4096"));
    assert!(plain.contains("(HTTP 400): prompt too long: 5000") && !plain.contains('\u{1b}'), "{plain}");
    let page = said_of("413 Payload Too Large", || reply("text/html", "<html>413 Too Large</html>"));
    assert!(page.ends_with("(HTTP 413)."), "{page}");
    let country = said_of("403 Forbidden", || json(r#"{"error":{"message":"country not supported"}}"#));
    assert!(country.contains("country not supported") && country.contains("key_env"), "{country}");
}

#[test]
fn an_empty_purse_is_not_asked_again() {
    let body = r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let stand = stand(move |_| status("429 Too Many Requests", body));
    let answer = loaded(&stand).generate(chat("a"));
    assert!(answer.failure().contains("You exceeded your current quota"), "{}", answer.failure());
    assert_eq!(stand.asked("/v1/chat/completions").len(), 1);
}

/// What is said of an answer that is none.
fn said_instead(kind: &'static str, body: &'static str) -> (String, String) {
    let stand = stand(move |_| reply(kind, body));
    let answer = loaded(&stand).generate(chat("a"));
    (answer.text(), answer.failure().to_owned())
}

#[test]
fn what_comes_in_the_place_of_a_stream_is_named() {
    let error = r#"{"error":{"message":"insufficient credits","code":402}}"#;
    for kind in ["text/event-stream", "text/plain", "application/json"] {
        assert!(said_instead(kind, error).1.ends_with("reports an error: insufficient credits"), "{kind}");
        let (_, other) = said_instead(kind, r#"{"success":false,"msg":"nope"}"#);
        assert!(other.contains("nope") && !other.contains("before the reply had ended"), "{other}");
    }
    let (_, page) = said_instead("text/event-stream", "<html>\n<body>Sign in</body></html>");
    assert!(page.contains("a web page"), "{page}");
    let (_, words) = said_instead("text/plain", "upstream is gone");
    assert!(words.contains("upstream is gone"), "{words}");
    let (text, said) = said_instead(
        "text/event-stream",
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n{\"error\":{\"message\":\"model crashed\"}}\n",
    );
    assert_eq!((text.as_str(), said.ends_with("reports an error: model crashed")), ("Hi", true), "{said}");
}

#[test]
fn a_whole_reply_of_another_content_type_is_one() {
    let whole = r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    for (kind, body) in [
        ("text/plain", whole),
        ("text/event-stream", whole),
        ("application/json", whole),
        ("application/json", REPLY),
    ] {
        let stand = stand(move |_| reply(kind, body));
        let answer = loaded(&stand).generate(chat("a"));
        assert_eq!(answer.text(), "Hi", "{kind}: {:?}", answer.end);
        assert!(matches!(answer.end, Event::Done { stop: StopReason::Eos, .. }));
    }
}

//! Events that are not as the standard has them: each is read as far as it can be, and the reply goes on.

use super::*;
use crate::chat::StopReason;

/// A reply of these events, each by its bytes, and its end.
fn answer_of(events: &[&[u8]]) -> Answer {
    let mut body = Vec::new();
    for event in events {
        body.extend_from_slice(b"data: ");
        body.extend_from_slice(event);
        body.extend_from_slice(b"\n\n");
    }
    body.extend_from_slice(
        b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    );
    answer_to(body)
}

fn answer_to(body: Vec<u8>) -> Answer {
    let stand = Stand::start(move |asked| match asked.path.as_str() {
        "/v1/models" => json(r#"{"data":[{"id":"m"}]}"#),
        "/v1/chat/completions" => stream(body.clone()),
        _ => not_found(),
    });
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
    bench.generate(chat("a"))
}

fn delta(text: &str) -> Vec<u8> {
    format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#).into_bytes()
}

fn text_of(deltas: &[&str]) -> String {
    let events: Vec<Vec<u8>> = deltas.iter().map(|text| delta(text)).collect();
    let answer = answer_of(&events.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert!(matches!(answer.end, Event::Done { stop: StopReason::Eos, .. }), "{:?}", answer.end);
    answer.text()
}

#[test]
fn halves_of_a_character_are_joined_over_deltas_or_shown_as_a_sign() {
    assert_eq!(text_of(&[r"A\ud83e", r"\udd80B"]), "A🦀B");
    assert_eq!(text_of(&[r"A\ud83e", "", r"\udd80", "B"]), "A🦀B");
    assert_eq!(text_of(&[r"A\ud83e", "B"]), "A\u{fffd}B");
    assert_eq!(text_of(&[r"\udd80B", r"\ud83ex\\", r"\ud83e\udd80"]), "\u{fffd}B\u{fffd}x\\🦀");
}

#[test]
fn what_is_no_number_is_no_figure() {
    for figure in ["-Infinity", "Infinity", "NaN"] {
        let event = format!(
            r#"{{"choices":[{{"delta":{{"content":"NaN"}},"logprobs":{{"content":[{{"token":"NaN","logprob":{figure},"bytes":null,"top_logprobs":[]}}]}}}}]}}"#
        );
        let answer = answer_of(&[&delta("One "), event.as_bytes(), &delta(" two")]);
        assert_eq!(answer.text(), "One NaN two", "{:?}", answer.end);
        assert!(answer.written[1].step.logprob.is_nan());
    }
}

#[test]
fn a_byte_that_is_no_character_costs_that_byte() {
    let mut event = delta("caf@ ok");
    let at = event.iter().position(|byte| *byte == b'@').unwrap();
    event[at] = 0xe9;
    assert_eq!(answer_of(&[&delta("One "), &event, &delta("!")]).text(), "One caf\u{fffd} ok!");
}

#[test]
fn a_byte_order_mark_and_lines_that_end_by_a_carriage_return_lose_nothing() {
    let event = |text: &str| [b"data: ".to_vec(), delta(text)].concat();
    let end = b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}".to_vec();
    let marked = [b"\xef\xbb\xbf".to_vec(), event("One"), b"\n\n".to_vec(), end.clone(), b"\n\n".to_vec()];
    assert_eq!(answer_to(marked.concat()).text(), "One");
    let returns = [event("One"), b"\r\r".to_vec(), event(" two"), b"\r\r".to_vec(), end, b"\r\r".to_vec()];
    assert_eq!(answer_to(returns.concat()).text(), "One two");
}

#[test]
fn an_error_in_the_stream_is_told_with_its_reason_in_each_shape() {
    let one = || [b"data: ".to_vec(), delta("One"), b"\n\n".to_vec()].concat();
    for (reason, event) in [
        ("overloaded", "event: error\ndata: {\"message\":\"overloaded\",\"type\":\"overloaded_error\"}\n\n"),
        ("it broke", "event: error\ndata: it broke\n\n"),
        ("Internal Server Error", "data: {\"detail\":\"Internal Server Error\"}\n\ndata: [DONE]\n\n"),
        ("gone", "data: {\"type\":\"error\",\"message\":\"gone\"}\n\ndata: [DONE]\n\n"),
        (
            "Provider disconnected",
            "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\",\"error\":{\"code\":502,\"message\":\"Provider disconnected\"}}]}\n\n",
        ),
    ] {
        let answer = answer_to([one(), event.into()].concat());
        assert_eq!(answer.text(), "One");
        assert!(answer.failure().ends_with(&format!("reports an error: {reason}")), "{}", answer.failure());
    }
}

/// Why a reply of one delta ended, as it is stored.
fn stop_of(why: &str) -> Value {
    let end = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"One\"}}}}]}}\n\ndata: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{why}\"}}]}}\n\n"
    );
    match answer_to(end.into_bytes()).end {
        Event::Done { stop, .. } => serde_json::to_value(stop).unwrap(),
        Event::Failed(failure) => failure.message.split(" reports").nth(1).unwrap_or_default().into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn why_a_reply_was_cut_is_told() {
    for (why, stop) in [
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("MAX_TOKENS", "length"),
        ("stop", "eos"),
    ] {
        assert_eq!(stop_of(why), stop, "{why}");
    }
    assert_eq!(stop_of("abort"), " an error: the reply was broken off (abort)");
}

#[test]
fn content_in_parts_is_read() {
    let parts = br#"{"choices":[{"delta":{"content":[{"type":"text","text":"One"},{"type":"text","text":" two"}]}}]}"#;
    assert_eq!(answer_of(&[parts]).text(), "One two");
    let thought = br#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]}]}}]}"#;
    assert_eq!(answer_of(&[thought, parts]).text(), "<think>\nHm\n</think>\n\nOne two");
}

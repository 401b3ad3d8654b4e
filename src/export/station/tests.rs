//! What a station's file says, read back.

use super::*;
use crate::inspect::trace::{Followed, Lens, LensRow};
use crate::token::{Candidate, TokenKind};

fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary { hash: "words".into(), ..Vocabulary::default() };
    for word in [&b" Paris"[..], b" the", b"\x1b[31m", b"\xF0"] {
        vocabulary.push(word, TokenKind::Normal);
    }
    vocabulary
}

fn step() -> Step {
    let candidates = [(0, 0.75_f32), (1, 0.15)];
    Step {
        id: Some(TokenId(0)),
        bytes: b" Paris".to_vec(),
        logprob: 0.75_f32.ln(),
        rank: 1,
        candidates: candidates.map(|(id, p)| Candidate { id: TokenId(id), logprob: p.ln() }).to_vec(),
        ..Step::default()
    }
}

fn read(facts: &StationFacts<'_>) -> Value {
    serde_json::from_str(&facts.json()).unwrap()
}

#[test]
fn the_odds_add_up_with_those_of_the_others() {
    let (vocabulary, step) = (vocabulary(), step());
    let facts = StationFacts {
        station: "softmax",
        vocabulary: Some(&vocabulary),
        step: Some(&step),
        ids: &[TokenId(1)],
        ..StationFacts::default()
    };
    let read = read(&facts);
    let listed: f64 = read["next"].as_array().unwrap().iter().map(|c| c["p"].as_f64().unwrap()).sum();
    assert!((listed + read["p_of_others"].as_f64().unwrap() - 1.0).abs() < 1e-6);
    assert_eq!(read["token"]["token"], " Paris");
    assert_eq!((&read["position"], &read["tokens"][0]), (&json!(0), &json!(" the")));
    assert_eq!(read["model"], Value::Null, "what is not known is null");
}

#[test]
fn a_pass_has_the_names_of_the_command_line() {
    let (vocabulary, step) = (vocabulary(), step());
    let row = LensRow {
        layer: Some(0),
        top: vec![Candidate { id: TokenId(1), logprob: -1.5 }],
        followed: vec![Followed { id: TokenId(0), logprob: -2.25, rank: 7 }],
        kl: 0.125,
        norm: 3.5,
        ..LensRow::default()
    };
    let lens = Lens { rows: vec![row], decided: Some(0), ms: 1.0 };
    let trace = ForwardTrace { lens: Some(lens), ..ForwardTrace::default() };
    let facts = StationFacts {
        station: "layers",
        vocabulary: Some(&vocabulary),
        step: Some(&step),
        trace: Some(&trace),
        ..StationFacts::default()
    };
    let read = read(&facts);
    let row = &read["logit_lens"][0];
    assert_eq!(row["kl_final_from_layer_nats"], 0.125);
    assert_eq!(row["residual_norm"], 3.5);
    assert_eq!((&row["top"][0]["token"], &row["followed"][0]["rank"]), (&json!(" the"), &json!(7)));
    assert_eq!(read["layer_of_decision"], 0);
}

#[test]
fn no_character_of_a_token_can_act_and_none_is_lost() {
    let vocabulary = vocabulary();
    let ids = [TokenId(2), TokenId(3)];
    let step = Step { bytes: "a\u{202e}b\u{9b}\u{e0041}".as_bytes().to_vec(), ..step() };
    let facts = StationFacts {
        station: "tokens",
        vocabulary: Some(&vocabulary),
        step: Some(&step),
        ids: &ids,
        ..StationFacts::default()
    };
    let text = facts.json();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    assert!(!text.contains(['\u{202e}', '\u{e0041}']));
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["token"]["token"], "a\u{202e}b\u{9b}\u{e0041}");
    assert_eq!(read["tokens"][0], "\u{1b}[31m");
}

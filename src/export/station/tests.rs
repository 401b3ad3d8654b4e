//! What a station's file says, read back.

use super::*;
use crate::inspect::depth::DepthCell;
use crate::inspect::trace::{Attention, HeadLogits, Lens, LensRow};
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

#[test]
fn the_grid_and_every_row_of_attention_are_there() {
    let (vocabulary, step) = (vocabulary(), step());
    let cell = DepthCell { best: TokenId(1), best_logprob: -0.5, logprob: -4.0 };
    let columns = [Depth { id: TokenId(0), decided: Some(3), cells: vec![cell; 2] }];
    let stretch = |head| StretchRows {
        head,
        first: 1,
        seen_from: vec![0, 1],
        rows: vec![vec![0.25, 0.75], vec![0.0, 0.5, 0.5]],
    };
    let told = HeadLogits {
        layer: 2,
        head: 1,
        share: 0.5,
        promotes: vec![(TokenId(0), 1.5)],
        ..HeadLogits::default()
    };
    let attention = Attention { head_logits: vec![told], ..Attention::default() };
    let trace = ForwardTrace { attention: Some(attention), ..ForwardTrace::default() };
    let followed = vec![Followed { id: TokenId(0), logprob: -1.0, rank: 2 }];
    let facts = StationFacts {
        vocabulary: Some(&vocabulary),
        step: Some(&step),
        trace: Some(&trace),
        ffn_layers: &[FfnLayer { layer: 4, write: 2.0, half: Some(9), push: Some(-0.5) }],
        off: &[(Component::Head(2, 1), followed)],
        grid: Some((7, &columns)),
        rows: vec![stretch(Some((2, 1))), stretch(None)],
        ..StationFacts::default()
    };
    let read = read(&facts);
    let column = &read["layers_over_tokens"][0];
    assert_eq!((&column["position"], &column["layer_of_decision"]), (&json!(7), &json!(3)));
    assert_eq!(column["best_by_depth"][1]["token"], " the");
    assert_eq!(column["best_by_depth"][1]["logprob_of_written"], -4.0);
    let rows = &read["attention_of_every_row"];
    assert_eq!(
        (&rows[0]["of"], &rows[0]["layer"], &rows[1]["of"]),
        (&json!("head"), &json!(2), &json!("rollout"))
    );
    assert_eq!(rows[0]["weights"][1], json!([0, 0.5, 0.5]));
    assert_eq!(read["head_writes"][0]["promotes"][0]["token"], " Paris");
    assert_eq!(read["ffn_layers"][0]["neurons_of_half"], 9);
    assert_eq!(read["with_part_off"][0]["part"], "head:2.1");
}

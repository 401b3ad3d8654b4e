//! What the made-up inside shows agrees with itself and with the made-up output.

use std::sync::Arc;

use super::super::vocabulary::Pieces;
use super::*;
use crate::inspect::trace::Rotation;

fn read(text: &str) -> (Reading, Vec<TokenId>) {
    let pieces = Arc::new(Pieces::new(""));
    let ids = pieces.tokenize(text.as_bytes(), false);
    (Reading::of(&pieces, &ids), ids)
}

const TEXT: &str = "The capital of France is a word, and the capital of glass is the box of France";

fn everything() -> Want {
    Want {
        follow: vec![TokenId(300), TokenId(301)],
        lens: true,
        overview: true,
        attention: (0..LAYERS).collect(),
        ffn: vec![1, 3],
        neurons: 12,
        words: true,
        attribution: Some((TokenId(300), TokenId(301))),
        rotation: Some((1, 3, 2)),
        ..Want::default()
    }
}

#[test]
fn the_last_row_of_the_lens_is_the_output() {
    let (reading, ids) = read(TEXT);
    let trace = open(&reading, &ids, &everything(), &[]).trace;
    let lens = trace.lens.unwrap();
    assert_eq!(lens.rows.len(), LAYERS as usize + 1);
    let last = lens.rows.last().unwrap();
    assert_eq!((&last.top[..], &last.followed), (&trace.next[..3], &trace.followed));
    assert!(last.kl.abs() < 1e-6 && lens.rows[0].kl > 0.1);
}

#[test]
fn every_row_of_attention_sums_to_one_and_is_zero_outside_the_window() {
    let (reading, ids) = read(&TEXT.repeat(5));
    let attention = open(&reading, &ids, &everything(), &[]).trace.attention.unwrap();
    assert_eq!(attention.overview.len(), LAYERS as usize);
    for layer in &attention.layers {
        let hidden = layer.window.map_or(0, |window| ids.len() - window as usize);
        for head in &layer.heads {
            assert_eq!(head.weights.len(), ids.len());
            assert!((head.weights.iter().sum::<f32>() - 1.0).abs() < 1e-4);
            assert!(head.weights[..hidden].iter().all(|weight| *weight == 0.0));
        }
    }
    assert!(attention.layers[2].window.is_some());
}

#[test]
fn the_attribution_closes_and_heads_add_up_to_their_attention() {
    let (reading, ids) = read(TEXT);
    let attribution = open(&reading, &ids, &everything(), &[]).trace.attribution.unwrap();
    assert!(attribution.closure_error < 1e-3);
    for layer in 0..LAYERS {
        let of = |wanted: Part| attribution.parts.iter().find(|part| part.part == wanted).unwrap();
        let heads =
            attribution.heads.iter().filter(|part| matches!(part.part, Part::Head(l, _) if l == layer));
        let sum: f32 = heads.map(|part| part.logit_difference).sum();
        assert!((sum - of(Part::Attention(layer)).logit_difference).abs() < 1e-3);
    }
}

#[test]
fn a_part_switched_off_takes_away_what_it_added() {
    let (reading, ids) = read(TEXT);
    let want = everything();
    let plain = open(&reading, &ids, &want, &[]).trace;
    let attribution = plain.attribution.unwrap();
    let off = Intervention::ZeroHead { layer: 2, head: 1 };
    let changed = open(&reading, &ids, &want, std::slice::from_ref(&off)).trace;
    let (next, followed) = changed.original.unwrap();
    assert_eq!((&next, &followed), (&plain.next, &plain.followed));
    assert!(changed.kl_from_original.unwrap() > 0.0);
    let added = attribution.heads.iter().find(|part| part.part == Part::Head(2, 1)).unwrap();
    let difference = |of: &[Followed]| of[0].logprob - of[1].logprob;
    let lost = difference(&followed) - difference(&changed.followed);
    assert!((lost - added.logit_difference).abs() < 1e-3, "{lost} {added:?}");
}

#[test]
fn the_rotation_adds_up_to_the_score() {
    let (reading, ids) = read(TEXT);
    let trace = open(&reading, &ids, &everything(), &[]).trace;
    let Rotation { pairs, by_distance, other, .. } = trace.rotation.unwrap();
    let score = trace.attention.unwrap().layers[1].heads[3].scores[other as usize];
    assert!((pairs.iter().sum::<f32>() - score).abs() < 1e-3);
    assert!((by_distance[ids.len() - 1 - other as usize] - score).abs() < 1e-3);
}

#[test]
fn what_the_model_does_not_have_is_refused() {
    let refused = |want: Want| check(&want, &[], 4).unwrap_err().message;
    assert!(refused(Want { ffn: vec![4], ..Want::default() }).contains("layers 0 to 3"));
    assert!(refused(Want { rotation: Some((0, 4, 0)), ..Want::default() }).contains("heads 0 to 3"));
    assert!(refused(Want { rotation: Some((0, 0, 4)), ..Want::default() }).contains("after the pass"));
}

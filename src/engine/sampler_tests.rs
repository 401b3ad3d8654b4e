//! The bounded chain against the whole one, on random logits and without a model.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::engine::numbers::Reader;
use crate::token::TokenKind;

const ENTRIES: usize = 3000;

fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    (0..ENTRIES).for_each(|id| vocabulary.push(format!("t{id}").as_bytes(), TokenKind::Normal));
    vocabulary
}

/// Random logits, no two alike: llama.cpp's sort leaves the order of equal ones open.
fn logits(seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let mut taken = BTreeSet::new();
    let random = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let unit = (state >> 40) as f32 / (1_u64 << 24) as f32;
        Some(unit * 4.0 + unit.powi(40) * 9.0)
    });
    random.filter(|logit| taken.insert(logit.to_bits())).take(ENTRIES).collect()
}

fn chain(sampling: &Sampling, seed: u32, whole: bool) -> (Chain, Vec<String>) {
    let vocabulary = vocabulary();
    let setting = Setting { model: None, vocabulary: &vocabulary, context: 512, suppressed: &[] };
    let (mut chain, notes) = Chain::new(sampling, seed, &setting);
    if whole {
        chain.bound.keep = None;
    }
    (chain, notes)
}

fn draw(chain: &mut Chain, logits: &[f32]) -> Draw {
    let mut reader = Reader::default();
    let count = match chain.need() {
        Need::Top(count) => count,
        Need::All => 0,
    };
    reader.read(logits, count).unwrap();
    let draw = chain.draw(logits, reader.top());
    chain.accept(draw.id);
    draw
}

/// Settings with every stage that can come after top-k, and penalties and biases before it.
fn settings() -> impl Strategy<Value = Sampling> {
    let first = (0.2_f32..2.0, 1_u32..80, 0.3_f32..1.2, 0.0_f32..0.3, 0.3_f32..1.2, 0.0_f32..0.6);
    let second =
        (0.8_f32..1.6, -0.5_f32..1.0, -0.5_f32..1.0, 0_i32..100, 0.0_f32..1.0, 0_u32..4, -5.0_f32..9.0);
    (first, second).prop_map(|(a, b)| Sampling {
        temperature: a.0,
        top_k: a.1,
        top_p: a.2,
        min_p: a.3,
        typical_p: a.4,
        dynatemp_range: if a.5 < 0.3 { 0.0 } else { a.5 },
        repeat_penalty: b.0,
        frequency_penalty: b.1,
        presence_penalty: b.2,
        penalty_last_n: b.3,
        xtc_probability: b.4,
        min_keep: b.5,
        logit_bias: vec![LogitBias { text: Some("t77".to_string()), id: None, bias: b.6 }],
        ..Sampling::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn bounded_candidates_give_the_same_draws_as_all(sampling in settings(), seed in any::<u64>()) {
        let (mut bounded, _) = chain(&sampling, seed as u32, false);
        let (mut whole, _) = chain(&sampling, seed as u32, true);
        for id in [1, 5, 77, 5, 2999, 30, 1] {
            bounded.accept(TokenId(id));
            whole.accept(TokenId(id));
        }
        prop_assert!(matches!(bounded.need(), Need::Top(_)));
        for step in 0..12 {
            let logits = logits(seed ^ (step << 20));
            prop_assert_eq!(draw(&mut bounded, &logits), draw(&mut whole, &logits));
        }
    }
}

#[test]
fn temperature_zero_takes_the_likeliest_of_the_penalised() {
    let sampling = Sampling { temperature: 0.0, presence_penalty: 100.0, ..Sampling::default() };
    let (mut chain, _) = chain(&sampling, 1, false);
    let logits = logits(9);
    let mut sorted: Vec<i32> = (0..).take(ENTRIES).collect();
    sorted.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    let drawn: Vec<i32> = (0..5).map(|_| draw(&mut chain, &logits).id.0).collect();
    assert_eq!(drawn, sorted[..5]);
}

#[test]
fn default_settings_see_forty_candidates() {
    assert_eq!(chain(&Sampling::default(), 1, false).0.need(), Need::Top(40));
}

#[test]
fn a_cut_before_top_k_needs_the_whole_list() {
    let order = vec![Stage::TopP, Stage::TopK, Stage::Temperature];
    let sampling = Sampling { order, ..Sampling::default() };
    assert_eq!(chain(&sampling, 1, false).0.need(), Need::All);
    let sampling = Sampling { top_k: 0, ..Sampling::default() };
    assert_eq!(chain(&sampling, 1, false).0.need(), Need::All);
}

#[test]
fn mirostat_replaces_the_cuts() {
    let sampling = Sampling { mirostat: 2, ..Sampling::default() };
    let (mut chain, _) = chain(&sampling, 4, false);
    assert_eq!(chain.stages.iter().map(|(stage, _)| *stage).collect::<Vec<_>>(), [Stage::Temperature]);
    assert!(draw(&mut chain, &logits(2)).survivors > 1);
}

#[test]
fn a_banned_text_is_never_drawn_and_an_unknown_one_is_said() {
    let best = (0..).zip(logits(5)).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
    let ban = |text: &str| LogitBias { text: Some(text.to_string()), id: None, bias: f32::NEG_INFINITY };
    let logit_bias = vec![ban(&format!("t{best}")), ban("no such token")];
    let sampling = Sampling { temperature: 0.0, logit_bias, ..Sampling::default() };
    let (mut chain, notes) = chain(&sampling, 1, false);
    assert_ne!(draw(&mut chain, &logits(5)).id, TokenId(best));
    assert_eq!(notes, ["Logit bias ignored: \"no such token\" is not one token of this model."]);
}

#[test]
fn the_same_seed_draws_the_same() {
    let draws = |seed| {
        let (mut chain, _) = chain(&Sampling::default(), seed, false);
        (0..20).map(|step| draw(&mut chain, &logits(step)).id).collect::<Vec<_>>()
    };
    assert_eq!(draws(11), draws(11));
    assert_ne!(draws(11), draws(12));
}

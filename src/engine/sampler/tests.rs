//! The bounded chain against the whole one, on random logits and without a model.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::engine::compute::numbers::{Distribution, Reader};
use crate::inspect::stages::TraceSource;
use crate::sampling::LogitBias;
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
    let setting = Setting { model: None, vocabulary: &vocabulary, context: 512 };
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

/// Draws with the stages recorded, `list` tokens listed.
fn record(chain: &mut Chain, recorder: &mut Recorder, logits: &[f32], list: usize) -> SamplerTrace {
    let mut reader = Reader::default();
    let distribution: Distribution = reader.read(logits, list.max(1000)).unwrap();
    let (top, source) = (reader.top(), TraceSource::Live);
    let pass = Pass { logits, top, distribution, list, index: 0, source };
    let (draw, trace) = chain.draw_recorded(&pass, recorder);
    assert_eq!(draw.id, trace.drawn);
    chain.accept(draw.id);
    trace
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() < 2e-4
}

/// Two records of the same step, but for rounding.
fn check_equal(a: &SamplerTrace, b: &SamplerTrace) {
    assert_eq!((&a.tokens, a.drawn, a.vocabulary, a.u), (&b.tokens, b.drawn, b.vocabulary, b.u));
    assert_eq!(a.interval.is_some(), b.interval.is_some());
    for (a, b) in a.interval.iter().zip(&b.interval) {
        assert!((a.0 - b.0).abs() < 1e-5 && (a.1 - b.1).abs() < 1e-5, "{a:?} {b:?}");
    }
    assert_eq!(a.stages.len(), b.stages.len());
    for (a, b) in a.stages.iter().zip(&b.stages) {
        assert_eq!((a.name, a.left), (b.name, b.left));
        assert!(
            near(a.removed, b.removed) && near(a.kept, b.kept) && near(a.entropy, b.entropy),
            "{a:?} {b:?}"
        );
        for (a, b) in a.probabilities.iter().zip(&b.probabilities) {
            assert!(a.is_some() == b.is_some() && near(a.unwrap_or(0.0), b.unwrap_or(0.0)), "{a:?} {b:?}");
        }
    }
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

/// Without penalties nothing else tells the cuts that a biased token has left its place among the likeliest.
#[test]
fn a_biased_token_among_the_likeliest_is_cut_where_it_then_stands() {
    let bias = vec![LogitBias { text: Some("t77".to_string()), id: None, bias: -9.0 }];
    let sampling = Sampling { penalty_last_n: 0, top_k: 5, top_p: 1.0, min_p: 0.0, ..Sampling::default() };
    let sampling = Sampling { logit_bias: bias, ..sampling };
    for seed in 0..20 {
        let (mut bounded, _) = chain(&sampling, seed, false);
        let (mut whole, _) = chain(&sampling, seed, true);
        let mut logits = logits(u64::from(seed));
        logits[77] = logits.iter().copied().fold(f32::MIN, f32::max) + 1.0;
        let (mut first, mut second) = (Recorder::default(), Recorder::default());
        let a = record(&mut bounded, &mut first, &logits, 60);
        check_equal(&a, &record(&mut whole, &mut second, &logits, 60));
        assert_ne!(a.drawn, TokenId(77));
    }
}

/// llama.cpp goes on as if its list were still sorted, and cuts whatever stands at the end of it.
#[test]
fn a_bias_after_a_stage_that_sorts_is_seen_by_the_cuts_behind_it() {
    let sampling = Sampling {
        order: vec![Stage::TopK, Stage::LogitBias, Stage::TopP],
        logit_bias: vec![LogitBias { text: Some("t4".to_string()), id: None, bias: 8.0 }],
        top_k: 5,
        top_p: 0.5,
        ..Sampling::default()
    };
    let mut logits = logits(1);
    for (id, logit) in [20.0, 19.5, 19.0, 18.5, 18.0].into_iter().enumerate() {
        logits[id] = logit;
    }
    for whole in [false, true] {
        let (mut chain, _) = chain(&sampling, 7, whole);
        assert_eq!(draw(&mut chain, &logits), Draw { id: TokenId(4), survivors: 1 }, "{whole}");
    }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn bounded_candidates_are_recorded_like_all(sampling in settings(), seed in any::<u64>()) {
        let (mut bounded, _) = chain(&sampling, seed as u32, false);
        let (mut whole, _) = chain(&sampling, seed as u32, true);
        let (mut first, mut second) = (Recorder::default(), Recorder::default());
        for id in [1, 5, 77, 5, 2999, 30, 1] {
            bounded.accept(TokenId(id));
            whole.accept(TokenId(id));
        }
        for step in 0..6 {
            let logits = logits(seed ^ (step << 20));
            let a = record(&mut bounded, &mut first, &logits, 60);
            let b = record(&mut whole, &mut second, &logits, 60);
            check_equal(&a, &b);
        }
    }

    #[test]
    fn columns_add_up(sampling in settings(), seed in any::<u64>()) {
        let (mut chain, _) = chain(&sampling, seed as u32, true);
        let mut recorder = Recorder::default();
        for step in 0..4 {
            let trace = record(&mut chain, &mut recorder, &logits(seed ^ (step << 20)), ENTRIES);
            let sum: f32 = trace.model.iter().sum();
            prop_assert!(near(sum, 1.0), "{sum}");
            let mut before: Vec<Option<f32>> = trace.model.iter().copied().map(Some).collect();
            for stage in &trace.stages {
                let alive = || stage.probabilities.iter().flatten();
                prop_assert_eq!(alive().count(), stage.left as usize);
                prop_assert!(near(alive().sum(), 1.0), "{:?} {}", stage.name, alive().sum::<f32>());
                let entropy: f32 = alive().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
                prop_assert!((entropy - stage.entropy).abs() < 1e-3, "{entropy} {}", stage.entropy);
                let gone = before.iter().zip(&stage.probabilities).filter(|(_, now)| now.is_none());
                let removed: f32 = gone.filter_map(|(before, _)| *before).sum();
                prop_assert!(near(removed, stage.removed), "{removed} {}", stage.removed);
                let kept = trace.model.iter().zip(&stage.probabilities).filter(|(_, now)| now.is_some());
                let kept: f32 = kept.map(|(model, _)| model).sum();
                prop_assert!(near(kept, stage.kept), "{kept} {}", stage.kept);
                before.clone_from(&stage.probabilities);
            }
        }
    }
}

#[test]
fn recording_changes_no_draw_and_the_number_drawn_with_is_known() {
    for mirostat in [0, 2] {
        let sampling = Sampling { mirostat, mirostat_tau: 3.0, ..Sampling::default() };
        let (mut plain, _) = chain(&sampling, 21, false);
        let (mut recorded, _) = chain(&sampling, 21, false);
        let mut notes = Recorder::default();
        for step in 0..200 {
            let logits = logits(step);
            // Recording comes and goes.
            if step % 7 == 3 {
                assert_eq!(draw(&mut plain, &logits), draw(&mut recorded, &logits));
                continue;
            }
            let trace = record(&mut recorded, &mut notes, &logits, 5);
            assert_eq!(draw(&mut plain, &logits).id, trace.drawn);
            assert!(trace.tokens.contains(&trace.drawn));
            let (u, (from, to)) = (trace.u.unwrap(), trace.interval.unwrap());
            assert!(from - SLACK < u && u < to + SLACK, "step {step}: {u} outside {from}..{to}");
        }
    }
}

#[test]
fn skipped_draws_leave_the_generator_where_draws_do() {
    let (mut drawing, _) = chain(&Sampling::default(), 5, false);
    let (mut skipping, _) = chain(&Sampling::default(), 5, false);
    (0..30).for_each(|step| {
        draw(&mut drawing, &logits(step));
    });
    skipping.skip(30);
    let (mut first, mut second) = (Recorder::default(), Recorder::default());
    let logits = logits(99);
    let trace = record(&mut drawing, &mut first, &logits, 20);
    assert_eq!(trace, record(&mut skipping, &mut second, &logits, 20));
    assert!(trace.u.is_some());
}

#[test]
fn a_greedy_choice_is_a_stage_without_a_draw() {
    let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
    let trace = record(&mut chain(&sampling, 1, false).0, &mut Recorder::default(), &logits(9), 3);
    assert_eq!((trace.u, trace.interval, trace.tokens.len()), (None, None, 3));
    let [stage] = trace.stages.as_slice() else { panic!("{:?}", trace.stages) };
    assert_eq!((stage.name, stage.left), (StageName::Greedy, 1));
    assert_eq!(stage.probabilities, [Some(1.0), None, None]);
    assert!(near(stage.kept, trace.model[0]) && near(stage.removed, 1.0 - trace.model[0]));
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

/// A vocabulary whose token 7 is an end mark.
fn with_a_mark() -> Vocabulary {
    let mut vocabulary = vocabulary();
    vocabulary.kinds[7] = TokenKind::Control;
    vocabulary.marks = vec![TokenId(9)];
    vocabulary
}

#[test]
fn penalties_leave_marks_alone_unless_told_otherwise() {
    let penalised: [fn(&mut Sampling); 3] =
        [|s| s.repeat_penalty = 1.5, |s| s.frequency_penalty = 1.0, |s| s.presence_penalty = 1.0];
    for penalise in penalised {
        for on_marks in [false, true] {
            let mut sampling = Sampling { penalties_on_marks: on_marks, ..Sampling::default() };
            penalise(&mut sampling);
            let vocabulary = with_a_mark();
            let setting = Setting { model: None, vocabulary: &vocabulary, context: 512 };
            let (mut chain, _) = Chain::new(&sampling, 1, &setting);
            for id in [7, 9, 30] {
                chain.accept(TokenId(id));
            }
            let mut logits = logits(3);
            // Far above all others, so that they are those listed.
            for id in [7, 9, 30] {
                logits[id] = 30.0;
            }
            let trace = record(&mut chain, &mut Recorder::default(), &logits, 3);
            let of = |id| trace.tokens.iter().position(|token| *token == TokenId(id)).unwrap();
            let after = |id| trace.stages[0].probabilities[of(id)].unwrap();
            assert_eq!(trace.stages[0].name, StageName::Chain(Stage::Penalties));
            assert!(near(after(7), after(9)), "both are marks");
            assert_eq!(after(7) > after(30) * 1.1, !on_marks, "{sampling:?}");
        }
    }
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

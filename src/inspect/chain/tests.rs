//! The chain against figures worked out by hand, and a part of a list against the whole.

use proptest::prelude::*;

use super::*;
use crate::sampling::LogitBias;
use crate::token::{Candidate, TokenKind};

pub(super) fn neutral() -> Sampling {
    Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..Sampling::default() }
}

fn whole(logits: &[f32], drawn: i32) -> Input<'static> {
    Input::whole(&Distribution::new(logits.to_vec()).unwrap(), TokenId(drawn))
}

/// A distribution with these probabilities in percent, by id.
fn percent(percent: &[f32]) -> Vec<f32> {
    percent.iter().map(|p| (p / 100.0).ln()).collect()
}

fn kept(last: &Last) -> Vec<(i32, String)> {
    let shown = |(id, fate): &(TokenId, Fate)| match fate {
        Fate::Kept(p) => Some((id.0, format!("{:.2}", p * 100.0))),
        Fate::Cut(_) => None,
    };
    last.fates.iter().filter_map(shown).collect()
}

fn left(input: &Input<'_>, sampling: &Sampling) -> Vec<i32> {
    kept(&last(input, sampling).unwrap()).into_iter().map(|(id, _)| id).collect()
}

fn exact(input: &Input<'_>, sampling: &Sampling) -> SamplerTrace {
    match run(input, sampling) {
        Outcome::Exact(trace) => *trace,
        Outcome::NotDetermined(why) => panic!("{why}"),
    }
}

const FIVE: [f32; 5] = [50.0, 25.0, 15.0, 6.0, 4.0];

#[test]
fn each_cut_keeps_what_llama_cpp_keeps() {
    let five = whole(&percent(&FIVE), 0);
    let check = |sampling: Sampling, expected: &[i32]| assert_eq!(left(&five, &sampling), expected);
    check(neutral(), &[0, 1, 2, 3, 4]);
    check(Sampling { top_k: 2, ..neutral() }, &[0, 1]);
    check(Sampling { top_k: 2, min_keep: 3, ..neutral() }, &[0, 1, 2]);
    check(Sampling { top_p: 0.7, ..neutral() }, &[0, 1]);
    check(Sampling { top_p: 0.76, ..neutral() }, &[0, 1, 2]);
    check(Sampling { top_p: 0.1, min_keep: 2, ..neutral() }, &[0, 1]);
    check(Sampling { min_p: 0.4, ..neutral() }, &[0, 1]);
    check(Sampling { min_p: 0.4, min_keep: 4, ..neutral() }, &[0, 1, 2, 3]);
    check(Sampling { temperature: 0.0, ..neutral() }, &[0]);
    check(Sampling { typical_p: 0.2, ..neutral() }, &[1]);
    check(Sampling { typical_p: 0.3, ..neutral() }, &[0, 1]);
    check(Sampling { top_n_sigma: 1.0, ..neutral() }, &[0, 1]);
    check(Sampling { xtc_probability: 1.0, xtc_threshold: 0.2, ..neutral() }, &[1, 2, 3, 4]);
    check(Sampling { xtc_probability: 1.0, xtc_threshold: 0.2, min_keep: 5, ..neutral() }, &[0, 1, 2, 3, 4]);
    check(Sampling { xtc_probability: 1.0, xtc_threshold: 0.6, ..neutral() }, &[0, 1, 2, 3, 4]);
}

#[test]
fn a_token_exactly_on_a_threshold_is_kept_or_cut_as_llama_cpp_does() {
    let four = whole(&[0.0; 4], 0);
    let check = |sampling: Sampling, expected: &[i32]| assert_eq!(left(&four, &sampling), expected);
    check(Sampling { top_p: 0.5, ..neutral() }, &[0, 1]);
    check(Sampling { typical_p: 0.5, ..neutral() }, &[0, 1, 2]);
    check(Sampling { min_p: 1.0, ..neutral() }, &[0, 1, 2, 3]);
    check(Sampling { xtc_probability: 1.0, xtc_threshold: 0.25, ..neutral() }, &[3]);
    let half = Sampling { xtc_probability: 1.0, xtc_threshold: 0.5, ..neutral() };
    assert_eq!(left(&whole(&[0.0; 2], 0), &half), [1]);
}

#[test]
fn min_p_sorts_the_list_only_where_it_is_to_keep_more_than_it_would() {
    let input = whole(&percent(&[25.0, 50.0, 15.0, 10.0]), 1);
    let interval = |min_keep| {
        let interval = exact(&input, &Sampling { min_p: 0.4, min_keep, ..neutral() }).interval.unwrap();
        [interval.0, interval.1].map(|at| format!("{at:.2}"))
    };
    assert_eq!(interval(2), ["0.33", "1.00"]);
    assert_eq!(interval(3), ["0.00", "0.56"]);
    assert_eq!(interval(9), ["0.00", "0.50"]);
}

#[test]
fn xtc_is_open_until_its_chance_is_known() {
    let five = whole(&percent(&FIVE), 0);
    let sampling = Sampling { xtc_probability: 0.5, xtc_threshold: 0.2, ..neutral() };
    assert_eq!(last(&five, &sampling), Err(Why::Chance(StageName::Chain(Stage::Xtc))));
    let idle = Input { xtc_acts: Some(false), ..five };
    assert_eq!(left(&idle, &sampling), [0, 1, 2, 3, 4]);
    let harmless = Sampling { xtc_threshold: 0.3, ..sampling };
    let five = whole(&percent(&FIVE), 0);
    assert_eq!(left(&five, &harmless), [0, 1, 2, 3, 4], "one token above the threshold stays");
}

#[test]
fn penalties_divide_positive_logits_and_multiply_negative_ones() {
    let recent = [1, 2, 2].map(TokenId);
    let input = Input { recent: &recent, ..whole(&[1.0, 2.0, -1.0, 0.0], 0) };
    let odds = |sampling: &Sampling| {
        let last = last(&input, sampling).unwrap();
        let p = |id: i32| match last.fate(TokenId(id)) {
            Some(Fate::Kept(p)) => p,
            other => panic!("{other:?}"),
        };
        [1, 2, 3].map(|id| format!("{:.2}", (p(id) / p(0)).ln() + 1.0 + 1e-9))
    };
    assert_eq!(odds(&Sampling { repeat_penalty: 2.0, ..neutral() }), ["1.00", "-2.00", "0.00"]);
    assert_eq!(odds(&Sampling { frequency_penalty: 0.5, ..neutral() }), ["1.50", "-2.00", "0.00"]);
    assert_eq!(odds(&Sampling { presence_penalty: 0.5, ..neutral() }), ["1.50", "-1.50", "0.00"]);
    let short = Sampling { presence_penalty: 0.5, penalty_last_n: 2, ..neutral() };
    assert_eq!(odds(&short), ["2.00", "-1.50", "0.00"], "only the window counts");
}

#[test]
fn dynamic_temperature_follows_the_entropy() {
    let sampling = Sampling { temperature: 1.0, dynatemp_range: 0.5, ..neutral() };
    let even = whole(&[0.0; 4], 0);
    assert_eq!(kept(&last(&even, &sampling).unwrap())[0].1, "25.00");
    // A 90:10 split has entropy 0.3251 of ln 2 = 0.4690: temperature 0.5 + 0.4690 = 0.9690.
    let steep = whole(&percent(&[90.0, 10.0]), 0);
    let expected = 1.0 / (1.0 + (0.1_f64 / 0.9).powf(1.0 / 0.969));
    assert_eq!(kept(&last(&steep, &sampling).unwrap())[0].1, format!("{:.2}", expected * 100.0));
    // No entropy is no temperature, where the range goes down to it.
    let down_to_none = Sampling { dynatemp_range: 1.0, ..sampling };
    assert_eq!(left(&whole(&[0.0, 800.0, 0.0], 1), &down_to_none), [1]);
}

#[test]
fn a_ban_by_text_removes_the_token_and_says_how_much_went() {
    let mut vocabulary = Vocabulary::default();
    for text in ["a", "b", "c", "b", "e"] {
        vocabulary.push(text.as_bytes(), TokenKind::Normal);
    }
    let ban = LogitBias { text: Some("b".into()), id: None, bias: f32::NEG_INFINITY };
    let sampling = Sampling { logit_bias: vec![ban], ..neutral() };
    let found = biases(&sampling, &vocabulary);
    assert_eq!(found.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 3]);
    let input = Input { biases: &found, ..whole(&percent(&FIVE), 0) };
    let trace = exact(&input, &sampling);
    let stage = &trace.stages[0];
    assert_eq!((stage.left, stage.probabilities[1], stage.probabilities[3]), (3, None, None));
    assert!((stage.removed - 0.31).abs() < 1e-6 && (stage.kept - 0.69).abs() < 1e-6);
}

#[test]
fn what_the_makers_suppress_is_gone_under_any_order_and_biases_of_one_token_add_up() {
    let mut vocabulary = Vocabulary { suppressed: vec![TokenId(0), TokenId(2)], ..Vocabulary::default() };
    for text in ["a", "b", "c", "d", "e"] {
        vocabulary.push(text.as_bytes(), TokenKind::Normal);
    }
    let bias = |id: i32, bias: f32| LogitBias { text: None, id: Some(id), bias };
    let logit_bias = vec![bias(1, 2.0), bias(2, 9.0), bias(1, -0.5)];
    let banned = f32::NEG_INFINITY;
    let own = Sampling { logit_bias, ..neutral() };
    let expected = [(TokenId(0), banned), (TokenId(1), 1.5), (TokenId(2), banned)];
    assert_eq!(biases(&own, &vocabulary), expected);
    let without = Sampling { order: vec![Stage::TopK], top_k: 2, ..own };
    let found = biases(&without, &vocabulary);
    assert_eq!(found, [expected[0], expected[2]]);
    let trace = exact(&Input { biases: &found, ..whole(&percent(&FIVE), 1) }, &without);
    let names: Vec<&str> = trace.stages.iter().map(|stage| stage.name.label()).collect();
    assert_eq!((names, trace.stages[0].left), (vec!["bias", "top-k"], 3));
    let kept = Step { id: Some(TokenId(1)), survivors: 2, ..Step::default() };
    let candidates = FIVE
        .iter()
        .zip(0..)
        .map(|(share, id)| Candidate { id: TokenId(id), logprob: (share / 100.0_f32).ln() });
    let kept = Step { candidates: candidates.collect(), ..kept };
    let [suppressed, none] = [vocabulary.suppressed.as_slice(), &[]].map(|suppressed| {
        let fates = fates(&kept, &without, 5, suppressed).unwrap();
        fates.iter().map(|fate| matches!(fate, Fate::Kept(_))).collect::<Vec<_>>()
    });
    assert_eq!(suppressed, [false, true, false, true, false]);
    assert_eq!(none, [true, true, false, false, false]);
    let zero = vec![bias(1, 2.0), bias(1, -2.0)];
    assert_eq!(biases(&Sampling { logit_bias: zero, ..neutral() }, &vocabulary), found);
}

#[test]
fn where_the_last_token_is_banned_nothing_is_left() {
    let biases = [(TokenId(0), f32::NEG_INFINITY)];
    let five = Input { biases: &biases, ..whole(&percent(&FIVE), 0) };
    let order = [Stage::TopK, Stage::LogitBias, Stage::MinP];
    for stages in [2, 3] {
        let sampling = Sampling { top_k: 1, min_p: 0.1, order: order[..stages].to_vec(), ..neutral() };
        assert_eq!(last(&five, &sampling), Err(Why::Empty));
        assert_eq!(run(&five, &sampling), Outcome::NotDetermined(Why::Empty));
    }
}

#[test]
fn a_trace_adds_up_column_by_column() {
    let sampling = Sampling { top_k: 4, top_p: 0.8, temperature: 0.5, ..neutral() };
    let trace = exact(&Input { u: Some(0.9), ..whole(&percent(&FIVE), 1) }, &sampling);
    let names: Vec<&str> = trace.stages.iter().map(|stage| stage.name.label()).collect();
    assert_eq!(names, ["top-k", "top-p", "temp"]);
    assert_eq!(trace.stages.iter().map(|stage| stage.left).collect::<Vec<_>>(), [4, 3, 3]);
    let sum = |stage: &StageTrace| stage.probabilities.iter().flatten().sum::<f32>();
    assert!(trace.stages.iter().all(|stage| (sum(stage) - 1.0).abs() < 1e-6));
    assert!((trace.stages[0].removed - 0.04).abs() < 1e-6);
    assert!((trace.stages[1].removed - 0.06 / 0.96).abs() < 1e-6);
    assert!((trace.stages[2].kept - 0.90).abs() < 1e-6 && trace.stages[2].removed.abs() < 1e-9);
    let squares = 0.25 + 0.0625 + 0.0225;
    let (from, to) = trace.interval.unwrap();
    assert!((from - 0.25 / squares).abs() < 1e-6 && (to - 0.3125 / squares).abs() < 1e-6);
    assert_eq!(trace.u, Some(0.9));
}

#[test]
fn a_greedy_choice_has_no_draw() {
    let trace = exact(&whole(&percent(&FIVE), 0), &Sampling { temperature: 0.0, ..Sampling::default() });
    assert_eq!(trace.stages.iter().map(|stage| stage.name).collect::<Vec<_>>(), [StageName::Greedy]);
    assert_eq!((trace.stages[0].left, trace.interval, trace.u), (1, None, None));
}

#[test]
fn what_needs_the_run_behind_it_is_left_to_the_engine() {
    let five = whole(&percent(&FIVE), 0);
    let dry = Sampling { dry_multiplier: 0.8, ..Sampling::default() };
    assert_eq!(run(&five, &dry), Outcome::NotDetermined(Why::State(StageName::Chain(Stage::Dry))));
    let mirostat = Sampling { mirostat: 2, ..Sampling::default() };
    assert_eq!(run(&five, &mirostat), Outcome::NotDetermined(Why::State(StageName::Mirostat)));
}

fn step(percent: &[f32], drawn: i32) -> Step {
    let candidates: Vec<Candidate> =
        (0..).zip(percent).map(|(id, p)| Candidate { id: TokenId(id), logprob: (p / 100.0).ln() }).collect();
    let logprob = candidates.get(drawn as usize).map_or(-12.0, |candidate| candidate.logprob);
    Step { id: Some(TokenId(drawn)), candidates, logprob, ..Step::default() }
}

const PARIS: [f32; 12] = [77.25, 6.45, 1.25, 0.99, 0.93, 0.89, 0.73, 0.72, 0.64, 0.41, 0.40, 0.33];

#[test]
fn twelve_of_forty_settle_the_last_column_but_not_the_first() {
    let step = step(&PARIS, 0);
    let input = Input::kept(&step, 50_000, &[]).unwrap();
    let settled = last(&input, &Sampling::default()).unwrap();
    assert_eq!(kept(&settled), [(0, "95.70".into()), (1, "4.30".into())]);
    assert_eq!(settled.fate(TokenId(2)), Some(Fate::Cut(Some(StageName::Chain(Stage::MinP)))));
    assert_eq!(
        run(&input, &Sampling::default()),
        Outcome::NotDetermined(Why::Unlisted(StageName::Chain(Stage::TopK)))
    );
}

#[test]
fn penalties_on_kept_probabilities_want_logits_only_where_they_divide() {
    let step = step(&PARIS, 0);
    let recent = [TokenId(1)];
    let input = Input::kept(&step, 50_000, &recent).unwrap();
    let divides = Sampling { repeat_penalty: 1.1, ..Sampling::default() };
    assert_eq!(last(&input, &divides), Err(Why::Logits(StageName::Chain(Stage::Penalties))));
    let subtracts = Sampling { presence_penalty: 1.0, ..Sampling::default() };
    assert_eq!(kept(&last(&input, &subtracts).unwrap()), [(0, "100.00".into())]);
    let other = [TokenId(40_000)];
    let input = Input::kept(&step, 50_000, &other).unwrap();
    assert_eq!(kept(&last(&input, &divides).unwrap()).len(), 2, "an unlisted token only gets unlikelier");
}

#[test]
fn a_reply_is_judged_step_by_step_and_open_steps_are_counted() {
    let steps = [step(&PARIS, 0), step(&PARIS, 1), step(&PARIS, 5), step(&[2.0; 12], 0), Step::default()];
    let reply = Reply { prompt: &[], steps: &steps, taken: 0, vocabulary: 50_000, biases: &[] };
    let judged = reply_likelihood(&reply, &Sampling::default());
    assert_eq!((judged.kept, judged.cut, judged.open), (2, 1, 2));
    assert!((judged.logprob - (0.9570_f64.ln() + 0.04295_f64.ln())).abs() < 1e-3, "{judged:?}");
    assert!((judged.choices().unwrap() - (-judged.logprob / 2.0).exp()).abs() < 1e-9);
    let taken = reply_likelihood(&Reply { taken: 1, ..reply }, &Sampling::default());
    assert_eq!((taken.kept, taken.steps[0]), (1, StepLikelihood::Taken));
}

#[test]
fn xtc_counts_with_its_chance_in_a_reply() {
    let steps = [step(&[60.0, 40.0], 0), step(&[60.0, 40.0], 1)];
    let reply = Reply { prompt: &[], steps: &steps, taken: 0, vocabulary: 2, biases: &[] };
    let sampling = Sampling { xtc_probability: 0.5, xtc_threshold: 0.1, ..neutral() };
    let probabilities: Vec<String> = reply_likelihood(&reply, &sampling)
        .steps
        .iter()
        .map(|step| match step {
            StepLikelihood::Kept(p) => format!("{p:.2}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(probabilities, ["0.30", "0.70"]);
}

pub(super) fn settings() -> impl Strategy<Value = Sampling> {
    let cuts = (
        prop_oneof![Just(0_u32), 1_u32..60],
        prop_oneof![Just(1.0_f32), 0.05_f32..0.99],
        prop_oneof![Just(0.0_f32), 0.001_f32..0.5],
        prop_oneof![6 => Just(1.0_f32), 1 => 0.1_f32..0.9],
        prop_oneof![6 => Just(-1.0_f32), 1 => 0.3_f32..3.0],
        prop_oneof![3 => Just(0_u32), 1 => 1_u32..6],
    );
    let others = (
        prop_oneof![Just(1.0_f32), Just(0.0_f32), 0.2_f32..2.0],
        prop_oneof![6 => Just(0.0_f32), 1 => 0.1_f32..0.5],
        prop_oneof![3 => Just(0.0_f32), 1 => Just(1.0_f32)],
        0.02_f32..0.6,
        prop_oneof![2 => Just(0.0_f32), 1 => 0.1_f32..1.5],
        Just(Stage::DEFAULT_ORDER.to_vec()).prop_shuffle(),
        any::<bool>(),
    );
    (cuts, others).prop_map(|((top_k, top_p, min_p, typical_p, top_n_sigma, min_keep), others)| {
        let (temperature, dynatemp_range, xtc_probability, xtc_threshold, presence_penalty, order, shuffled) =
            others;
        Sampling {
            top_k,
            top_p,
            min_p,
            typical_p,
            top_n_sigma,
            min_keep,
            temperature,
            dynatemp_range,
            xtc_probability,
            xtc_threshold,
            presence_penalty,
            order: if shuffled { order } else { Stage::DEFAULT_ORDER.to_vec() },
            ..Sampling::default()
        }
    })
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 2e-5 + 1e-4 * a.abs()
}

fn same_fate(part: Fate, whole: Fate) -> bool {
    match (part, whole) {
        (Fate::Kept(a), Fate::Kept(b)) => near(a, b),
        (Fate::Cut(None), Fate::Cut(_)) => true,
        (a, b) => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_a_part_settles_is_what_the_whole_gives(
        logits in prop::collection::vec(-5.0_f32..5.0, 2..90),
        scale in 0.3_f32..3.0,
        listed in 1_usize..40,
        drawn in any::<prop::sample::Index>(),
        sampling in settings(),
        recent in prop::collection::vec(0_i32..90, 0..12),
        bias in prop::option::of((0_i32..90, prop_oneof![Just(f32::NEG_INFINITY), -3.0_f32..3.0])),
    ) {
        let logits: Vec<f32> = logits.iter().map(|logit| logit * scale).collect();
        let all = Distribution::new(logits.clone()).unwrap();
        let drawn = all.order()[drawn.index(logits.len())];
        let recent: Vec<TokenId> =
            recent.into_iter().filter(|id| (*id as usize) < logits.len()).map(TokenId).collect();
        let biases: Vec<(TokenId, f32)> = bias
            .into_iter()
            .filter(|(id, _)| (*id as usize) < logits.len())
            .map(|(id, bias)| (TokenId(id), bias))
            .collect();
        let step = all.step(drawn, b"", listed).unwrap();
        let part = Input { biases: &biases, ..Input::kept(&step, logits.len(), &recent).unwrap() };
        let whole = Input { biases: &biases, recent: &recent, ..Input::whole(&all, drawn) };
        if let Ok(settled) = last(&part, &sampling) {
            let truth = last(&whole, &sampling).unwrap();
            prop_assert_eq!(settled.left, truth.left);
            for (id, fate) in &settled.fates {
                let other = truth.fate(*id).unwrap();
                prop_assert!(same_fate(*fate, other), "{:?}: {:?} is {:?}", id, fate, other);
            }
        }
        if let Outcome::Exact(settled) = run(&part, &sampling) {
            let truth = exact(&Input { list: logits.len(), ..whole }, &sampling);
            prop_assert!((settled.entropy - truth.entropy).abs() < 1e-4);
            prop_assert_eq!(settled.stages.len(), truth.stages.len());
            for (a, b) in settled.stages.iter().zip(&truth.stages) {
                prop_assert_eq!((a.name, a.left), (b.name, b.left));
                prop_assert!(near(a.removed.into(), b.removed.into()) && near(a.kept.into(), b.kept.into()));
                prop_assert!((a.entropy - b.entropy).abs() < 1e-3, "{} {}", a.entropy, b.entropy);
                for (place, id) in settled.tokens.iter().enumerate() {
                    let other = truth.tokens.iter().position(|other| other == id).unwrap();
                    match (a.probabilities[place], b.probabilities[other]) {
                        (Some(p), Some(q)) => prop_assert!(near(p.into(), q.into())),
                        (p, q) => prop_assert_eq!(p, q),
                    }
                }
            }
            if let (Some(a), Some(b)) = (settled.interval, truth.interval) {
                prop_assert!(near(a.0, b.0) && near(a.1, b.1));
            }
        }
    }

    #[test]
    fn the_columns_of_a_whole_list_add_up(
        logits in prop::collection::vec(-8.0_f32..8.0, 1..60),
        sampling in settings(),
    ) {
        let all = Distribution::new(logits.clone()).unwrap();
        let input = Input { list: logits.len(), ..Input::whole(&all, all.order()[0]) };
        let trace = exact(&input, &sampling);
        for stage in &trace.stages {
            let sum: f32 = stage.probabilities.iter().flatten().sum();
            prop_assert!((sum - 1.0).abs() < 1e-4);
            prop_assert_eq!(stage.left as usize, stage.probabilities.iter().flatten().count());
            let model: f32 = stage.probabilities.iter().zip(&trace.model).filter(|(p, _)| p.is_some()).map(|(_, m)| m).sum();
            prop_assert!((model - stage.kept).abs() < 1e-4);
            prop_assert!(stage.entropy >= 0.0 && stage.entropy <= (stage.left as f32).ln() + 1e-4);
        }
        let settled = last(&input, &sampling).unwrap();
        let left = trace.stages.last().map_or(trace.vocabulary, |stage| stage.left);
        prop_assert_eq!(settled.left, left);
    }
}

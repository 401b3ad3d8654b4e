//! What is known of tokens that are not listed: bounds that are worked out by hand, each as narrow as it can be, and where
//! they settle nothing.

use super::tests::neutral;
use super::*;
use crate::token::Candidate;

/// What is settled of the last column where so many of the likeliest are kept.
fn settled(logits: &[f32], drawn: i32, listed: usize, sampling: &Sampling) -> Result<Last, Why> {
    let all = Distribution::new(logits.to_vec()).unwrap();
    let step = all.step(TokenId(drawn), b"", listed).unwrap();
    last(&Input::kept(&step, all.len(), &[]).unwrap(), sampling)
}

#[test]
fn between_tokens_that_are_equally_likely_nothing_is_settled_by_those_that_are_listed() {
    let left = |settled: Result<Last, Why>| settled.map(|last| last.left);
    let two = Sampling { top_k: 2, ..neutral() };
    let unlisted = |stage| Err(Why::Unlisted(stage));
    assert_eq!(left(settled(&[0.0; 3], 0, 2, &two)), Ok(2), "the list leads");
    // The third was drawn, and the second may come before it.
    assert_eq!(left(settled(&[0.0; 3], 2, 1, &two)), unlisted(StageName::Chain(Stage::TopK)));
}

#[test]
fn a_token_that_is_brought_down_to_unlisted_ones_may_come_after_them() {
    let listed = [(5, -1.0), (0, -2.0)].map(|(id, logprob)| Candidate { id: TokenId(id), logprob });
    let step = Step { id: Some(TokenId(0)), candidates: listed.to_vec(), ..Step::default() };
    let recent = [TokenId(5)];
    let input = Input::kept(&step, 10, &recent).unwrap();
    let left = |input: &Input<'_>, sampling| last(input, &sampling).map(|last| last.left);
    let penalised = Sampling { presence_penalty: 1.0, ..neutral() };
    let unlisted = |stage| Err(Why::Unlisted(stage));
    assert_eq!(left(&input, Sampling { top_k: 1, ..penalised.clone() }), Ok(1));
    let open = unlisted(StageName::Chain(Stage::TopK));
    assert_eq!(left(&input, Sampling { top_k: 2, ..penalised.clone() }), open);
    let greedy = Sampling { temperature: 0.0, ..penalised };
    assert_eq!(left(&input, greedy.clone()), Ok(1));
    let banned = Input { biases: &[(TokenId(0), f32::NEG_INFINITY)], ..input };
    assert_eq!(left(&banned, greedy), unlisted(StageName::Greedy));
}

#[test]
fn heat_makes_much_of_unlisted_tokens_that_round_to_nothing() {
    // Seven that share nearly everything: their log-probabilities add up to a little more than all there is.
    let mut logits = vec![-29.3; 50_000];
    logits[..7].fill(0.0);
    let hot = settled(&logits, 0, 7, &Sampling { temperature: 3.0, ..neutral() });
    assert_eq!(hot, Err(Why::Unlisted(StageName::Chain(Stage::Temperature))));
    let cool = settled(&logits, 0, 7, &Sampling { temperature: 0.5, ..neutral() }).unwrap();
    assert!(cool.outside < 1e-6);
}

/// A step that keeps these probabilities.
fn step(kept: &[f32]) -> Step {
    let candidates: Vec<Candidate> =
        (0..).map(TokenId).zip(kept).map(|(id, p)| Candidate { id, logprob: p.ln() }).collect();
    Step { id: Some(TokenId(0)), logprob: candidates[0].logprob, candidates, ..Step::default() }
}

/// Half of the probability, a fifth, and four tokens that share the rest evenly. By weight: 1, 0.4, and 0.6 of which none
/// is above 0.4.
fn six() -> Step {
    let entropy = -(0.5_f32 * 0.5_f32.ln() + 0.2 * 0.2_f32.ln() + 0.3 * 0.075_f32.ln());
    Step { entropy, ..step(&[0.5, 0.2]) }
}

/// The line after some stages, or why it ended.
fn after(step: &Step, vocabulary: usize, stages: &[Stage], given: &Given<'_>) -> Result<Line, Why> {
    let recent: Vec<TokenId> = given.recent.iter().copied().map(TokenId).collect();
    let biases: Vec<_> = given.biases.iter().map(|(id, bias)| (TokenId(*id), *bias)).collect();
    let kept = Input::kept(step, vocabulary, &recent).unwrap();
    let input = Input { biases: &biases, xtc_acts: given.xtc_acts, ..kept };
    let mut line = input.line();
    for stage in stages {
        stages::apply(&mut line, StageName::Chain(*stage), &input, &given.sampling)?;
    }
    Ok(line)
}

#[derive(Default)]
struct Given<'a> {
    sampling: Sampling,
    recent: &'a [i32],
    biases: &'a [(i32, f32)],
    xtc_acts: Option<bool>,
}

/// Of tokens that are not listed how many there are and what they weigh, at least and at most.
type Rest = Option<((usize, usize), (f64, f64))>;

/// The listed tokens, and the rest.
fn seen(line: &Line) -> (Vec<i32>, Rest) {
    let rounded = |weight: f64| (weight * 1e3).round() / 1e3;
    let tail = line.tail.as_ref().map(|tail| (tail.count, (rounded(tail.weight.0), rounded(tail.weight.1))));
    (line.alive().map(|entry| entry.id.0).collect(), tail)
}

const BOTH: [i32; 2] = [0, 1];

fn check(stage: Stage, sampling: Sampling, expected: Result<(&[i32], Rest), Why>) {
    let found = after(&six(), 6, &[stage], &Given { sampling, ..Given::default() }).map(|line| seen(&line));
    assert_eq!(found, expected.map(|(listed, tail)| (listed.to_vec(), tail)));
}

#[test]
fn a_tail_weighs_what_it_can_from_an_even_one_to_a_steep_one() {
    let heat = |temperature| Sampling { temperature, ..neutral() };
    check(Stage::Temperature, heat(0.5), Ok((&BOTH, Some(((4, 4), (0.09, 0.24))))));
    check(Stage::Temperature, heat(1.0), Ok((&BOTH, Some(((4, 4), (0.6, 0.6))))));
    check(Stage::Temperature, heat(2.0), Ok((&BOTH, Some(((4, 4), (0.949, 1.549))))));
    let after = |step: &Step, vocabulary, temperature| {
        after(
            step,
            vocabulary,
            &[Stage::Temperature],
            &Given { sampling: heat(temperature), ..Given::default() },
        )
        .unwrap()
    };
    assert!(after(&six(), 6, 1.0).total().is_some(), "a temperature of 1 changes nothing");
    // One token that is not listed, with a fifth.
    assert_eq!(seen(&after(&step(&[0.5, 0.3]), 3, 0.5)), (BOTH.to_vec(), Some(((1, 1), (0.16, 0.24)))));
    // Two that are not listed, of next to nothing: what is left for them is rounding.
    let next_to_nothing = after(&step(&[0.5, 0.5, 1e-13]), 5, 2.0);
    assert_eq!(seen(&next_to_nothing), (vec![0, 1, 2], Some(((2, 2), (0.0, 0.0)))));
    let top_k = |top_k| Sampling { top_k, ..neutral() };
    check(Stage::TopK, top_k(1), Ok((&[0], None)));
    check(Stage::TopK, top_k(2), Ok((&BOTH, None)));
    check(Stage::TopK, top_k(3), Ok((&BOTH, Some(((1, 1), (0.15, 0.4))))));
    check(Stage::TopK, top_k(5), Ok((&BOTH, Some(((3, 3), (0.45, 0.6))))));
    check(Stage::TopK, top_k(6), Ok((&BOTH, Some(((4, 4), (0.6, 0.6))))));
}

#[test]
fn of_a_tail_that_is_known_less_well_top_k_leaves_what_is_sure() {
    let sampling = Sampling { top_k: 3, min_p: 0.3, ..neutral() };
    let given = Given { sampling, biases: &[(4, -1.0)], ..Given::default() };
    let seen = |stages| seen(&after(&six(), 6, stages, &given).unwrap());
    assert_eq!(seen(&[Stage::LogitBias, Stage::TopK]), (BOTH.to_vec(), Some(((1, 1), (0.05, 0.4)))));
    assert_eq!(seen(&[Stage::MinP, Stage::TopK]), (BOTH.to_vec(), Some(((0, 1), (0.0, 0.4)))));
}

#[test]
fn top_p_is_settled_where_the_sum_crosses_beyond_rounding() {
    let top_p = |top_p| Sampling { top_p, ..neutral() };
    let unsure = |count, most| Some(((0, count), (0.0, most)));
    check(Stage::TopP, top_p(0.4999), Ok((&[0], None)));
    check(Stage::TopP, top_p(0.499_999), Ok((&[0], unsure(5, 1.0))));
    check(Stage::TopP, top_p(0.500_001), Ok((&[0], unsure(5, 1.0))));
    check(Stage::TopP, top_p(0.5001), Ok((&BOTH, None)));
    check(Stage::TopP, top_p(0.6999), Ok((&BOTH, None)));
    check(Stage::TopP, top_p(0.700_001), Ok((&BOTH, unsure(4, 0.6))));
    check(Stage::TopP, top_p(0.8), Ok((&BOTH, unsure(4, 0.6))));
    check(Stage::TopP, Sampling { min_keep: 2, ..top_p(0.3) }, Ok((&BOTH, None)));
    check(Stage::TopP, Sampling { min_keep: 3, ..top_p(0.3) }, Ok((&BOTH, unsure(4, 0.6))));
    // Two that are not listed are lighter by an unknown amount: the sum is over 1.4 to 2.
    let lowered = |top_p| {
        let given = Given {
            sampling: Sampling { top_p, ..neutral() },
            biases: &[(2, -1.0), (4, -2.0)],
            ..Given::default()
        };
        seen(&after(&six(), 6, &[Stage::LogitBias, Stage::TopP], &given).unwrap())
    };
    assert_eq!(lowered(0.45), (vec![0], None));
    assert_eq!(lowered(0.6), (vec![0], unsure(5, 1.0)));
    assert_eq!(lowered(0.75), (vec![0, 1], unsure(4, 0.6)));
}

#[test]
fn min_p_cuts_the_tail_where_not_even_its_bound_is_enough() {
    let min_p = |min_p, min_keep| Sampling { min_p, min_keep, ..neutral() };
    let unsure = Some(((0, 4), (0.0, 0.6)));
    check(Stage::MinP, min_p(0.5, 0), Ok((&[0], None)));
    check(Stage::MinP, min_p(0.3, 0), Ok((&BOTH, unsure)));
    check(Stage::MinP, min_p(0.400_002, 0), Ok((&[0], unsure)));
    check(Stage::MinP, min_p(0.4001, 0), Ok((&[0], None)));
    check(Stage::MinP, min_p(0.5, 1), Ok((&[0], None)));
    check(Stage::MinP, min_p(0.5, 2), Ok((&BOTH, None)));
    check(Stage::MinP, min_p(0.5, 3), Err(Why::Unlisted(StageName::Chain(Stage::MinP))));
    check(Stage::MinP, min_p(0.3, 4), Ok((&BOTH, unsure)));
    // One listed token is as likely as any other can be; brought below the bound, it may not be the likeliest any more.
    let one = Given { sampling: min_p(0.3, 0), ..Given::default() };
    let alone = seen(&after(&step(&[0.5]), 5, &[Stage::MinP], &one).unwrap());
    assert_eq!(alone, (vec![0], Some(((0, 4), (0.0, 1.0)))));
    let lowered = Given { biases: &[(0, f32::NEG_INFINITY), (1, -3.0)], ..one };
    let open = after(&six(), 6, &[Stage::LogitBias, Stage::MinP], &lowered).map(|line| seen(&line));
    assert_eq!(open, Err(Why::Unlisted(StageName::Chain(Stage::MinP))));
    let four = step(&[0.5, 0.2, 0.15, 0.02]);
    let given = Given { sampling: min_p(0.35, 3), ..Given::default() };
    assert_eq!(seen(&after(&four, 9, &[Stage::MinP], &given).unwrap()), (vec![0, 1, 2], None));
}

#[test]
fn xtc_drops_what_is_above_its_threshold_in_every_case_or_says_that_it_cannot_tell() {
    // Ten more share 15 percent, none above five.
    let three = step(&[0.5, 0.3, 0.05]);
    let with = |xtc_threshold: f32, min_keep: u32, stages: &[Stage]| {
        let sampling = Sampling { xtc_probability: 1.0, xtc_threshold, min_keep, min_p: 0.01, ..neutral() };
        let given = Given { sampling, ..Given::default() };
        after(&three, 13, stages, &given).map(|line| seen(&line).0)
    };
    let alone = |xtc_threshold, min_keep| with(xtc_threshold, min_keep, &[Stage::Xtc]);
    let open = Err(Why::Unlisted(StageName::Chain(Stage::Xtc)));
    let (all, dropped) = (Ok(vec![0, 1, 2]), Ok(vec![1, 2]));
    assert_eq!(alone(0.51, 0), all);
    assert_eq!(alone(0.3001, 0), all);
    assert_eq!(alone(0.300_001, 0), open);
    assert_eq!(alone(0.299_999, 0), open);
    assert_eq!(alone(0.2999, 0), dropped);
    assert_eq!(alone(0.0501, 0), dropped);
    assert_eq!(alone(0.050_003, 0), open);
    assert_eq!(alone(0.04, 0), open);
    assert_eq!([alone(0.2, 12), alone(0.2, 13)], [dropped.clone(), all.clone()]);
    // Min-p before it leaves three to thirteen.
    let unsure = |min_keep| with(0.2, min_keep, &[Stage::MinP, Stage::Xtc]);
    assert_eq!([unsure(2), unsure(3), unsure(12)], [dropped, open.clone(), open]);
}

#[test]
fn what_is_done_to_unlisted_tokens_only_widens_the_bounds_or_settles_nothing() {
    let biased = |biases: &[(i32, f32)]| {
        after(&six(), 6, &[Stage::LogitBias], &Given { biases, ..Given::default() }).map(|line| seen(&line))
    };
    let both = |tail| Ok((BOTH.to_vec(), Some(tail)));
    assert_eq!(biased(&[(4, -1.0)]), both(((3, 4), (0.2, 0.6))));
    assert_eq!(biased(&[(4, -1.0), (5, f32::NEG_INFINITY)]), both(((2, 4), (0.0, 0.6))));
    assert_eq!(biased(&[(4, -1.0), (4, 1.0)]), both(((4, 4), (0.6, 0.6))));
    assert_eq!(biased(&[(4, 1.0)]), Err(Why::Unlisted(StageName::Chain(Stage::LogitBias))));
    let penalised = |recent: &[i32], sampling: Sampling| {
        after(&six(), 6, &[Stage::Penalties], &Given { sampling, recent, ..Given::default() })
            .map(|line| seen(&line))
    };
    let open = Err(Why::Unlisted(StageName::Chain(Stage::Penalties)));
    let presence = |presence_penalty| Sampling { presence_penalty, ..neutral() };
    assert_eq!(penalised(&[4, 5, 5], presence(0.5)), both(((2, 4), (0.0, 0.6))));
    assert_eq!(penalised(&[4], presence(-0.5)), open);
    assert_eq!(penalised(&[4], Sampling { frequency_penalty: -0.5, ..neutral() }), open);
    assert_eq!(penalised(&[4], Sampling { repeat_penalty: 0.9, ..neutral() }), open);
    // The likeliest is brought down to 0.607, which weighs 1 from there on.
    assert_eq!(penalised(&[0, 4], presence(0.5)), both(((3, 4), (0.33, 0.989))));
    let logits = Err(Why::Logits(StageName::Chain(Stage::Penalties)));
    assert_eq!(penalised(&[0], Sampling { repeat_penalty: 0.9, ..neutral() }), logits);
    // Raised to 2.718 of a weight, which the others are measured against.
    assert_eq!(penalised(&[0], presence(-1.0)), both(((4, 4), (0.221, 0.221))));
}

#[test]
fn a_ban_of_the_likeliest_leaves_the_entropy_of_the_others() {
    let given = Given { biases: &[(0, f32::NEG_INFINITY), (4, 1.0), (4, -1.0)], ..Given::default() };
    let line = after(&six(), 6, &[Stage::LogitBias], &given).unwrap();
    assert_eq!(seen(&line), (vec![1], Some(((4, 4), (1.5, 1.5)))));
    let truth = -(0.4_f64 * 0.4_f64.ln() + 0.6 * 0.15_f64.ln());
    assert!((line.entropy().unwrap() - truth).abs() < 1e-5);
}

#[test]
fn a_banned_token_keeps_the_stage_that_banned_it_where_later_ones_are_open_for_a_while() {
    let step = step(&[0.5, 0.25, 0.1]);
    let biases = [(TokenId(1), f32::NEG_INFINITY)];
    let input = Input { biases: &biases, ..Input::kept(&step, 100, &[]).unwrap() };
    let last = last(&input, &Sampling { top_k: 3, min_p: 0.4, ..neutral() }).unwrap();
    let cut = |stage| Some(Fate::Cut(Some(StageName::Chain(stage))));
    assert_eq!([last.fate(TokenId(1)), last.fate(TokenId(2))], [cut(Stage::LogitBias), cut(Stage::MinP)]);
}

#[test]
fn where_chance_decides_whether_the_list_was_sorted_the_draw_has_no_interval() {
    let logits = [0.25_f32, 0.5, 0.15, 0.1].map(f32::ln);
    let all = Distribution::new(logits.to_vec()).unwrap();
    let interval = |xtc_acts, top_k| {
        let sampling = Sampling { xtc_probability: 0.5, xtc_threshold: 0.3, top_k, ..neutral() };
        match run(&Input { xtc_acts, ..Input::whole(&all, TokenId(1)) }, &sampling) {
            Outcome::Exact(trace) => {
                trace.interval.map(|(from, to)| [from, to].map(|at| (at * 100.0).round()))
            }
            Outcome::NotDetermined(why) => panic!("{why}"),
        }
    };
    assert_eq!(interval(Some(false), 0), Some([25.0, 75.0]));
    assert_eq!(interval(Some(true), 0), Some([0.0, 50.0]));
    assert_eq!(interval(None, 0), None);
    assert_eq!(interval(None, 4), Some([0.0, 50.0]), "it was sorted before");
}

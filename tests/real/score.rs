//! Scoring and looking ahead on the two default models: figures against transformers' (see
//! `data/reference/README.md`), against the live numbers of a reply, and what they leave in the cache.
//!
//! Invariant: one loaded model per file and process, behind one lock; no test depends on another's cache.

mod reread;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::kit::{Model as Fixture, exact_gemma, exact_smollm, gemma, smollm};
use crate::noise::{ORDER, ROUNDING};
use glassbox::chat::{Intervention, Usage};
use glassbox::engine::model::fit;
use glassbox::engine::protocol::{
    Beam, BeamPaths, Event, Failure, FailureKind, Generate, Job, Path, Prompt, PromptFacts, Request, Score,
};
use glassbox::sampling::Sampling;
use glassbox::token::{Step, TokenId};

/// A scored text.
struct Scored {
    steps: Vec<Step>,
    decoded: u32,
    progress: Vec<(u32, u32)>,
    slices: Vec<usize>,
}

impl Fixture {
    fn score(&mut self, ids: &[TokenId], from: u32) -> Result<Scored, Failure> {
        let request = Score { ids: ids.to_vec(), from, top_logprobs: 20, interventions: Vec::new() };
        self.score_as(request)
    }

    fn score_as(&mut self, request: Score) -> Result<Scored, Failure> {
        let from = request.from.max(1);
        let mut events = self.handle(Request::Job(Job::Score(Box::new(request))));
        let decoded = match events.pop().unwrap() {
            Event::Scored { decoded, .. } => decoded,
            Event::Failed(failure) => return Err(failure),
            other => panic!("{other:?}"),
        };
        let mut scored = Scored { steps: Vec::new(), decoded, progress: Vec::new(), slices: Vec::new() };
        for event in events {
            match event {
                Event::Scores { first, steps } => {
                    assert_eq!(first, from + scored.steps.len() as u32);
                    scored.slices.push(steps.len());
                    scored.steps.extend(steps);
                }
                Event::PromptProgress { done, total } => scored.progress.push((done, total)),
                other => panic!("{other:?}"),
            }
        }
        Ok(scored)
    }

    /// Fills the cache with something else.
    fn forget(&mut self) {
        let ids = self.ids("Something else.");
        self.score(&ids, 1).unwrap();
    }

    fn look_ahead(&mut self, ids: &[TokenId], width: u32, depth: u32) -> Result<BeamPaths, Failure> {
        let request = Beam { ids: ids.to_vec(), width, depth, interventions: Vec::new() };
        match self.handle(Request::Job(Job::Beam(Box::new(request)))).pop().unwrap() {
            Event::BeamPaths(looked) => Ok(*looked),
            Event::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    /// A greedy reply that goes on from the ids.
    fn reply(&mut self, ids: &[TokenId], max_tokens: u32) -> (Vec<Step>, Usage) {
        let request = Generate {
            prompt: Prompt::Ids { ids: ids.to_vec(), taken: Vec::new(), chat: false },
            sampling: Sampling { temperature: 0.0, max_tokens, ..Sampling::default() },
            top_logprobs: 20,
            begun: 0,
            interventions: Vec::new(),
            allow: None,
        };
        let mut events = self.handle(Request::Job(Job::Generate(Box::new(request))));
        let Some(Event::Done { usage, .. }) = events.pop() else { panic!("the reply failed") };
        let facts = events.iter().find_map(|event| match event {
            Event::Prompt(facts) => Some(facts.clone()),
            _ => None,
        });
        assert_eq!(facts.unwrap_or_else(PromptFacts::default).ids, ids);
        let steps = events.into_iter().filter_map(|event| match event {
            Event::Token(written) => Some(written.step),
            _ => None,
        });
        (steps.collect(), usage)
    }
}

const OPENING: &str = "The lighthouse keeper wrote in his log every evening. On the third of May he wrote:";

fn text(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/score").join(file);
    std::fs::read_to_string(path).unwrap()
}

/// How far a text may be from the reference: perplexity as a share, and each token's ln p in the mean, nats.
type Tolerance = (f64, f64);
const CLOSE: Tolerance = (0.01, 0.1);
/// What 8-bit activations cost a base model of this size in languages it knows less well: transformers with
/// its activations rounded in the same way is as far from itself (see `data/reference/README.md`).
const ROUNDED: Tolerance = (0.03, 0.15);

/// Every text of a reference file: ids equal, numbers within the tolerance.
fn agrees_with_reference(fixture: &mut Fixture, reference: &str, tolerance: fn(&str) -> Tolerance) {
    let reference: serde_json::Value = serde_json::from_str(reference).unwrap();
    let mut failures = Vec::new();
    for entry in reference["texts"].as_array().unwrap() {
        let file = entry["file"].as_str().unwrap();
        let ids = fixture.ids(&text(file));
        let expected: Vec<TokenId> = serde_json::from_value(entry["ids"].clone()).unwrap();
        assert_eq!(ids, expected, "{file}");
        let logprobs: Vec<f64> =
            entry["logprobs"].as_array().unwrap()[1..].iter().map(|value| value.as_f64().unwrap()).collect();

        let scored = fixture.score(&ids, 1).unwrap();
        assert_eq!(scored.steps.len(), logprobs.len());
        let ours: Vec<f64> = scored.steps.iter().map(|step| f64::from(step.logprob)).collect();
        let count = ours.len() as f64;
        let perplexity = |logprobs: &[f64]| (-logprobs.iter().sum::<f64>() / count).exp();
        let off = (perplexity(&ours) / perplexity(&logprobs) - 1.0).abs();
        let mean = ours.iter().zip(&logprobs).map(|(a, b)| (a - b).abs()).sum::<f64>() / count;
        let line = format!(
            "{file}: {count} tokens, perplexity {:.4} against {:.4} ({:.2} %), mean difference {mean:.4} nats",
            perplexity(&ours),
            perplexity(&logprobs),
            off * 100.0
        );
        println!("{line}");
        let (share, nats) = tolerance(file);
        if off >= share || mean >= nats {
            failures.push(line);
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_default_model_scores_as_transformers_does() {
    let reference = include_str!("../data/reference/score-smollm2-135m-instruct-q4_1.json");
    agrees_with_reference(&mut exact_smollm(), reference, |_| CLOSE);
    agrees_with_reference(&mut smollm(), reference, |_| ROUNDED);
}

#[test]
fn gemma_scores_as_transformers_does() {
    let reference = include_str!("../data/reference/score-gemma-3-270m-q4_k_m.json");
    agrees_with_reference(&mut gemma(), reference, |file| match file {
        "english.txt" | "code.txt" => CLOSE,
        _ => ROUNDED,
    });
}

fn as_live(fixture: &mut Fixture) {
    let prompt = fixture.ids(OPENING);
    let (live, _) = fixture.reply(&prompt, 60);
    assert!(live.len() > 20, "{}", live.len());
    let ids: Vec<TokenId> = prompt.iter().copied().chain(live.iter().map(|step| step.id.unwrap())).collect();
    let scored = fixture.score(&ids, prompt.len() as u32).unwrap();
    assert_eq!(scored.steps.len(), live.len());
    let (mut sum, mut most) = (0.0, 0.0_f32);
    for (live, scored) in live.iter().zip(&scored.steps) {
        assert_eq!((live.id, &live.bytes), (scored.id, &scored.bytes));
        let difference = (live.logprob - scored.logprob).abs();
        assert!(difference < ORDER.nats(), "{live:?} {scored:?}");
        assert!((live.entropy - scored.entropy).abs() < ORDER.nats(), "{live:?} {scored:?}");
        most = difference.max(most);
        sum += difference;
    }
    let mean = sum / live.len() as f32;
    println!("live against scored: mean {mean:.6} nats, at most {most:.6}");
    assert!(mean < 0.005, "{mean}");
}

#[test]
fn a_reply_scored_afterwards_has_the_numbers_it_was_written_with() {
    as_live(&mut exact_smollm());
    as_live(&mut exact_gemma());
}

#[test]
fn a_scored_prompt_is_not_read_again_for_the_reply() {
    let mut fixture = smollm();
    let ids = fixture.ids(&text("english.txt"));
    fixture.forget();
    let scored = fixture.score(&ids, 1).unwrap();
    assert_eq!(scored.decoded as usize, ids.len() - 1);
    let (_, usage) = fixture.reply(&ids, 1);
    assert_eq!(usage.reused_tokens as usize, ids.len() - 1);
}

#[test]
fn scoring_the_end_of_a_text_reads_only_that_end() {
    let mut fixture = exact_smollm();
    let ids = fixture.ids(&text("english.txt"));
    let whole = fixture.score(&ids, 1).unwrap();
    let from = ids.len() - 100;
    let end = fixture.score(&ids, from as u32).unwrap();
    assert_eq!((end.decoded, end.steps.len()), (100, 100));
    for (a, b) in whole.steps[from - 1..].iter().zip(&end.steps) {
        assert!((a.logprob - b.logprob).abs() < ORDER.nats(), "{a:?} {b:?}");
    }
}

#[test]
fn scores_come_in_slices_with_progress_and_true_ranks() {
    let mut fixture = smollm();
    let ids = fixture.ids(&text("english.txt"));
    let scored = fixture.score(&ids, 200).unwrap();
    let most = fit::OUTPUT_ROWS as usize;
    assert!(scored.slices.len() > 1);
    assert_eq!(scored.slices.iter().sum::<usize>(), ids.len() - 200);
    assert!(scored.slices.iter().all(|slice| *slice <= most), "{:?}", scored.slices);
    assert!(scored.progress.is_sorted() && scored.progress.len() >= scored.slices.len());
    assert_eq!(scored.progress.last(), Some(&(scored.decoded, scored.decoded)));
    for step in &scored.steps {
        assert_eq!(step.candidates.len(), 20);
        match step.chosen_index() {
            Some(index) => assert_eq!(step.rank as usize, index + 1, "{step:?}"),
            None => assert!(step.rank > 20 && step.logprob <= step.candidates[19].logprob, "{step:?}"),
        }
    }
}

#[test]
fn a_stopped_score_ends_within_100_ms_and_leaves_a_true_cache() {
    let mut fixture = smollm();
    let ids = fixture.ids(&text("arabic.txt"));
    fixture.forget();
    let first = |event: &Event| matches!(event, Event::Scores { .. });
    let (answer, took) = fixture.cancelled(first, |fixture| fixture.score(&ids, 1));
    assert_eq!(answer.err().unwrap().kind, FailureKind::Cancelled);
    assert!(took < Duration::from_millis(100), "{took:?}");

    let (reused, usage) = fixture.reply(&ids[..300], 8);
    assert!((64..300).contains(&(usage.reused_tokens as usize)), "{usage:?}");
    fixture.forget();
    let (fresh, usage) = fixture.reply(&ids[..300], 8);
    assert_eq!(usage.reused_tokens, 0);
    assert!((reused[0].logprob - fresh[0].logprob).abs() < ROUNDING.nats(), "{:?} {:?}", reused[0], fresh[0]);
}

#[test]
fn a_score_cancelled_before_it_starts_still_ends() {
    let mut fixture = smollm();
    fixture.cancel_next();
    let ids = fixture.ids("One two three");
    assert_eq!(fixture.score(&ids, 1).err().unwrap().kind, FailureKind::Cancelled);
    assert_eq!(fixture.score(&ids, 1).unwrap().steps.len(), ids.len() - 1);
}

#[test]
fn what_cannot_be_scored_is_refused_with_the_reason() {
    let mut fixture = smollm();
    let ids = fixture.ids(&"word ".repeat(2600));
    let failure = fixture.score(&ids, 1).err().unwrap();
    assert_eq!(failure.kind, FailureKind::ContextFull);
    let said = format!("The text is {} tokens long, {} more than", ids.len(), ids.len() - 2049);
    assert!(failure.message.starts_with(&said), "{failure}");

    let failure = fixture.score(&[TokenId(5), TokenId(49152)], 1).err().unwrap();
    assert_eq!(failure.message, "The model has no token 49152; its vocabulary has 49152 entries.");

    let interventions = vec![Intervention::ZeroFfn { layer: 30 }];
    let changed = Score { ids: ids[..9].to_vec(), from: 1, top_logprobs: 0, interventions };
    let failure = fixture.score_as(changed).err().unwrap();
    assert_eq!(failure.message, "There is no layer 30: this model has layers 0 to 29.");
}

#[test]
fn a_text_is_scored_under_changes_and_afterwards_without() {
    let mut fixture = smollm();
    let ids = fixture.ids("The capital of France is Paris");
    let plain = fixture.score(&ids, 1).unwrap().steps;
    let interventions = vec![Intervention::ZeroFfn { layer: 0 }];
    let changed = Score { ids: ids.clone(), from: 1, top_logprobs: 0, interventions };
    let changed = fixture.score_as(changed).unwrap().steps;
    let moved = plain.iter().zip(&changed).map(|(a, b)| (a.logprob - b.logprob).abs()).fold(0.0, f32::max);
    assert!(moved > 1.0, "{moved}");
    let again = fixture.score(&ids, 1).unwrap().steps;
    for (before, after) in plain.iter().zip(&again) {
        assert!((before.logprob - after.logprob).abs() < 1e-3);
    }
}

#[test]
fn a_text_that_fills_the_context_can_be_scored_to_its_last_token() {
    let mut fixture = smollm();
    let ids = &fixture.ids(&"word ".repeat(2600))[..2049];
    let scored = fixture.score(ids, 2000).unwrap();
    assert_eq!((scored.steps.len(), scored.decoded), (49, 2048));
}

#[test]
fn a_single_token_has_no_score() {
    let mut fixture = smollm();
    let scored = fixture.score(&[TokenId(100)], 0).unwrap();
    assert_eq!((scored.steps.len(), scored.decoded), (0, 0));
}

/// ln p of a path's tokens as scoring gives them.
fn path_scored(fixture: &mut Fixture, ids: &[TokenId], path: &Path) -> Vec<Step> {
    let whole: Vec<TokenId> = ids.iter().copied().chain(path.tokens.iter().map(|token| token.id)).collect();
    fixture.score(&whole, ids.len() as u32).unwrap().steps
}

#[test]
fn paths_are_the_likeliest_first_and_have_the_probabilities_of_scoring() {
    for mut fixture in [exact_smollm(), exact_gemma()] {
        let ids = fixture.ids(OPENING);
        let looked = fixture.look_ahead(&ids, 4, 6).unwrap();
        assert_eq!(looked.paths.len(), 4);
        assert!(looked.paths.is_sorted_by(|a, b| a.logprob() >= b.logprob()), "{looked:?}");
        for path in &looked.paths {
            assert_eq!(path.tokens.len(), 6);
            for (token, step) in path.tokens.iter().zip(path_scored(&mut fixture, &ids, path)) {
                assert!((token.logprob - step.logprob).abs() < ORDER.nats(), "{token:?} {step:?}");
            }
        }
        // A beam of one is the greedy reply.
        let alone = fixture.look_ahead(&ids, 1, 6).unwrap();
        let (greedy, _) = fixture.reply(&ids, 6);
        let greedy: Vec<Option<TokenId>> = greedy.iter().map(|step| step.id).collect();
        assert_eq!(alone.paths[0].tokens.iter().map(|token| Some(token.id)).collect::<Vec<_>>(), greedy);
    }
}

#[test]
fn one_token_deep_the_beam_is_the_distribution() {
    let mut fixture = exact_smollm();
    let ids = fixture.ids(OPENING);
    let looked = fixture.look_ahead(&ids, 15, 1).unwrap();
    let (steps, _) = fixture.reply(&ids, 1);
    let tokens: Vec<_> = looked.paths.iter().map(|path| path.tokens[0]).collect();
    for (token, candidate) in tokens.iter().zip(&steps[0].candidates) {
        assert!((token.logprob - candidate.logprob).abs() < ORDER.nats(), "{token:?} {candidate:?}");
    }
}

#[test]
fn looking_ahead_leaves_the_chat_as_it_was() {
    for mut fixture in [exact_smollm(), exact_gemma()] {
        let ids = fixture.ids(OPENING);
        let (first, _) = fixture.reply(&ids, 24);
        let all: Vec<TokenId> =
            ids.iter().copied().chain(first.iter().map(|step| step.id.unwrap())).collect();
        // From the head, from the middle, and from where another word was taken.
        let (before, usage_before) = fixture.reply(&all, 12);
        fixture.look_ahead(&all, 4, 6).unwrap();
        fixture.look_ahead(&all[..ids.len() + 5], 15, 6).unwrap();
        let other: Vec<TokenId> = [&ids[..], &[TokenId(500)]].concat();
        let looked = fixture.look_ahead(&other, 3, 8).unwrap();
        assert!(looked.decoded <= 1 + 7 * 3, "{looked:?}");
        let (after, usage_after) = fixture.reply(&all, 12);
        assert_eq!(usage_after.reused_tokens as usize, all.len() - 1);
        assert_eq!(usage_before.prompt_tokens, usage_after.prompt_tokens);
        for (a, b) in before.iter().zip(&after) {
            assert_eq!(a.id, b.id);
            assert!((a.logprob - b.logprob).abs() < ORDER.nats(), "{a:?} {b:?}");
        }
    }
}

#[test]
fn a_text_too_far_from_the_chat_is_read_into_its_place() {
    let mut fixture = exact_smollm();
    let ids = &fixture.ids(&text("arabic.txt"))[..900];
    let chat = fixture.ids(OPENING);
    fixture.reply(&chat, 4);
    let looked = fixture.look_ahead(ids, 2, 3).unwrap();
    assert_eq!(looked.decoded, 900 + 2 * 2);
    let again = fixture.look_ahead(ids, 2, 3).unwrap();
    assert_eq!(again.decoded, 1 + 2 * 2);
    let (a, b) = (looked.paths[0].tokens[0], again.paths[0].tokens[0]);
    assert!(a.id == b.id && (a.logprob - b.logprob).abs() < ORDER.nats(), "{a:?} {b:?}");
    let (_, usage) = fixture.reply(ids, 1);
    assert_eq!(usage.reused_tokens, 899);
}

#[test]
fn a_path_that_ends_ends_with_the_models_own_end() {
    let mut fixture = smollm();
    let chat = "<|im_start|>user\nSay only: yes<|im_end|>\n<|im_start|>assistant\n";
    let ids: Vec<TokenId> =
        fixture.shared.tokenize(chat, true, true).unwrap().into_iter().map(|(id, _)| id).collect();
    let looked = fixture.look_ahead(&ids, 8, 10).unwrap();
    let end = TokenId(2);
    let ended: Vec<&Path> =
        looked.paths.iter().filter(|path| path.tokens.iter().any(|token| token.id == end)).collect();
    assert!(!ended.is_empty(), "{looked:?}");
    for path in ended {
        let at = path.tokens.iter().position(|token| token.id == end).unwrap();
        assert_eq!(at + 1, path.tokens.len(), "{path:?}");
    }
}

#[test]
fn four_paths_six_deep_cost_less_than_as_many_tokens_of_a_reply() {
    let mut fixture = smollm();
    let ids = fixture.ids(&text("english.txt"));
    fixture.reply(&ids, 4);
    let timed = |work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    let mut decoded = 0;
    // The better of three, side by side, since the machine may be busy.
    let ratio = (0..3).map(|_| {
        let beam = timed(&mut || decoded = fixture.look_ahead(&ids, 4, 6).unwrap().decoded);
        let reply = timed(&mut || drop(fixture.reply(&ids, 21)));
        beam.as_secs_f64() / reply.as_secs_f64()
    });
    let ratio = ratio.fold(f64::INFINITY, f64::min);
    println!("a beam of 4, 6 deep: {ratio:.2} of a reply as long, {decoded} tokens");
    assert_eq!(decoded, 1 + 5 * 4);
    assert!(ratio < 1.0, "{ratio}");
}

#[test]
fn a_stopped_look_ahead_leaves_the_chat_as_it_was() {
    let mut fixture = exact_smollm();
    let ids = fixture.ids(&text("english.txt"));
    let (before, _) = fixture.reply(&ids, 6);
    let first = |event: &Event| matches!(event, Event::PromptProgress { .. });
    let (answer, took) = fixture.cancelled(first, |fixture| fixture.look_ahead(&ids, 15, 34));
    assert_eq!(answer.unwrap_err().kind, FailureKind::Cancelled);
    assert!(took < Duration::from_millis(100), "{took:?}");
    let (after, usage) = fixture.reply(&ids, 6);
    assert_eq!(usage.reused_tokens as usize, ids.len() - 1);
    assert_eq!(
        before.iter().map(|s| s.id).collect::<Vec<_>>(),
        after.iter().map(|s| s.id).collect::<Vec<_>>()
    );
}

#[test]
fn a_beam_that_is_too_large_is_refused() {
    let mut fixture = smollm();
    let ids = fixture.ids(OPENING);
    for (width, depth) in [(16, 2), (15, 35), (0, 3), (3, 0), (u32::MAX, u32::MAX)] {
        let failure = fixture.look_ahead(&ids, width, depth).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Other, "{width} {depth} {failure}");
    }
    assert_eq!(fixture.look_ahead(&[], 2, 2).unwrap_err().kind, FailureKind::Other);
}

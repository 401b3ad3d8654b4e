//! Speculative decoding: what is drafted changes how many passes a reply takes, and nothing that it says.
//!
//! Invariant: replies are compared on dequantised weights, as `noise` asks for.

use std::sync::{Mutex, MutexGuard, OnceLock};

use crate::kit::{
    Beside, GEMMA, Model, SMOLLM, dequantized, exact_gemma, exact_smollm, file, loading, locked, plain,
};
use crate::noise::ORDER;
use glassbox::engine::protocol::{Event, Generate, Job, Prompt, Request, Written};
use glassbox::model_entry::{LoadParams, ModelEntry, Source, Speculative};
use glassbox::sampling::Sampling;
use glassbox::token::TokenId;

/// What models go on with once they have seen it twice.
const POEM: &str = "Seven grey herons stood beside the mill, and none of them would move until the bell had rung. \
                    Then one by one they rose, turned over the orchard wall, and followed the river down to the sea.\n";

fn drafting() -> LoadParams {
    LoadParams { speculative: Speculative::Prompt, ..dequantized() }
}

fn drafting_smollm() -> MutexGuard<'static, Model> {
    static MODEL: OnceLock<Mutex<Model>> = OnceLock::new();
    locked(&MODEL, || Model::load(SMOLLM, drafting()))
}

fn quoting(sampling: Sampling) -> Generate {
    let prompt = Prompt::Raw { text: format!("{POEM}{POEM}Seven grey herons") };
    Generate { prompt, sampling, top_logprobs: 5, begun: 0, interventions: Vec::new(), allow: None }
}

fn greedy(max_tokens: u32) -> Sampling {
    Sampling { temperature: 0.0, max_tokens, ..Sampling::default() }
}

/// What a reply wrote, and how many of its prompt's tokens were cached.
fn written(model: &mut Model, request: Generate) -> (Vec<Written>, u32) {
    let events = model.handle(Request::Job(Job::Generate(Box::new(request))));
    let Some(Event::Done { usage, .. }) = events.last() else { panic!("{:?}", events.last()) };
    let reused = usage.reused_tokens;
    let tokens = events.into_iter().filter_map(|event| match event {
        Event::Token(written) => Some(*written),
        _ => None,
    });
    (tokens.collect(), reused)
}

fn ids(written: &[Written]) -> Vec<TokenId> {
    written.iter().filter_map(|written| written.step.id).collect()
}

/// Both wrote the same, with the same figures.
fn agree(plain: &[Written], drafted: &[Written]) {
    assert_eq!(ids(plain), ids(drafted));
    for (plain, drafted) in plain.iter().zip(drafted) {
        let apart = (plain.step.logprob - drafted.step.logprob).abs();
        assert!(apart < ORDER.nats(), "{:?} {:?}", plain.step, drafted.step);
        assert_eq!((plain.index, plain.step.rank), (drafted.index, drafted.step.rank));
    }
}

fn count(written: &[Written]) -> usize {
    written.iter().filter(|written| written.drafted).count()
}

#[test]
fn a_quoting_reply_is_mostly_drafted_and_says_the_same() {
    let (plain, _) = written(&mut exact_smollm(), quoting(greedy(40)));
    let (drafted, _) = written(&mut drafting_smollm(), quoting(greedy(40)));
    agree(&plain, &drafted);
    assert_eq!(count(&plain), 0);
    assert!(count(&drafted) > 20, "{} of 40", count(&drafted));
}

#[test]
fn draws_by_chance_are_those_without_drafts() {
    let sampling = Sampling { seed: Some(3), max_tokens: 60, temperature: 1.3, ..Sampling::default() };
    let (plain, _) = written(&mut exact_smollm(), quoting(sampling.clone()));
    let (drafted, _) = written(&mut drafting_smollm(), quoting(sampling));
    agree(&plain, &drafted);
    assert!(count(&drafted) > 0);
}

#[test]
fn a_model_with_sliding_windows_says_the_same() {
    let (plain, _) = written(&mut exact_gemma(), quoting(greedy(40)));
    let (drafted, _) = written(&mut Model::load(GEMMA, drafting()), quoting(greedy(40)));
    agree(&plain, &drafted);
    assert!(count(&drafted) > 20, "{} of 40", count(&drafted));
}

#[test]
fn nothing_that_was_only_drafted_stays_in_the_cache() {
    let mut model = drafting_smollm();
    // It ends in the midst of a draft.
    let (first, _) = written(&mut model, quoting(greedy(17)));
    let text = format!("{POEM}{POEM}Seven grey herons");
    let prompt = model.ids(&text);
    let all: Vec<TokenId> = prompt.iter().copied().chain(ids(&first)).collect();
    let request = |ids: Vec<TokenId>| Generate {
        prompt: Prompt::Ids { ids, taken: Vec::new(), chat: false },
        ..quoting(greedy(8))
    };
    let (kept, reused) = written(&mut model, request(all.clone()));
    assert!(reused as usize + 2 >= all.len(), "{reused} of {}", all.len());
    let (plain, _) = written(&mut exact_smollm(), request(all));
    agree(&plain, &kept);
}

/// The default model, with its own file for the smaller model: it agrees with itself, and so drafts much.
fn by_itself() -> MutexGuard<'static, Model> {
    static MODEL: OnceLock<Mutex<Model>> = OnceLock::new();
    locked(&MODEL, || Model::drafted_by_itself(SMOLLM, dequantized()))
}

fn story(sampling: Sampling) -> Generate {
    let prompt = Prompt::Raw { text: "Once upon a time, in a small town by the sea,".into() };
    Generate { prompt, ..quoting(sampling) }
}

#[test]
fn what_a_smaller_model_drafts_changes_no_reply() {
    let by_chance = Sampling { seed: Some(3), max_tokens: 60, temperature: 1.3, ..Sampling::default() };
    for request in [story(greedy(60)), quoting(greedy(40)), story(by_chance)] {
        let (plain, _) = written(&mut exact_smollm(), request.clone());
        let (drafted, _) = written(&mut by_itself(), request);
        agree(&plain, &drafted);
        assert!(count(&drafted) > 5, "{} of {}", count(&drafted), drafted.len());
    }
}

#[test]
fn a_smaller_model_with_another_vocabulary_drafts_nothing_and_is_told() {
    let home = tempfile::tempdir().unwrap();
    let entry = |name: &str, variable: &str| ModelEntry::new(name, Source::Path(file(variable)));
    let draft_model = Some(Box::new(entry("gemma", GEMMA)));
    let entry = ModelEntry { draft_model, ..entry("test", SMOLLM) };
    let alone = loading();
    let (_model, loaded) = Beside::child_of(home.path(), entry, plain(), &[]);
    drop(alone);
    let Event::Loaded(loaded) = loaded else { panic!("{loaded:?}") };
    let told = "Nothing is drafted by gemma: it has another vocabulary (262144 entries, not these 49152).";
    assert!(loaded.notes.iter().any(|note| note == told), "{:?}", loaded.notes);
}

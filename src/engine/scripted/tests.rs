//! The scripted engine, driven over the thread body as the app drives it.

use std::sync::mpsc::Receiver;

use proptest::prelude::*;

use super::*;
use crate::chat::{Role, StopReason};
use crate::engine::protocol::{
    Depths, Embed, Immediate, Inspect, Live, Look, LookAhead, Message, Prompt, Replay, Request, Reread,
    Rescored, Score, StoredTokens, Want, Written,
};
use crate::engine::transport::thread::ThreadEngine;
use crate::engine::{Engine, testing};
use crate::inspect::distribution::Distribution;
use crate::inspect::stages::{SamplerTrace, TraceSource};
use crate::inspect::trace::ForwardTrace;
use crate::model_entry::Source;
use crate::sampling::{LogitBias, Sampling};
use crate::token::{Candidate, Step, TokenKind};

const QUICK: ScriptedOptions =
    ScriptedOptions { token_ms: 0, load_ms: 0, slice_ms: 0, context: 8192, seed: 42 };

struct Fixture {
    engine: ThreadEngine,
    events: Receiver<Envelope>,
    next: u64,
}

impl Fixture {
    fn new(options: ScriptedOptions) -> Self {
        let (sink, events) = testing::events();
        Self { engine: ThreadEngine::start(sink, make(options)).unwrap(), events, next: 1 }
    }

    fn loaded(options: ScriptedOptions, name: &str) -> Self {
        let mut fixture = Self::new(options);
        let last = fixture.ask(load(name)).pop();
        assert!(matches!(last, Some(Event::Loaded(_))), "{last:?}");
        fixture
    }

    fn send(&mut self, request: Request) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        self.engine.send(id, request).unwrap();
        id
    }

    fn ask(&mut self, request: Request) -> Vec<Event> {
        let id = self.send(request);
        self.until_final(id)
    }

    fn until_final(&self, id: RequestId) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let envelope = self.events.recv_timeout(Duration::from_secs(20)).expect("an answer comes");
            if envelope.id == id {
                let last = envelope.event.is_final();
                events.push(envelope.event);
                if last {
                    return events;
                }
            }
        }
    }
}

fn load(name: &str) -> Request {
    let entry = ModelEntry::new(name, Source::Path("none".into()));
    Request::Job(Job::Load { entry: Box::new(entry), params: LoadParams::default() })
}

fn message(role: Role, text: &str) -> Message {
    Message { role, text: text.into(), stored: None }
}

fn chat(messages: Vec<Message>, sampling: Sampling) -> Request {
    let prompt = Prompt::Chat { messages, continue_last: false, clock_ms: 0 };
    Request::Job(Job::Generate(Box::new(Generate {
        prompt,
        sampling,
        top_logprobs: 20,
        interventions: Vec::new(),
        allow: None,
    })))
}

fn say(text: &str) -> Request {
    chat(vec![message(Role::User, text)], Sampling::default())
}

fn steps(events: &[Event]) -> Vec<Step> {
    let step = |event: &Event| match event {
        Event::Token(written) => Some(Step { ms: 0.0, ..written.step.clone() }),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

fn bytes(steps: &[Step]) -> Vec<u8> {
    steps.iter().flat_map(|step| step.bytes.clone()).collect()
}

fn stop(events: &[Event]) -> StopReason {
    match events.last() {
        Some(Event::Done { stop, .. }) => *stop,
        other => panic!("no end: {other:?}"),
    }
}

#[test]
fn loading_tells_its_progress_and_what_was_loaded() {
    let mut fixture = Fixture::new(QUICK);
    let events = fixture.ask(load("toy"));
    assert_eq!(events[0], Event::LoadProgress(0.0));
    assert!(events.contains(&Event::LoadProgress(1.0)));
    let Some(Event::Loaded(loaded)) = events.last() else { panic!("{events:?}") };
    assert_eq!((loaded.facts.name.as_str(), loaded.context, loaded.takes_system), ("toy", 8192, true));
}

#[test]
fn models_that_cannot_be_loaded_say_why() {
    for (name, kind) in [
        ("missing", FailureKind::NotFetched),
        ("broken", FailureKind::BadModel),
        ("huge", FailureKind::Memory),
    ] {
        let last = Fixture::new(QUICK).ask(load(name)).pop();
        assert!(matches!(&last, Some(Event::Failed(failure)) if failure.kind == kind), "{last:?}");
    }
}

#[test]
fn the_same_seed_writes_the_same_reply_with_the_same_numbers() {
    let events = |seed| {
        let sampling = Sampling { seed: Some(seed), ..Sampling::default() };
        Fixture::loaded(QUICK, "toy").ask(chat(vec![message(Role::User, "Good day")], sampling))
    };
    let first = steps(&events(7));
    assert_eq!(first, steps(&events(7)));
    assert_ne!(first, steps(&events(8)));
    assert!(String::from_utf8(bytes(&first)).unwrap().contains("Good day"));
}

#[test]
fn the_numbers_of_a_step_agree_with_each_other() {
    let events = Fixture::loaded(QUICK, "toy").ask(say("Tell me a long story"));
    let steps = steps(&events);
    assert!(steps.len() > 500);
    for step in &steps {
        let mass: f32 = step.candidates.iter().map(|candidate| candidate.logprob.exp()).sum();
        assert!(mass < 1.0 && step.candidates.len() == 20);
        assert!(step.candidates.is_sorted_by(|a, b| a.logprob >= b.logprob));
        match step.chosen_index() {
            Some(index) => {
                assert_eq!(index as u32 + 1, step.rank);
                assert_eq!(step.candidates[index].logprob.to_bits(), step.logprob.to_bits());
            }
            None => assert!(step.rank > 20),
        }
        // Entropy lies between what the likeliest token alone forces and the uniform distribution's.
        assert!(step.entropy > 0.0 && step.entropy < 10.0 && step.survivors >= step.rank);
    }
    let outside = steps.iter().filter(|step| step.chosen_index().is_none()).count();
    assert!(outside > 0 && outside * 10 < steps.len(), "{outside} of {}", steps.len());
}

#[test]
fn at_temperature_zero_the_likeliest_token_is_taken() {
    let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
    let events = Fixture::loaded(QUICK, "toy").ask(chat(vec![message(Role::User, "count")], sampling));
    assert!(steps(&events).iter().all(|step| step.rank == 1));
}

#[test]
fn the_next_turn_reads_only_what_is_new() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let first = fixture.ask(say("wide"));
    let Event::Prompt(facts) = &first[0] else { panic!("{first:?}") };
    assert_eq!(facts.reused, 0);
    let Some(Event::Loaded(loaded)) = fixture.ask(load("toy")).pop() else { panic!("not loaded") };
    let first = fixture.ask(say("wide"));
    let reply = steps(&first);
    let tokens = reply.iter().map(|step| (step.id.unwrap(), step.bytes.len() as u32)).collect();
    let stored = Some(StoredTokens { vocabulary: loaded.vocabulary, tokens });
    let text = String::from_utf8(bytes(&reply)).unwrap();
    let messages = vec![
        message(Role::User, "wide"),
        Message { role: Role::Assistant, text, stored },
        message(Role::User, "and now?"),
    ];
    let second = fixture.ask(chat(messages, Sampling::default()));
    let Event::Prompt(facts) = &second[0] else { panic!("{second:?}") };
    let Event::Prompt(before) = &first[0] else { panic!("{first:?}") };
    assert_eq!(facts.reused as usize, before.ids.len() + reply.len());
    assert_eq!(facts.notes, Vec::<String>::new());
}

#[test]
fn a_long_prompt_is_read_in_slices() {
    let events = Fixture::loaded(QUICK, "toy").ask(say(&"glass ".repeat(1500)));
    let progress: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            Event::PromptProgress { done, .. } => Some(*done),
            _ => None,
        })
        .collect();
    assert_eq!(progress[..2], [512, 1024]);
}

#[test]
fn cancelling_ends_a_slow_reply_at_once() {
    let slow = ScriptedOptions { token_ms: 60_000, ..QUICK };
    let mut fixture = Fixture::loaded(slow, "toy");
    let target = fixture.send(say("count"));
    while !matches!(fixture.events.recv().unwrap().event, Event::PromptProgress { .. }) {}
    let begun = Instant::now();
    fixture.send(Request::Immediate(Immediate::Cancel { target }));
    assert_eq!(stop(&fixture.until_final(target)), StopReason::Cancelled);
    assert!(begun.elapsed() < Duration::from_millis(100));
}

#[test]
fn a_queued_request_can_be_cancelled_before_it_begins() {
    let mut fixture = Fixture::loaded(ScriptedOptions { token_ms: 60_000, ..QUICK }, "toy");
    let (first, second) = (fixture.send(say("count")), fixture.send(say("long")));
    fixture.send(Request::Immediate(Immediate::Cancel { target: second }));
    fixture.send(Request::Immediate(Immediate::Cancel { target: first }));
    assert_eq!(stop(&fixture.until_final(first)), StopReason::Cancelled);
    assert_eq!(stop(&fixture.until_final(second)), StopReason::Cancelled);
}

#[test]
fn replies_end_at_stop_texts_limits_and_the_context() {
    let check = |sampling: Sampling, context: u32, expected: StopReason| {
        let events = Fixture::loaded(ScriptedOptions { context, ..QUICK }, "toy")
            .ask(chat(vec![message(Role::User, "count")], sampling));
        assert_eq!(stop(&events), expected);
        String::from_utf8(bytes(&steps(&events))).unwrap()
    };
    let all = check(Sampling::default(), 8192, StopReason::Eos);
    assert!(all.starts_with("1, 2, 3") && all.ends_with("500."));
    let stopped = Sampling { stop: vec!["13".into()], ..Sampling::default() };
    assert!(check(stopped, 8192, StopReason::Stop).ends_with("12, "));
    let short = Sampling { max_tokens: 5, ..Sampling::default() };
    check(short, 8192, StopReason::Length);
    check(Sampling::default(), 64, StopReason::Context);
}

#[test]
fn a_prompt_longer_than_the_context_fails_with_a_sentence() {
    let mut fixture = Fixture::loaded(ScriptedOptions { context: 64, ..QUICK }, "toy");
    let last = fixture.ask(say(&"x".repeat(100))).pop();
    assert!(
        matches!(&last, Some(Event::Failed(failure)) if failure.kind == FailureKind::ContextFull),
        "{last:?}"
    );
}

#[test]
fn a_base_model_reads_a_plain_transcript_with_another_vocabulary() {
    let mut fixture = Fixture::new(QUICK);
    let Some(Event::Loaded(chatty)) = fixture.ask(load("toy")).pop() else { panic!("not loaded") };
    let Some(Event::Loaded(base)) = fixture.ask(load("toy-base")).pop() else { panic!("not loaded") };
    assert_eq!(base.template, crate::engine::protocol::TemplateKind::Plain);
    assert_ne!(chatty.vocabulary, base.vocabulary);
    let events = fixture.ask(say("Hi"));
    let Event::Prompt(facts) = &events[0] else { panic!("{events:?}") };
    assert_eq!(facts.text, "User: Hi\n\nAssistant:");
}

#[test]
fn going_on_with_a_reply_writes_the_rest_of_it() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let messages = vec![message(Role::User, "count"), message(Role::Assistant, "1, 2, 3, 4, ")];
    let prompt = Prompt::Chat { messages, continue_last: true, clock_ms: 0 };
    let sampling = Sampling { max_tokens: 2, ..Sampling::default() };
    let generate = Generate { prompt, sampling, top_logprobs: 5, interventions: Vec::new(), allow: None };
    let events = fixture.ask(Request::Job(Job::Generate(Box::new(generate))));
    let Event::Prompt(facts) = &events[0] else { panic!("{events:?}") };
    assert!(facts.text.ends_with("<|im_start|>assistant\n1, 2, 3, 4, "));
    assert_eq!(bytes(&steps(&events)), b"5, ");
}

#[test]
fn hostile_and_empty_replies_are_what_they_say() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let hostile = bytes(&steps(&fixture.ask(say("hostile"))));
    assert!(hostile.contains(&0x1b) && std::str::from_utf8(&hostile).is_err());
    assert_eq!(steps(&fixture.ask(say("empty"))), []);
}

#[test]
fn an_emoji_is_cut_into_tokens_that_are_no_characters() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let events = fixture.ask(Request::Immediate(Immediate::Tokenize {
        text: "🙂".into(),
        special: false,
        begin: true,
    }));
    let Some(Event::Tokenized { tokens }) = events.last() else { panic!("{events:?}") };
    let pieces: Vec<&[u8]> = tokens.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    assert_eq!(pieces, [&b"<|begin|>"[..], &[0xf0, 0x9f], &[0x99, 0x82]]);
}

#[test]
fn nothing_is_answered_before_a_model_is_loaded() {
    let mut fixture = Fixture::new(QUICK);
    for request in [say("x"), Request::Immediate(Immediate::Vocabulary)] {
        let last = fixture.ask(request).pop();
        assert!(matches!(&last, Some(Event::Failed(failure)) if failure.kind == FailureKind::NoModel));
    }
}

#[test]
fn a_hanging_worker_still_leaves_the_desk_open() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    fixture.ask(Request::Immediate(Immediate::Fault("hang".into())));
    fixture.send(say("count"));
    assert!(matches!(fixture.ask(Request::Immediate(Immediate::Vocabulary))[..], [Event::Vocabulary(_)]));
}

/// A reply to "Good day" with its prompt.
fn good_day(fixture: &mut Fixture, sampling: Sampling) -> (Vec<TokenId>, Vec<Step>) {
    let events = fixture.ask(chat(vec![message(Role::User, "Good day to you")], sampling));
    let Event::Prompt(facts) = &events[0] else { panic!("{events:?}") };
    (facts.ids.clone(), steps(&events))
}

fn ids(steps: &[Step]) -> Vec<TokenId> {
    steps.iter().filter_map(|step| step.id).collect()
}

fn branch(prompt: Vec<TokenId>, taken: TokenId, allow: Option<u32>) -> Generate {
    let prompt = Prompt::Ids { ids: prompt, taken: vec![taken], chat: true };
    let sampling = Sampling { seed: Some(7), ..Sampling::default() };
    Generate { prompt, sampling, top_logprobs: 20, interventions: Vec::new(), allow }
}

fn seeded() -> Sampling {
    Sampling { seed: Some(7), ..Sampling::default() }
}

#[test]
fn taking_the_same_token_again_gives_the_same_reply_with_only_that_token_to_read() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let (prompt, reply) = good_day(&mut fixture, seeded());
    let at = 5;
    let kept: Vec<TokenId> = prompt.iter().copied().chain(ids(&reply[..at])).collect();
    let request = branch(kept.clone(), reply[at].id.unwrap(), None);
    let events = fixture.ask(Request::Job(Job::Generate(Box::new(request))));
    let Event::Prompt(facts) = &events[0] else { panic!("{events:?}") };
    assert_eq!(facts.ids, kept, "the taken token is not part of the prompt");
    assert_eq!(facts.reused as usize, kept.len());
    assert_eq!(steps(&events), reply[at + 1..]);
    let Some(Event::Done { usage, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!(usage.completion_tokens as usize, reply.len() - at);
}

#[test]
fn another_token_leads_to_another_text_and_back_again() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let (prompt, reply) = good_day(&mut fixture, seeded());
    let at = reply.iter().position(|step| step.rank == 1).unwrap();
    let kept: Vec<TokenId> = prompt.iter().copied().chain(ids(&reply[..at])).collect();
    let other = reply[at].candidates[9].id;
    let go = |fixture: &mut Fixture| {
        let request = branch(kept.clone(), other, None);
        steps(&fixture.ask(Request::Job(Job::Generate(Box::new(request)))))
    };
    let branched = go(&mut fixture);
    assert!(!branched.is_empty());
    assert_ne!(bytes(&branched), bytes(&reply[at + 1..]));
    let (_, again) = good_day(&mut fixture, seeded());
    assert_eq!(again, reply, "a branch and a way back change nothing");
    assert_eq!(go(&mut fixture), branched);
}

#[test]
fn a_reply_scored_afterwards_has_the_numbers_it_was_written_with() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    for text in ["Good day to you", "wide", "hostile"] {
        let events = fixture.ask(say(text));
        let Event::Prompt(facts) = &events[0] else { panic!("{events:?}") };
        let (from, reply) = (facts.ids.len() as u32, steps(&events));
        let all = facts.ids.iter().copied().chain(ids(&reply)).collect();
        let score = Score { ids: all, from, top_logprobs: 20, interventions: Vec::new() };
        let events = fixture.ask(Request::Job(Job::Score(Box::new(score))));
        let mut scored = Vec::new();
        for event in &events {
            if let Event::Scores { first, steps } = event {
                assert_eq!(*first as usize, from as usize + scored.len());
                scored.extend(steps.iter().cloned());
            }
        }
        let written: Vec<Step> = reply.into_iter().map(|step| Step { survivors: 0, ..step }).collect();
        assert_eq!(scored, written);
        assert!(
            matches!(events.last(), Some(Event::Scored { decoded, .. }) if *decoded as usize == from as usize + written.len())
        );
    }
}

#[test]
fn a_text_without_a_first_token_or_with_foreign_ones_is_not_scored() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    for (ids, from) in
        [(vec![TokenId(0), TokenId(5)], 0), (vec![TokenId(0)], 1), (vec![TokenId(0), TokenId(99_999)], 1)]
    {
        let score = Score { ids, from, top_logprobs: 5, interventions: Vec::new() };
        assert!(matches!(
            fixture.ask(Request::Job(Job::Score(Box::new(score)))).last(),
            Some(Event::Failed(_))
        ));
    }
}

fn capture(fixture: &mut Fixture, plan: CapturePlan) {
    assert_eq!(fixture.ask(Request::Immediate(Immediate::SetCapture(plan))), [Event::Acknowledged]);
}

#[test]
fn stages_and_watched_tokens_come_with_each_token_and_agree_with_it() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let watch = vec![TokenId(300), TokenId(2)];
    capture(&mut fixture, CapturePlan { stages: 20, watch: watch.clone(), ..CapturePlan::default() });
    let events = fixture.ask(say("count"));
    let mut seen = 0;
    for event in events {
        if let Event::Token(written) = event {
            let Written { step, index, stages, watched, recording_ms, inside, unchanged } = *written;
            assert!(recording_ms.is_some_and(|ms| ms >= 0.0));
            assert_eq!((index, inside, unchanged), (seen, None, None));
            let trace = stages.expect("stages come with it");
            assert_eq!((trace.index, Some(trace.drawn), trace.source), (seen, step.id, TraceSource::Live));
            let names: Vec<&str> = trace.stages.iter().map(|stage| stage.name.label()).collect();
            assert_eq!(names, ["top-k", "top-p", "min-p", "temp"]);
            let listed: Vec<TokenId> = step.candidates.iter().map(|candidate| candidate.id).collect();
            assert_eq!(trace.tokens[..20], listed);
            for (p, candidate) in trace.model.iter().zip(&step.candidates) {
                assert!((p - candidate.logprob.exp()).abs() < 1e-5);
            }
            assert!((trace.entropy - step.entropy).abs() < 1e-4);
            let last = trace.stages.last().unwrap();
            assert_eq!(last.left, step.survivors);
            let drawn = trace.tokens.iter().position(|id| *id == trace.drawn).unwrap();
            let probability = f64::from(last.probabilities[drawn].expect("what is drawn was left"));
            let ((from, to), u) = (trace.interval.unwrap(), trace.u.unwrap());
            assert!((to - from - probability).abs() < 1e-6 && from <= u && u <= to);
            assert_eq!(watched.iter().map(|(candidate, _)| candidate.id).collect::<Vec<_>>(), watch);
            for (candidate, rank) in watched {
                let place = step.candidates.iter().position(|other| *other == candidate);
                assert!(place.map_or(rank > 20, |place| place as u32 + 1 == rank));
            }
            seen += 1;
        }
    }
    assert!(seen > 500);
    capture(&mut fixture, CapturePlan::default());
    assert!(fixture.ask(say("x")).iter().all(|event| match event {
        Event::Token(written) => **written == Written { index: written.index, ..written.step.clone().into() },
        _ => true,
    }));
}

#[test]
fn looking_back_gives_the_recorded_stages_and_the_whole_distribution() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    capture(&mut fixture, CapturePlan { stages: 30, ..CapturePlan::default() });
    let sampling = Sampling { repeat_penalty: 1.3, xtc_probability: 0.5, ..seeded() };
    let events = fixture.ask(chat(vec![message(Role::User, "Good day to you")], sampling.clone()));
    let Event::Prompt(facts) = &events[0] else { panic!("{events:?}") };
    let live: Vec<&SamplerTrace> = events
        .iter()
        .filter_map(|event| match event {
            Event::Token(written) => written.stages.as_deref(),
            _ => None,
        })
        .collect();
    let reply = steps(&events);
    assert_eq!(live.len(), reply.len());
    for (index, (step, trace)) in reply.iter().zip(live).enumerate() {
        let mut read = facts.ids.clone();
        read.extend(ids(&reply[..index]));
        let asked = Replay {
            sampling: sampling.clone(),
            seed: facts.seed,
            prompt: facts.ids.len() as u32,
            taken: 0,
            drawn: step.id.unwrap(),
            list: 30,
        };
        let look = Look { ids: read, interventions: Vec::new(), logits: true, replay: Some(Box::new(asked)) };
        let events = fixture.ask(Request::Job(Job::Look(Box::new(look))));
        let Some(Event::Looked(looked)) = events.last() else { panic!("{events:?}") };
        let stages = looked.stages.as_ref().unwrap();
        assert_eq!(SamplerTrace { source: TraceSource::Live, ..stages.as_ref().clone() }, *trace);
        let whole = Distribution::new(looked.unpack()).unwrap();
        let same = whole.step(step.id.unwrap(), &step.bytes, 20).unwrap();
        assert_eq!(Step { survivors: step.survivors, ..same }, *step);
        assert_eq!(looked.decoded, 1, "the chat's cache has the rest");
    }
}

#[test]
fn the_beam_holds_the_likeliest_paths_with_the_numbers_of_a_score() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let (prompt, _) = good_day(&mut fixture, seeded());
    let ahead = LookAhead { ids: prompt.clone(), width: 4, depth: 6, interventions: Vec::new() };
    let events = fixture.ask(Request::Job(Job::LookAhead(Box::new(ahead))));
    let Some(Event::LookedAhead(looked)) = events.last() else { panic!("{events:?}") };
    assert_eq!(looked.paths.len(), 4);
    assert!(looked.paths.is_sorted_by(|a, b| a.logprob() >= b.logprob()));
    for path in &looked.paths {
        let all: Vec<TokenId> =
            prompt.iter().copied().chain(path.tokens.iter().map(|token| token.id)).collect();
        let score = Score { ids: all, from: prompt.len() as u32, top_logprobs: 0, interventions: Vec::new() };
        let scored: Vec<Candidate> = fixture
            .ask(Request::Job(Job::Score(Box::new(score))))
            .into_iter()
            .filter_map(|event| match event {
                Event::Scores { steps, .. } => Some(steps),
                _ => None,
            })
            .flatten()
            .map(|step| Candidate { id: step.id.unwrap(), logprob: step.logprob })
            .collect();
        assert_eq!(scored, path.tokens);
    }
}

#[test]
fn a_path_that_ends_stays_as_it_is() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let (prompt, reply) = good_day(&mut fixture, seeded());
    let near_end = prompt.iter().copied().chain(ids(&reply)).collect();
    let ahead = LookAhead { ids: near_end, width: 3, depth: 5, interventions: Vec::new() };
    let events = fixture.ask(Request::Job(Job::LookAhead(Box::new(ahead))));
    let Some(Event::LookedAhead(looked)) = events.last() else { panic!("{events:?}") };
    assert_eq!(
        looked.paths[0].tokens.iter().map(|token| token.id).collect::<Vec<_>>(),
        [vocabulary::END_OF_TURN]
    );
}

#[test]
fn a_reply_waits_after_each_allowed_token_and_runs_when_let_go() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let Request::Job(Job::Generate(mut generate)) = say("count") else {
        unreachable!("say asks for a reply")
    };
    generate.allow = Some(1);
    let target = fixture.send(Request::Job(Job::Generate(generate)));
    let until_paused = |fixture: &Fixture| {
        let mut tokens = 0;
        loop {
            match fixture.events.recv_timeout(Duration::from_secs(20)).unwrap().event {
                Event::Token(_) => tokens += 1,
                Event::Paused => return tokens,
                _ => {}
            }
        }
    };
    assert_eq!(until_paused(&fixture), 1);
    fixture.send(Request::Immediate(Immediate::Pace { target, allow: Some(3) }));
    assert_eq!(until_paused(&fixture), 3);
    fixture.send(Request::Immediate(Immediate::Pace { target, allow: None }));
    assert_eq!(stop(&fixture.until_final(target)), StopReason::Eos);
}

#[test]
fn a_waiting_reply_can_be_cancelled() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let Request::Job(Job::Generate(mut generate)) = say("count") else {
        unreachable!("say asks for a reply")
    };
    generate.allow = Some(0);
    let target = fixture.send(Request::Job(Job::Generate(generate)));
    while fixture.events.recv_timeout(Duration::from_secs(20)).unwrap().event != Event::Paused {}
    fixture.send(Request::Immediate(Immediate::Cancel { target }));
    assert_eq!(stop(&fixture.until_final(target)), StopReason::Cancelled);
}

#[test]
fn a_banned_token_is_not_written() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let ban = LogitBias { text: Some(", ".into()), id: None, bias: f32::NEG_INFINITY };
    let sampling = Sampling { logit_bias: vec![ban], max_tokens: 40, ..Sampling::default() };
    let events = fixture.ask(chat(vec![message(Role::User, "count")], sampling));
    assert!(steps(&events).iter().all(|step| step.bytes != b", "));
}

proptest! {
    #[test]
    fn any_ids_give_a_real_softmax(ids in prop::collection::vec(0_i32..700, 0..60)) {
        let pieces = Arc::new(vocabulary::Pieces::new(""));
        let ids: Vec<TokenId> = ids.into_iter().map(TokenId).collect();
        let whole = reading::distribution(&reading::Reading::of(&pieces, &ids));
        prop_assert_eq!(whole.len(), pieces.vocabulary.len());
        let odds = || (0..whole.len()).filter_map(|index| whole.logprob(vocabulary::token(index)));
        let sum: f64 = odds().map(|logprob| f64::from(logprob).exp()).sum();
        prop_assert!((sum - 1.0).abs() < 1e-4);
        let entropy: f64 = odds().map(f64::from).map(|logprob| -logprob * logprob.exp()).sum();
        prop_assert!((entropy - f64::from(whole.entropy())).abs() < 1e-3);
    }

    #[test]
    fn tokens_of_any_bytes_are_the_bytes(text: Vec<u8>, special: bool) {
        let pieces = vocabulary::Pieces::new("");
        let ids = pieces.tokenize(&text, special);
        let bytes: Vec<u8> = ids.iter().flat_map(|id| pieces.vocabulary.bytes(*id).unwrap()).copied().collect();
        prop_assert_eq!(bytes, text);
    }

    #[test]
    fn plain_text_gives_no_control_token(text in "(<\\|im_(start|end)\\|>|[a-z <|>])*") {
        let pieces = vocabulary::Pieces::new("");
        let ids = pieces.tokenize(text.as_bytes(), false);
        prop_assert!(ids.iter().all(|id| pieces.vocabulary.kind(*id) != TokenKind::Control));
    }
}

#[test]
fn a_pass_opened_while_it_is_written_is_the_pass_that_is_read_again() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let want = Want { lens: true, overview: true, ..Want::default() };
    let live = Live { want, attribution: true, rotation: Some((1, 2)), budget: 0.25, ..Live::default() };
    capture(&mut fixture, CapturePlan { inside: Some(Box::new(live)), ..CapturePlan::default() });
    let events = fixture.ask(say("Hello"));
    let Some(Event::Prompt(facts)) = events.iter().find(|event| matches!(event, Event::Prompt(_))) else {
        panic!("{events:?}")
    };
    let mut ids = facts.ids.clone();
    let mut seen = 0;
    for event in &events {
        if let Event::Token(written) = event {
            let (step, live) = (&written.step, written.inside.as_ref().expect("the pass comes with it"));
            let trace = &live.seen.trace;
            assert_eq!((written.index, trace.position as usize), (seen, ids.len() - 1));
            assert_eq!(trace.followed[0].id, step.id.unwrap());
            assert_eq!(trace.followed[0].logprob.to_bits(), step.logprob.to_bits());
            let follow: Vec<TokenId> = trace.followed.iter().map(|followed| followed.id).collect();
            let want = Want { follow, lens: true, ..Want::default() };
            let again = Inspect { ids: ids.clone(), want, ..Inspect::default() };
            let Some(Event::Inspected(again)) =
                fixture.ask(Request::Inspection(Inspection::Inspect(Box::new(again)))).pop()
            else {
                panic!("it is opened");
            };
            assert_eq!(again.trace.followed, trace.followed);
            let rows = |trace: &ForwardTrace| trace.lens.as_ref().map(|lens| lens.rows.clone());
            assert_eq!(rows(&again.trace), rows(trace));
            ids.push(step.id.unwrap());
            seen += 1;
        }
    }
    assert!(seen > 5);
}

#[test]
fn the_table_knows_its_own_words() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let embed = Embed {
        sum: vec![(TokenId(300), 1.0)],
        neighbours: 5,
        span: vec![TokenId(300), TokenId(4)],
        ..Embed::default()
    };
    let Some(Event::Embedded(facts)) =
        fixture.ask(Request::Inspection(Inspection::Embed(Box::new(embed)))).pop()
    else {
        panic!()
    };
    assert_eq!(facts.neighbours.len(), 5);
    assert!(facts.neighbours.iter().all(|(id, _)| *id != TokenId(300)));
    assert!((facts.cosines[0] - 1.0).abs() < 1e-5 && facts.norm > 0.0);
}

#[test]
fn the_depths_of_many_passes_are_those_of_each_alone() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let ids: Vec<TokenId> = (290..330).map(TokenId).collect();
    let request = Depths { ids: ids.clone(), from: 3, cells: true, ..Depths::default() };
    let events = fixture.ask(Request::Job(Job::Depths(Box::new(request))));
    assert!(matches!(events.last(), Some(Event::DepthsDone { decoded: 37, .. })));
    let told = events.into_iter().filter_map(|event| match event {
        Event::Depths { tokens, .. } => Some(tokens),
        _ => None,
    });
    let tokens = told.collect::<Vec<_>>().concat();
    assert_eq!(tokens.iter().map(|token| token.id).collect::<Vec<_>>(), ids[3..]);
    let want = Want { follow: vec![ids[20]], lens: true, ..Want::default() };
    let alone = Inspect { ids: ids[..20].to_vec(), want, ..Inspect::default() };
    let Some(Event::Inspected(alone)) =
        fixture.ask(Request::Inspection(Inspection::Inspect(Box::new(alone)))).pop()
    else {
        panic!()
    };
    let lens = alone.trace.lens.unwrap();
    assert_eq!(tokens[17].decided, lens.decided);
    for (cell, row) in tokens[17].cells.iter().zip(&lens.rows) {
        assert_eq!((cell.best, cell.logprob.to_bits()), (row.top[0].id, row.followed[0].logprob.to_bits()));
    }
}
fn reread(fixture: &mut Fixture, prompt: Prompt, reply: Vec<TokenId>) -> Rescored {
    let request = Reread { prompt, reply, top_logprobs: 20, interventions: Vec::new() };
    match fixture.ask(Request::Job(Job::Reread(Box::new(request)))).pop() {
        Some(Event::Rescored(scored)) => *scored,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_read_again_behind_its_own_prompt_has_its_own_numbers_and_others_behind_another() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let Request::Job(Job::Generate(asked)) = say("Good day to you") else { panic!() };
    let events = fixture.ask(Request::Job(Job::Generate(asked.clone())));
    let Event::Prompt(facts) = &events[0] else { panic!("{events:?}") };
    let reply = steps(&events);
    let same = reread(&mut fixture, asked.prompt.clone(), ids(&reply));
    assert_eq!(same.prompt, facts.ids);
    assert_eq!(same.displaced, 0);
    let written: Vec<Step> = reply.iter().map(|step| Step { survivors: 0, ..step.clone() }).collect();
    assert_eq!(same.steps, written);
    let Request::Job(Job::Generate(edited)) = say("Good night to you") else { panic!() };
    let other = reread(&mut fixture, edited.prompt, ids(&reply));
    assert_eq!(other.steps.len(), reply.len());
    assert_ne!(other.logprob().to_bits(), same.logprob().to_bits());
}

#[test]
fn while_a_reply_waits_its_passes_can_be_opened() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let mut request = say("Hello");
    if let Request::Job(Job::Generate(generate)) = &mut request {
        generate.allow = Some(1);
    }
    let id = fixture.send(request);
    while fixture.events.recv_timeout(Duration::from_secs(20)).unwrap().event != Event::Paused {}
    let want = Want { lens: true, ..Want::default() };
    let inspect = Inspect { ids: vec![TokenId(0), TokenId(300)], want, ..Inspect::default() };
    let events = fixture.ask(Request::Inspection(Inspection::Inspect(Box::new(inspect))));
    assert!(matches!(events.last(), Some(Event::Inspected(seen)) if seen.trace.lens.is_some()));
    fixture.send(Request::Immediate(Immediate::Cancel { target: id }));
    assert!(matches!(fixture.until_final(id).pop(), Some(Event::Done { .. })));
}

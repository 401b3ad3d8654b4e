//! The scripted engine, driven over the thread body as the app drives it.

use std::sync::mpsc::Receiver;

use super::*;
use crate::chat::{Role, StopReason};
use crate::engine::protocol::{
    Immediate, Inspect, Message, Prompt, Request, Score, StoredTokens, TemplateSetting, Want,
};
use crate::engine::transport::thread::ThreadEngine;
use crate::engine::{Engine, testing};
use crate::model_entry::Source;
use crate::sampling::Sampling;
use crate::token::{Step, TokenKind};

const QUICK: ScriptedOptions =
    ScriptedOptions { token_ms: 0, load_ms: 0, slice_ms: 0, vocabulary_ms: 0, context: 8192, seed: 42 };

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
    Message::new(role, text)
}

fn chat(messages: Vec<Message>, sampling: Sampling) -> Request {
    let prompt = Prompt::Chat { messages, continue_last: false, setting: TemplateSetting::default() };
    Request::Job(Job::Generate(Box::new(Generate {
        prompt,
        sampling,
        top_logprobs: 20,
        begun: 0,
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
    let slips = steps.iter().filter(|step| step.rank > 1).count();
    assert!(slips > 0 && slips * 2 < steps.len(), "{slips} of {}", steps.len());
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
        Message { stored, ..Message::new(Role::Assistant, text) },
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
    let prompt = Prompt::Chat { messages, continue_last: true, setting: TemplateSetting::default() };
    let sampling = Sampling { max_tokens: 2, ..Sampling::default() };
    let generate =
        Generate { prompt, sampling, top_logprobs: 5, begun: 0, interventions: Vec::new(), allow: None };
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
fn ids(steps: &[Step]) -> Vec<TokenId> {
    steps.iter().filter_map(|step| step.id).collect()
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

#[test]
fn tokens_of_any_bytes_are_the_bytes() {
    let pieces = vocabulary::Pieces::new("");
    for text in ["plain", "🙂 世界", "<|im_end|> \u{1b}[2J", ""] {
        let ids = pieces.tokenize(text.as_bytes(), false);
        let bytes: Vec<u8> =
            ids.iter().flat_map(|id| pieces.vocabulary.bytes(*id).unwrap()).copied().collect();
        assert_eq!(bytes, text.as_bytes());
        assert!(ids.iter().all(|id| pieces.vocabulary.kind(*id) != TokenKind::Control));
    }
}

#[test]
fn what_an_opened_pass_adds_up_to_is_its_output() {
    let mut fixture = Fixture::loaded(QUICK, "toy");
    let ids: Vec<TokenId> = (290..310).map(TokenId).collect();
    let pair = (TokenId(300), TokenId(301));
    let follow = vec![pair.0, pair.1];
    let want = Want { follow, lens: true, attention: vec![1], attribution: Some(pair), ..Want::default() };
    let inspect = Inspect { ids, want, ..Inspect::default() };
    let request = Request::Inspection(Inspection::Inspect(Box::new(inspect)));
    let Some(Event::Inspected(seen)) = fixture.ask(request).pop() else { panic!("it is opened") };
    let trace = seen.trace;
    let last = trace.lens.unwrap().rows.pop().unwrap();
    assert_eq!((&last.top[..], &last.followed), (&trace.next[..3], &trace.followed));
    assert!(trace.attribution.unwrap().closure_error < 1e-3);
    for head in &trace.attention.unwrap().layers[0].heads {
        assert!((head.weights.iter().sum::<f32>() - 1.0).abs() < 1e-4 && head.weights.len() == 20);
    }
}

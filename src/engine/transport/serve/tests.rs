//! The serving loop against jobs and answers that misbehave on request.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use super::*;
use crate::engine::protocol::{Beam, CapturePlan};
use crate::engine::scripted::{self, ScriptedOptions};
use crate::engine::transport::thread::ThreadEngine;
use crate::engine::{Engine, testing};

/// Behaves as its next instruction says.
struct Odd {
    emit: Emit,
    instructions: Receiver<&'static str>,
}

struct Nothing;

impl Jobs for Odd {
    fn inspection(&mut self, id: RequestId, _: Inspection) {
        self.job(id, Job::Calibrate);
    }

    fn job(&mut self, id: RequestId, _: Job) {
        match self.instructions.recv().unwrap() {
            "panic" => panic!("the sky fell"),
            "silence" => {}
            "twice" => (0..2).for_each(|_| (self.emit)(Envelope { id, event: Event::Acknowledged })),
            "late" => {
                (self.emit)(Envelope { id, event: Event::Acknowledged });
                (self.emit)(Envelope { id, event: Event::LoadProgress(0.5) });
                panic!("after the answer");
            }
            _ => loop {
                thread::park();
            },
        }
    }
}

impl Answers for Nothing {
    fn merges(&self, _: &str, _: bool, _: bool) -> Result<Pieces, Failure> {
        Ok(Pieces::default())
    }

    fn set_capture(&self, _: CapturePlan) -> Result<(), Failure> {
        Ok(())
    }

    fn pace(&self, _: RequestId, _: Option<u32>) {}

    fn cancel(&self, _: RequestId) {}
    fn tokenize(&self, _: &str, _: bool, _: bool) -> Result<Vec<(TokenId, Vec<u8>)>, Failure> {
        panic!("no tokenizer")
    }
    fn vocabulary(&self) -> Result<Arc<Vocabulary>, Failure> {
        Ok(Arc::default())
    }
    fn describe(&self, _: &ModelEntry) -> Result<ModelFacts, Failure> {
        Ok(ModelFacts::default())
    }
}

fn odd() -> (ThreadEngine, Sender<&'static str>, Receiver<Envelope>) {
    let (instruct, instructions) = channel();
    let (sink, events) = testing::events();
    let make = move |emit, _| -> Made { (Box::new(Odd { emit, instructions }), Arc::new(Nothing)) };
    (ThreadEngine::start(sink, make).unwrap(), instruct, events)
}

/// A request for the worker.
fn work_for_the_worker() -> Request {
    Request::Job(Job::Beam(Box::new(Beam { ids: Vec::new(), width: 1, depth: 1, interventions: Vec::new() })))
}

/// All events but the greeting and the end. A stuck worker keeps its end of the channel, so the last event
/// is what ends the wait.
fn answers(engine: ThreadEngine, events: &Receiver<Envelope>) -> Vec<(u64, Event)> {
    drop(engine);
    let mut all = Vec::new();
    while !matches!(all.last(), Some((_, Event::Exited(_)))) {
        let envelope = events.recv().unwrap();
        all.push((envelope.id.0, envelope.event));
    }
    assert_eq!(all.first(), Some(&(0, Event::ready())));
    assert!(matches!(all.last(), Some((0, Event::Exited(exit))) if exit.expected));
    all[1..all.len() - 1].to_vec()
}

#[test]
fn a_panic_of_the_worker_fails_the_request_and_the_next_one_works() {
    let (engine, instruct, events) = odd();
    for (id, instruction) in [(1, "panic"), (2, "twice")] {
        instruct.send(instruction).unwrap();
        engine.send(RequestId(id), work_for_the_worker()).unwrap();
    }
    let events: Vec<_> = std::iter::from_fn(|| events.recv().ok()).skip(1).take(2).collect();
    let message = "The engine failed inside (the sky fell). Reload the model before going on.".to_owned();
    let failure = Failure { message, kind: FailureKind::Other };
    assert_eq!(events[0], Envelope { id: RequestId(1), event: Event::Failed(failure) });
    assert_eq!(events[1], Envelope { id: RequestId(2), event: Event::Acknowledged });
}

#[test]
fn each_request_gets_exactly_one_final_event_whatever_the_worker_does() {
    let (engine, instruct, events) = odd();
    for (id, instruction) in (1..).zip(["silence", "twice", "late", "twice"]) {
        instruct.send(instruction).unwrap();
        engine.send(RequestId(id), work_for_the_worker()).unwrap();
    }
    let seen: Vec<_> = events.iter().skip(1).take(4).collect();
    let message = "The engine gave no answer.".to_owned();
    let failure = Event::Failed(Failure { message, kind: FailureKind::Other });
    let done = Event::Acknowledged;
    assert_eq!(
        seen.into_iter().map(|envelope| (envelope.id.0, envelope.event)).collect::<Vec<_>>(),
        [(1, failure), (2, done.clone()), (3, done.clone()), (4, done)]
    );
    assert_eq!(answers_after(engine, &events), []);
}

fn answers_after(engine: ThreadEngine, events: &Receiver<Envelope>) -> Vec<Event> {
    drop(engine);
    events.iter().map(|envelope| envelope.event).filter(|event| !matches!(event, Event::Exited(_))).collect()
}

#[test]
fn quick_requests_are_answered_while_the_worker_hangs_and_a_panic_there_is_caught() {
    let (engine, instruct, events) = odd();
    instruct.send("hang").unwrap();
    engine.send(RequestId(1), work_for_the_worker()).unwrap();
    engine.send(RequestId(2), Request::Immediate(Immediate::Vocabulary)).unwrap();
    engine
        .send(
            RequestId(3),
            Request::Immediate(Immediate::Tokenize { text: "x".into(), special: false, begin: false }),
        )
        .unwrap();
    engine.send(RequestId(4), Request::Immediate(Immediate::Fault("abort".into()))).unwrap();
    let begun = Instant::now();
    let mut answers = answers(engine, &events);
    // Questions are answered on their own thread: what is only set may come before them.
    answers.sort_by_key(|(id, _)| *id);
    answers.retain(|(id, _)| *id > 1);
    assert_eq!(answers[0], (2, Event::Vocabulary(Box::default())));
    assert!(matches!(&answers[1], (3, Event::Failed(failure)) if failure.message.contains("no tokenizer")));
    assert!(matches!(&answers[2], (4, Event::Failed(failure)) if failure.message.contains("test builds")));
    assert!(begun.elapsed() < Duration::from_millis(1500), "a stuck worker holds nothing up");
}

/// Answers whose questions wait until they are let go, and which tells what reaches it.
struct Slow {
    cancels: std::sync::mpsc::SyncSender<RequestId>,
    begun: std::sync::mpsc::SyncSender<()>,
    let_go: Mutex<Receiver<()>>,
}

impl Answers for Slow {
    fn merges(&self, _: &str, _: bool, _: bool) -> Result<Pieces, Failure> {
        self.begun.send(()).unwrap();
        let _ = self.let_go.lock().unwrap().recv();
        Ok(Pieces::default())
    }
    fn set_capture(&self, _: CapturePlan) -> Result<(), Failure> {
        Ok(())
    }
    fn pace(&self, _: RequestId, _: Option<u32>) {}
    fn cancel(&self, target: RequestId) {
        self.cancels.send(target).unwrap();
    }
    fn tokenize(&self, _: &str, _: bool, _: bool) -> Result<Vec<(TokenId, Vec<u8>)>, Failure> {
        self.begun.send(()).unwrap();
        let _ = self.let_go.lock().unwrap().recv();
        Ok(Vec::new())
    }
    fn vocabulary(&self) -> Result<Arc<Vocabulary>, Failure> {
        Ok(Arc::default())
    }
    fn describe(&self, _: &ModelEntry) -> Result<ModelFacts, Failure> {
        Ok(ModelFacts::default())
    }
}

#[test]
fn a_slow_question_holds_up_no_cancel_and_only_one_is_worked_on_at_a_time() {
    use std::sync::mpsc::sync_channel;
    let ((cancels, cancelled), (begun, beginnings)) = (sync_channel(9), sync_channel(9));
    let (go, let_go) = channel();
    let (sink, events) = testing::events();
    let (instruct, instructions) = channel();
    let make = move |emit, _| -> Made {
        (Box::new(Odd { emit, instructions }), Arc::new(Slow { cancels, begun, let_go: Mutex::new(let_go) }))
    };
    let engine = ThreadEngine::start(sink, make).unwrap();
    let soon = Duration::from_secs(10);
    let pieces = |text: &str| {
        Request::Immediate(Immediate::Pieces { text: text.into(), special: false, inside: false })
    };
    engine
        .send(
            RequestId(1),
            Request::Immediate(Immediate::Tokenize { text: "x".into(), special: false, begin: false }),
        )
        .unwrap();
    for id in 2..=4 {
        engine.send(RequestId(id), pieces("y")).unwrap();
    }
    beginnings.recv_timeout(soon).expect("the first question is begun");
    for id in [2, 3] {
        engine
            .send(RequestId(9 + id), Request::Immediate(Immediate::Cancel { target: RequestId(id) }))
            .unwrap();
        assert_eq!(cancelled.recv_timeout(soon), Ok(RequestId(id)), "a cancel is read meanwhile");
    }
    assert!(beginnings.try_recv().is_err(), "the others wait for the first");
    go.send(()).unwrap();
    beginnings.recv_timeout(soon).expect("the newest is begun");
    go.send(()).unwrap();
    let answers: Vec<_> =
        events.iter().skip(1).take(4).map(|envelope| (envelope.id.0, envelope.event)).collect();
    assert_eq!(answers.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2, 3, 4], "in order");
    assert_eq!(answers[0].1, Event::Tokenized { tokens: Vec::new() });
    assert_eq!(answers[3].1, Event::Pieces(Box::default()));
    for (_, event) in &answers[1..3] {
        assert!(matches!(event, Event::Failed(failure) if failure.kind == FailureKind::Cancelled));
    }
    drop((engine, instruct));
}

#[test]
fn frames_in_frames_out() {
    let mut input = Vec::new();
    for (id, request) in [
        (1, Request::Immediate(Immediate::Vocabulary)),
        (2, Request::Immediate(Immediate::Shutdown)),
        (3, Request::Immediate(Immediate::Vocabulary)),
    ] {
        frame::write(&mut input, &Call { id: RequestId(id), request }).unwrap();
    }
    let output = testing::Output::default();
    serve(input.as_slice(), output.clone(), Containment::Off, scripted::make(ScriptedOptions::default()))
        .unwrap();
    let bytes = output.written();
    let mut bytes = bytes.strip_prefix(greeting::MARK).expect("the mark comes first");
    let events: Vec<Envelope> = std::iter::from_fn(|| frame::read(&mut bytes).unwrap()).collect();
    assert_eq!(events.len(), 2, "nothing after the shutdown: {events:?}");
    assert_eq!(events[0].event, Event::Ready { version: VERSION, containment: Containment::Off });
    assert!(matches!(&events[1].event, Event::Failed(failure) if failure.kind == FailureKind::NoModel));
}

#[test]
fn garbage_on_the_input_is_an_error() {
    let input = [5, 0, 0, 0, 1, 2, 3, 4, 5];
    let error =
        serve(input.as_slice(), io::sink(), Containment::Off, scripted::make(ScriptedOptions::default()))
            .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

/// Bytes of a frame with a token, as the scripted engine writes them under a plan; the mean.
fn bytes_a_token(plan: CapturePlan) -> f32 {
    use crate::chat::Role;
    use crate::engine::protocol::{Generate, Message, TemplateSetting};
    use crate::model_entry::{LoadParams, Source};
    use crate::sampling::Sampling;

    let messages = vec![Message::new(Role::User, "count")];
    let prompt = Prompt::Chat { messages, continue_last: false, setting: TemplateSetting::default() };
    let entry = Box::new(ModelEntry::new("x", Source::Path("/x.gguf".into())));
    let generate = Generate {
        prompt,
        sampling: Sampling { max_tokens: 100, ..Sampling::default() },
        top_logprobs: crate::config::Config::default().inspector.candidates,
        begun: 0,
        interventions: Vec::new(),
        allow: None,
    };
    let (emitted, written) = channel();
    let emit: Emit = Arc::new(move |envelope: Envelope| drop(emitted.send(envelope)));
    let calls = [
        Request::Job(Job::Load { entry, params: LoadParams::default() }),
        Request::Immediate(Immediate::SetCapture(plan)),
        Request::Job(Job::Generate(Box::new(generate))),
    ];
    let (asked, asking) = channel();
    for (id, request) in (1..).zip(calls) {
        asked.send(Call { id: RequestId(id), request }).unwrap();
    }
    let options = ScriptedOptions { token_ms: 0, load_ms: 0, slice_ms: 0, ..ScriptedOptions::default() };
    let serving = std::thread::spawn(move || answer(asking.into_iter(), &emit, scripted::make(options)));
    let mut sizes = Vec::new();
    loop {
        let envelope = written.recv().unwrap();
        let size = frame::encode(&envelope).unwrap().len();
        match envelope.event {
            Event::Token(_) => sizes.push(size),
            event if envelope.id == RequestId(3) && event.is_final() => break,
            _ => {}
        }
    }
    drop(asked);
    serving.join().unwrap();
    assert!(sizes.len() > 50, "{} tokens", sizes.len());
    sizes.iter().sum::<usize>() as f32 / sizes.len() as f32
}

/// At 100 tokens a second a line has to take at most a megabyte a second.
#[test]
fn a_token_with_its_candidates_takes_less_than_a_line_of_a_megabyte_a_second_carries() {
    let softmax =
        bytes_a_token(CapturePlan { watch: (0..8).map(TokenId).collect(), ..CapturePlan::default() });
    let sampler = bytes_a_token(CapturePlan { stages: 20, ..CapturePlan::default() });
    println!("bytes a token: softmax {softmax:.0}, sampler {sampler:.0}");
    assert!(softmax < 1_000.0, "softmax: {softmax} bytes a token");
    assert!(sampler < 5_000.0, "sampler: {sampler} bytes a token");
}

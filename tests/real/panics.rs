//! A worker that panics in a job: the request is answered, and nothing of the job is left behind.
//!
//! Invariant: what is asked afterwards is answered as by an engine that never panicked.

use glassbox::chat::Intervention;
use glassbox::engine::protocol::{
    Attend, Attending, Depths, Event, Generate, Immediate, Inspect, Inspection, Job, Prompt, Replay, Request,
    Rescore, Want,
};
use glassbox::sampling::Sampling;
use glassbox::token::TokenId;

use crate::kit::{Beside, SMOLLM, dequantized};

const TEXT: &str = "The capital of France is Paris, and the capital of Italy is";

/// So much that no answer is like one of the unchanged network.
fn changed() -> Vec<Intervention> {
    (0..6).map(|layer| Intervention::ZeroFfn { layer }).collect()
}

fn ids(model: &mut Beside) -> Vec<TokenId> {
    let request = Request::Immediate(Immediate::Tokenize { text: TEXT.into(), special: false, begin: true });
    match model.answer(request) {
        Event::Tokenized { tokens } => tokens.into_iter().map(|(id, _)| id).collect(),
        other => panic!("{other:?}"),
    }
}

fn reply(ids: &[TokenId], interventions: Vec<Intervention>, allow: Option<u32>) -> Request {
    let sampling = Sampling { temperature: 0.0, max_tokens: 8, ..Sampling::default() };
    let prompt = Prompt::Ids { ids: ids.to_vec(), taken: Vec::new(), chat: false };
    Request::Job(Job::Generate(Box::new(Generate {
        prompt,
        sampling,
        top_logprobs: 1,
        begun: 0,
        interventions,
        allow,
    })))
}

fn pass(ids: &[TokenId], ablations: Vec<Intervention>) -> Request {
    let want = Want { lens: true, overview: true, ..Want::default() };
    Request::Inspection(Inspection::Inspect(Box::new(Inspect {
        ids: ids.to_vec(),
        ablations,
        want,
        ..Inspect::default()
    })))
}

/// What each sort of job says of the text: a pass, a distribution, the tokens of a reply. The reply comes last, since it
/// sets right what others would have found wrong.
type Said = (Vec<TokenId>, Vec<f32>, Vec<TokenId>);

fn said(model: &mut Beside, ids: &[TokenId]) -> Said {
    let next = match model.answer(pass(ids, Vec::new())) {
        Event::Inspected(seen) => seen.trace.next.iter().take(5).map(|next| next.id).collect(),
        Event::Failed(failure) => panic!("{failure}"),
        _ => panic!("another answer"),
    };
    let look = Replay { ids: ids.to_vec(), interventions: Vec::new(), logits: true, chain: None };
    let logits = match model.answer(Request::Job(Job::Replay(Box::new(look)))) {
        Event::Replayed(looked) => looked.unpack(),
        Event::Failed(failure) => panic!("{failure}"),
        _ => panic!("another answer"),
    };
    let written = model.ask(reply(ids, Vec::new(), None)).into_iter().filter_map(|event| match event {
        Event::Token(written) => written.step.id,
        Event::Failed(failure) => panic!("{failure}"),
        _ => None,
    });
    (next, logits, written.collect())
}

fn same(model: &mut Beside, ids: &[TokenId], before: &Said, job: &str) {
    let after = said(model, ids);
    assert_eq!(after.0, before.0, "the pass after {job}");
    let apart = after.1.iter().zip(&before.1).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-3, "the distribution after {job} is {apart} off");
    assert_eq!(after.2, before.2, "the reply after {job}");
}

fn refused(event: Event, job: &str) {
    let Event::Failed(failure) = event else { panic!("{job} was done") };
    assert!(failure.message.contains("failed inside"), "{job}: {failure}");
}

fn fault(model: &mut Beside) {
    assert!(
        model.answer(Request::Immediate(Immediate::Fault("panic in a job".into()))) == Event::Acknowledged
    );
}

#[test]
fn a_job_that_panics_is_answered_and_what_comes_later_is_as_ever() {
    let mut model = Beside::load(SMOLLM, dequantized());
    let ids = ids(&mut model);
    let untouched = said(&mut model, &ids);
    let other: Vec<TokenId> = ids.iter().rev().copied().collect();
    let attend = Attend { ids: other.clone(), interventions: changed(), of: Attending::Head(2, 1) };
    let depths = Depths { ids: other.clone(), from: 8, cells: false, interventions: changed() };
    let reread = Rescore {
        prompt: Prompt::Ids { ids: other.clone(), taken: Vec::new(), chat: false },
        reply: ids[..4].to_vec(),
        top_logprobs: 1,
        interventions: changed(),
    };
    let look = Replay { ids: other.clone(), interventions: changed(), logits: true, chain: None };
    let jobs = [
        ("a reply", reply(&other, changed(), None)),
        ("a pass", pass(&other, changed())),
        ("a matrix", Request::Job(Job::Attend(Box::new(attend)))),
        ("a grid", Request::Job(Job::Depths(Box::new(depths)))),
        ("a score", Request::Job(Job::Rescore(Box::new(reread)))),
        ("a look", Request::Job(Job::Replay(Box::new(look)))),
    ];
    for (job, request) in jobs {
        fault(&mut model);
        let event = model.answer(request);
        refused(event, job);
        same(&mut model, &ids, &untouched, job);
    }
}

#[test]
fn a_pass_that_panics_beside_a_reply_leaves_the_reply_as_it_was() {
    let mut model = Beside::load(SMOLLM, dequantized());
    let ids = ids(&mut model);
    let untouched = said(&mut model, &ids);
    let writing = model.send(reply(&ids, Vec::new(), Some(2)));
    model.until(writing, |event| *event == Event::Paused);
    fault(&mut model);
    let other: Vec<TokenId> = ids.iter().rev().copied().collect();
    let event = model.answer(pass(&other, changed()));
    refused(event, "a pass beside a reply");
    model.send(Request::Immediate(Immediate::Pace { target: writing, allow: None }));
    let rest = model.until(writing, Event::is_final);
    let written = rest.iter().filter_map(|event| match event {
        Event::Token(written) => written.step.id,
        _ => None,
    });
    assert_eq!(written.collect::<Vec<_>>(), untouched.2[2..], "{:?}", rest.last());
    same(&mut model, &ids, &untouched, "a pass beside a reply");
}

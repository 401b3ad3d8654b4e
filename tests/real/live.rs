//! Passes opened while a reply is written, and beside it, on the default model.
//!
//! Invariant: what a live look shows is what the same pass shows when it is read again, within what batch size moves;
//! and the reply is the one that is written without looking.

use crate::kit::{self, Beside as Fixture, SMOLLM};
use glassbox::engine::protocol::{
    CapturePlan, Embed, Event, FailureKind, Generate, Immediate, Inspect, Inspected, Inspection, Job, Live,
    LiveInside, Prompt, Request, Want,
};
use glassbox::inspect::trace::ForwardTrace;
use glassbox::sampling::Sampling;
use glassbox::token::{Step, TokenId};

/// Steps of a reply with what was opened of each.
type Steps = Vec<(Step, Option<LiveInside>)>;

fn load() -> Fixture {
    Fixture::load(SMOLLM, kit::plain())
}

fn dequantized() -> Fixture {
    Fixture::load(SMOLLM, kit::dequantized())
}

impl Fixture {
    fn open_live(&mut self, live: Option<Live>) {
        let plan = CapturePlan { inside: live.map(Box::new), ..CapturePlan::default() };
        let id = self.send(Request::Immediate(Immediate::SetCapture(plan)));
        assert_eq!(self.final_of(id), Event::Acknowledged);
    }

    /// A greedy reply; gives the prompt too.
    fn reply(&mut self, tokens: u32) -> (Vec<TokenId>, Steps) {
        let id = self.send(generate(tokens, None));
        steps(self.until(id, Event::is_final))
    }

    fn inspect(&mut self, ids: &[TokenId], want: Want) -> Inspected {
        let inspect = Inspect { ids: ids.to_vec(), want, ..Inspect::default() };
        let id = self.send(Request::Inspection(Inspection::Inspect(Box::new(inspect))));
        match self.final_of(id) {
            Event::Inspected(seen) => *seen,
            other => panic!("{other:?}"),
        }
    }
}

fn generate(tokens: u32, allow: Option<u32>) -> Request {
    let text =
        "The capital of France is Paris. The capital of Italy is Rome. The capital of Spain is".to_owned();
    let sampling = Sampling { temperature: 0.0, max_tokens: tokens, ..Sampling::default() };
    Request::Job(Job::Generate(Box::new(Generate {
        prompt: Prompt::Raw { text },
        sampling,
        top_logprobs: 5,
        interventions: Vec::new(),
        begun: 0,
        allow,
    })))
}

fn steps(events: Vec<Event>) -> (Vec<TokenId>, Steps) {
    let (mut prompt, mut steps) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Prompt(facts) => prompt = facts.ids,
            Event::Token(written) => {
                assert_eq!(written.index as usize, steps.len());
                steps.push((written.step, written.inside.map(|live| *live)));
            }
            Event::PromptProgress { done, total } => assert!(done <= total),
            _ => {}
        }
    }
    (prompt, steps)
}

fn everything() -> Live {
    let want = Want {
        lens: true,
        overview: true,
        attention: vec![23],
        ffn: vec![28],
        neurons: 6,
        words: true,
        ..Want::default()
    };
    Live { want, attribution: true, rotation: Some((23, 4)), budget: 1.0, ..Live::default() }
}

/// The largest difference between the figures of two openings of one pass.
fn difference(a: &ForwardTrace, b: &ForwardTrace) -> f32 {
    let mut most = 0.0_f32;
    let mut between = |a: f32, b: f32| most = most.max((a - b).abs());
    let rows = |trace: &ForwardTrace| trace.lens.clone().unwrap().rows;
    for (a, b) in rows(a).iter().zip(&rows(b)) {
        between(a.followed[0].logprob.exp(), b.followed[0].logprob.exp());
        between(a.norm / b.norm, 1.0);
    }
    let heads = |trace: &ForwardTrace| trace.attention.clone().unwrap().layers[0].heads.clone();
    for (a, b) in heads(a).iter().zip(&heads(b)) {
        assert_eq!(a.weights.len(), b.weights.len());
        a.weights.iter().zip(&b.weights).for_each(|(a, b)| between(*a, *b));
    }
    most
}

#[test]
fn a_pass_opened_while_it_is_written_is_the_pass_that_is_read_again_and_changes_nothing() {
    let mut fixture = dequantized();
    let (_, plain) = fixture.reply(12);
    assert!(plain.iter().all(|(_, opened)| opened.is_none()), "an empty plan opens nothing");
    fixture.open_live(Some(everything()));
    let id = fixture.send(generate(12, Some(100)));
    let (prompt, looked) = steps(fixture.until(id, Event::is_final));
    let ids = |steps: &Steps| steps.iter().map(|(step, _)| step.id.unwrap()).collect::<Vec<_>>();
    assert_eq!(ids(&plain), ids(&looked), "the greedy reply is the same");
    fixture.open_live(None);
    let mut read = prompt;
    for (index, (step, opened)) in looked.iter().enumerate() {
        let opened = opened.as_ref().expect("a reply that goes token by token is looked at each time");
        assert_eq!(opened.seen.trace.position as usize, read.len() - 1);
        let trace = &opened.seen.trace;
        assert!(trace.missing.is_empty(), "{:?}", trace.missing);
        assert_eq!(trace.followed[0].id, step.id.unwrap());
        assert!((trace.followed[0].logprob - step.logprob).abs() < 1e-4);
        let last = trace.lens.as_ref().unwrap().rows.last().unwrap();
        assert!((last.followed[0].logprob.exp() - step.logprob.exp()).abs() < 0.01);
        let attribution = trace.attribution.as_ref().unwrap();
        let logits = step.logprob - step.candidates[1].logprob;
        assert!((attribution.difference - logits).abs() < 0.01, "{} {logits}", attribution.difference);
        assert!(attribution.closure_error < 0.05 * (1.0 + attribution.difference.abs()));
        if index % 4 == 0 {
            let follow = trace.followed.iter().map(|followed| followed.id).collect();
            let want = Want { follow, attribution: None, ..everything().want };
            let again = fixture.inspect(&read, want);
            let most = difference(trace, &again.trace);
            assert!(most < 0.03, "token {index}: {most}");
        }
        read.push(step.id.unwrap());
    }
    let cost: Vec<f32> = looked.iter().filter_map(|(_, live)| live.as_ref().map(|live| live.ms)).collect();
    println!("a look at everything: {cost:.1?} ms");
}

#[test]
fn a_dear_look_comes_every_so_many_tokens_and_says_so() {
    let mut fixture = load();
    fixture.reply(8);
    fixture.open_live(Some(Live { budget: 0.05, ..everything() }));
    let (_, looked) = fixture.reply(120);
    let at: Vec<usize> = (0..looked.len()).filter(|at| looked[*at].1.is_some()).collect();
    let every: Vec<u32> =
        looked.iter().filter_map(|(_, live)| live.as_ref().map(|live| live.every)).collect();
    println!("looked at {at:?}, every {every:?}");
    assert_eq!(at[0], 0, "the first token is looked at");
    assert!(every[0] > 4 && at.len() < looked.len() / 3);
}

#[test]
fn what_is_asked_for_while_a_reply_waits_is_answered_and_the_reply_goes_on_as_it_would_have() {
    let mut fixture = dequantized();
    let (prompt, plain) = fixture.reply(10);
    let id = fixture.send(generate(10, Some(3)));
    let mut events = fixture.until(id, |event| *event == Event::Paused);
    // A past pass, an ablation, and the embedding table: all while the reply waits.
    let lens = Want { lens: true, follow: vec![plain[1].0.id.unwrap()], ..Want::default() };
    let mut read = prompt.clone();
    read.push(plain[0].0.id.unwrap());
    let seen = fixture.inspect(&read, lens);
    assert!((seen.trace.followed[0].logprob - plain[1].0.logprob).abs() < 0.05);
    assert_eq!(seen.decoded, 1, "only the pass itself is decoded");
    let part = glassbox::inspect::trace::Component::Head(23, 4);
    let off = glassbox::engine::protocol::switched_off(part).into_iter().collect();
    let changed = Inspect { ids: prompt.clone(), ablations: off, ..Inspect::default() };
    let card = fixture.send(Request::Inspection(Inspection::Inspect(Box::new(changed))));
    assert!(matches!(fixture.final_of(card), Event::Inspected(seen) if seen.trace.original.is_some()));
    let embed = Embed { sum: vec![(read[1], 1.0)], neighbours: 4, ..Embed::default() };
    let table = fixture.send(Request::Inspection(Inspection::Embed(Box::new(embed))));
    assert!(matches!(fixture.final_of(table), Event::Embedded(_)));
    // What would need the chat's own cells is refused, for now.
    let foreign = Inspect { ids: vec![TokenId(2); 900], ..Inspect::default() };
    let foreign = fixture.send(Request::Inspection(Inspection::Inspect(Box::new(foreign))));
    assert!(matches!(fixture.final_of(foreign), Event::Failed(failure) if failure.kind == FailureKind::Busy));
    // The reply goes on before this is acknowledged.
    let pace = fixture.send(Request::Immediate(Immediate::Pace { target: id, allow: None }));
    assert_eq!(fixture.final_of(pace), Event::Acknowledged);
    events.extend(fixture.until(id, Event::is_final));
    let (_, steps) = steps(events);
    assert_eq!(steps.len(), plain.len());
    for ((step, _), (plain, _)) in steps.iter().zip(&plain) {
        assert_eq!(step.id, plain.id);
        assert!((step.logprob - plain.logprob).abs() < 1e-3, "{} {}", step.logprob, plain.logprob);
    }
}

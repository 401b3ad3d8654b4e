//! What a model thinks before it answers: bound by its budget, and free of the grammar that the answer is held to.
//!
//! Invariant: what the tiny model writes is chosen by biases, so that no claim rests on its weights.

use glassbox::chat::StopReason;
use glassbox::engine::protocol::{CapturePlan, Event, Generate, Job, Prompt, Request, Written};
use glassbox::reasoning::{Kind, Split};
use glassbox::sampling::{LogitBias, Sampling};

use crate::family::LLAMA;
use crate::fixture::Fixture;
use crate::gguf::{END, THINK};
use crate::{exact, id, ids, load, tokens};

const ANSWER: &str = "root ::= \"yes\" | \"no\"";
const OPEN: usize = THINK[0].0;

/// A reply: what was written, and how it ended.
pub struct Reply {
    pub written: Vec<Written>,
    stop: StopReason,
}

impl Reply {
    fn text(&self) -> String {
        self.written.iter().map(|one| String::from_utf8_lossy(&one.step.bytes)).collect()
    }

    /// What follows the mark that ends the thoughts.
    fn answer(&self) -> String {
        self.text().rsplit_once("</think>\n\n").unwrap().1.to_owned()
    }

    pub fn ids(&self) -> Vec<usize> {
        self.written.iter().map(|one| usize::try_from(one.step.id.unwrap().0).unwrap()).collect()
    }

    fn forced(&self) -> String {
        let forced = self.written.iter().filter(|one| one.forced);
        forced.map(|one| String::from_utf8_lossy(&one.step.bytes)).collect()
    }

    /// Which tokens were written before the mark that was forced.
    fn thought(&self) -> usize {
        self.written.iter().position(|one| one.forced).unwrap()
    }
}

pub fn reply(model: &mut Fixture, prompt: &[usize], taken: &[usize], sampling: Sampling) -> Reply {
    let prompt = Prompt::Ids { ids: ids(prompt), taken: ids(taken), chat: false };
    let generate =
        Generate { prompt, sampling, top_logprobs: 4, begun: 0, interventions: Vec::new(), allow: None };
    let (mut written, mut stop) = (Vec::new(), None);
    for event in model.handle(Request::Job(Job::Generate(Box::new(generate)))) {
        match event {
            Event::Token(one) => written.push(*one),
            Event::Done { stop: why, .. } => stop = Some(why),
            Event::Failed(failure) => panic!("{}", failure.message),
            _ => {}
        }
    }
    Reply { written, stop: stop.unwrap() }
}

/// Always the likeliest; what is pushed is likelier than everything else.
fn pushed(token: usize) -> Sampling {
    let bias = LogitBias { text: None, id: Some(id(token).0), bias: 100.0 };
    Sampling { temperature: 0.0, max_tokens: 60, logit_bias: vec![bias], ..Sampling::default() }
}

fn held(sampling: Sampling) -> Sampling {
    Sampling { grammar: ANSWER.into(), ..sampling }
}

fn answers(text: &str) {
    assert!(["yes", "no"].contains(&text), "{text:?}");
}

#[test]
fn thoughts_end_where_their_budget_does() {
    let (mut model, _) = load(LLAMA, &exact());
    let budget = |thinking_budget| Sampling { thinking_budget, ..pushed(OPEN) };
    // The model would write its mark for ever. The first is a mark, the others are thoughts.
    let free = reply(&mut model, &tokens(), &[], budget(0));
    assert_eq!((free.stop, free.forced().as_str()), (StopReason::Length, ""));
    let bound = reply(&mut model, &tokens(), &[], budget(7));
    assert_eq!((bound.thought(), bound.forced().as_str()), (7, "\n</think>\n\n"));
    // A mark at the prompt's end opens them too, and what is taken of a reply counts.
    let prompt = [&tokens()[..], &[OPEN]].concat();
    let opened = reply(&mut model, &prompt, &[], budget(7));
    assert_eq!((opened.thought(), opened.forced().as_str()), (7, "\n</think>\n\n"));
    let taken = reply(&mut model, &prompt, &[65, 66, 67, 68], budget(7));
    assert_eq!((taken.thought(), taken.forced().as_str()), (3, "\n</think>\n\n"));
    let used_up = reply(&mut model, &prompt, &[65, 66, 67, 68], budget(2));
    assert_eq!((used_up.thought(), used_up.forced().as_str()), (0, "\n</think>\n\n"));
}

#[test]
fn a_grammar_holds_the_answer_and_leaves_thoughts_free() {
    let (mut model, _) = load(LLAMA, &exact());
    // Without a push to think it answers at once.
    let plain = reply(&mut model, &tokens(), &[], held(pushed(END)));
    assert_eq!(plain.stop, StopReason::Eos);
    answers(&plain.text());

    // It may begin to think, and is held to the grammar once it has ended.
    let thinks = reply(&mut model, &tokens(), &[], held(Sampling { thinking_budget: 7, ..pushed(OPEN) }));
    assert_eq!((thinks.stop, thinks.thought()), (StopReason::Eos, 7));
    assert!(thinks.text().starts_with(&"<think>".repeat(7)), "{}", thinks.text());
    answers(&thinks.answer());
    let split = Split::of(None, thinks.written.iter().map(|one| (&one.step.bytes[..], None)));
    assert_eq!(split.parts.last().unwrap().kind, Kind::Answer);

    // Where the prompt opens the thoughts, ending the reply in the midst of them is not open to it.
    let prompt = [&tokens()[..], &[OPEN]].concat();
    let opened = reply(&mut model, &prompt, &[], held(Sampling { thinking_budget: 5, ..pushed(END) }));
    assert_eq!((opened.stop, opened.thought()), (StopReason::Eos, 5));
    answers(&opened.answer());
    // Going on in the midst of an answer holds the rest.
    let (_, half) = opened.written.split_last().unwrap();
    let half = Reply { written: half.to_vec(), stop: StopReason::Cancelled };
    let rest = reply(&mut model, &prompt, &half.ids(), held(pushed(OPEN)));
    assert_eq!(rest.stop, StopReason::Eos);
    answers(&(half.answer() + &rest.text()));
}

#[test]
fn asking_the_grammar_of_the_likeliest_first_draws_as_asking_it_of_all() {
    let (mut model, _) = load(LLAMA, &exact());
    // Between letters, where most of the likeliest are ruled out, one in four places allows a single token.
    let grammar = r#"root ::= ("x" [a-z] [^a-z] [^0-9]){12}"#.to_owned();
    for seed in 0..12 {
        let sampling = Sampling {
            seed: Some(seed),
            top_k: 5,
            max_tokens: 60,
            grammar: grammar.clone(),
            ..Sampling::default()
        };
        let drawn = |model: &mut Fixture, stages: u32| {
            model.shared.control().set_capture(CapturePlan { stages, ..CapturePlan::default() });
            let reply = reply(model, &tokens(), &[], sampling.clone());
            assert_eq!(reply.written[0].stages.is_some(), stages > 0);
            reply.written.iter().map(|one| (one.step.id, one.step.survivors)).collect::<Vec<_>>()
        };
        // The whole vocabulary is asked where the stages are recorded.
        assert_eq!(drawn(&mut model, 0), drawn(&mut model, 5), "{seed}");
    }
}

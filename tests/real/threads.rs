//! How many threads compute changes no figure: a reply is the same whatever else ran on the machine meanwhile.
//!
//! Invariant: figures are compared bit by bit, on quantised weights as a chat has them.

use glassbox::engine::protocol::{Event, Generate, Job, Prompt, Request};
use glassbox::model_entry::{FlashAttention, LoadParams};
use glassbox::sampling::Sampling;
use glassbox::token::TokenId;

use crate::kit::{GEMMA, Model, SMOLLM, plain};

/// Every figure of reading a text and of going on with it.
#[derive(Debug, PartialEq)]
struct Figures {
    read: Vec<u32>,
    written: Vec<(Option<TokenId>, u32, u32, Vec<u32>)>,
}

fn figures(model: &mut Model) -> Figures {
    let text =
        "The lighthouse keeper wrote down every ship that passed, and what the sky was like. ".repeat(12);
    let ids = model.ids(&text);
    let read = model.logprobs(&ids).into_iter().map(f32::to_bits).collect();
    let request = Generate {
        prompt: Prompt::Ids { ids, taken: Vec::new(), chat: false },
        sampling: Sampling { temperature: 0.0, max_tokens: 24, ..Sampling::default() },
        top_logprobs: 20,
        begun: 0,
        interventions: Vec::new(),
        allow: None,
    };
    let events = model.handle(Request::Job(Job::Generate(Box::new(request))));
    let steps = events.into_iter().filter_map(|event| match event {
        Event::Token(written) => Some(written.step),
        _ => None,
    });
    let written = steps.map(|step| {
        let others = step.candidates.iter().map(|other| other.logprob.to_bits()).collect();
        (step.id, step.logprob.to_bits(), step.entropy.to_bits(), others)
    });
    Figures { read, written: written.collect() }
}

fn with_threads(variable: &str, threads: u32) -> Figures {
    let params = LoadParams { threads: Some(threads), flash_attention: FlashAttention::Off, ..plain() };
    figures(&mut Model::load(variable, params))
}

#[test]
fn any_number_of_threads_gives_the_same_figures_bit_by_bit() {
    for variable in [SMOLLM, GEMMA] {
        let alone = with_threads(variable, 1);
        assert!(alone.read.len() > 200 && alone.written.len() == 24, "{alone:?}");
        for threads in [2, 3] {
            assert_eq!(with_threads(variable, threads), alone, "{variable}, {threads} threads");
        }
    }
}

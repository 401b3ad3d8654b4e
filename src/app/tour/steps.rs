//! The steps of the tour as data: which station, what is said, which figures are looked for.
//!
//! Invariant: what is always said holds for any transformer; every figure comes from a claim that checked it.

use super::{Act, HEAD, claims};
use crate::app::{Display, Station};

/// One step of the tour.
pub struct Step {
    /// The station that is open.
    pub station: Station,
    /// One plain sentence, true of any model.
    pub plain: &'static str,
    /// A sentence with figures of this pass; `None` where they are not known or do not bear it out.
    pub claim: fn(Display<'_>) -> Option<String>,
    /// Block and head to open, on the model that the tour knows.
    pub layer: Option<(u32, u32)>,
    /// What it does.
    pub act: Act,
    /// What the key to go on does, in words.
    pub next: &'static str,
}

const fn shown(station: Station, plain: &'static str, claim: fn(Display<'_>) -> Option<String>) -> Step {
    Step { station, plain, claim, layer: None, act: Act::Show, next: "next" }
}

/// The tour.
pub const STEPS: &[Step] = &[
    Step {
        next: "see what comes next",
        ..shown(
            Station::Softmax,
            "The text stops after \"The capital of France is\". Nine stations show how the model finds the next word.",
            |_| None,
        )
    },
    shown(
        Station::Softmax,
        "Every token of the vocabulary gets a share of the odds; the bars are the likeliest.",
        claims::softmax,
    ),
    shown(
        Station::Sampler,
        "Samplers throw the unlikely ones out, stage by stage, and one of the rest is drawn.",
        claims::sampler,
    ),
    shown(
        Station::Tokens,
        "Now the way there. The model never sees letters: text is cut into pieces, and each piece is a number.",
        claims::tokens,
    ),
    shown(
        Station::Embedding,
        "That number picks a row of a table; pieces that are used alike have rows that point the same way.",
        claims::embedding,
    ),
    shown(
        Station::Position,
        "Where a piece stands is turned into it like clock hands, so that near and far can be told apart.",
        claims::position,
    ),
    shown(
        Station::Layers,
        "Layer after layer adds to that row. Each line: the best guess if the network stopped there.",
        claims::layers,
    ),
    Step {
        layer: Some(HEAD),
        ..shown(
            Station::Attention,
            "In each layer heads look back at earlier words and fetch something from them.",
            claims::attention,
        )
    },
    Step {
        layer: Some((24, 0)),
        ..shown(
            Station::Ffn,
            "Then neurons that recognise what is there add what belongs to it.",
            claims::ffn,
        )
    },
    Step {
        layer: Some(HEAD),
        act: Act::SwitchOff,
        next: "switch the head off",
        ..shown(
            Station::Why,
            "Who wrote the word? Each part's push for it, against the runner-up.",
            claims::why,
        )
    },
    Step {
        layer: Some(HEAD),
        act: Act::SwitchedOff,
        ..shown(
            Station::Why,
            "The proof: the same pass once more with that head off, beside what it was.",
            claims::switched_off,
        )
    },
    Step {
        next: "back to your chat",
        ..shown(
            Station::Softmax,
            "That was one word. In your chats Tab and h l pick any word, F2 and 1 to 9 open these stations, ? explains them.",
            |_| None,
        )
    },
];

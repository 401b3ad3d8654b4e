//! How likely a whole reply would have been under other sampler settings, from what its steps keep.
//!
//! Invariant: only settled steps are added up, and those that are not are counted; the model's own numbers
//! stay what they were, since the same tokens were read.

use super::{Fate, Input, Why, last};
use crate::inspect::stages::StageName;
use crate::sampling::Sampling;
use crate::token::{Step, TokenId};

/// A reply to judge.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// What the run was conditioned on, as the penalties see it ([`super::looked_back`]).
    pub prompt: &'a [TokenId],
    /// Its tokens, those that the user took included.
    pub steps: &'a [Step],
    /// How many of the first steps the user took: they were not drawn, and are not judged.
    pub taken: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Biases of the settings by id, from [`super::biases`].
    pub biases: &'a [(TokenId, f32)],
}

/// What became of a step's token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepLikelihood {
    /// It could have been drawn, with this probability, 0 to 1.
    Kept(f64),
    /// It would have been cut, by this stage; `None` where either of two may have done it.
    Cut(Option<StageName>),
    /// What the step keeps does not settle it.
    NotDetermined(Why),
    /// The step keeps no candidates.
    Unknown,
    /// The user took it.
    Taken,
}

/// A reply under some settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Likelihood {
    /// Each step.
    pub steps: Vec<StepLikelihood>,
    /// How many could have been drawn.
    pub kept: usize,
    /// How many would have been cut; any at all, and these settings never write this reply.
    pub cut: usize,
    /// How many are not settled.
    pub open: usize,
    /// Σ ln p over the kept ones, nats.
    pub logprob: f64,
}

impl Likelihood {
    /// Mean ln p of the tokens that could have been drawn, nats.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.kept > 0).then(|| self.logprob / self.kept as f64)
    }

    /// e^(−mean): among how many equally likely tokens the draw chose, on average.
    #[must_use]
    pub fn choices(&self) -> Option<f64> {
        self.mean().map(|mean| (-mean).exp())
    }
}

/// Judges a reply under these settings. XTC counts with its chance: both ways, weighed.
#[must_use]
pub fn reply_likelihood(reply: &Reply<'_>, sampling: &Sampling) -> Likelihood {
    let mut ids = reply.prompt.to_vec();
    let mut all = Likelihood::default();
    for (index, step) in reply.steps.iter().enumerate() {
        let one = if index < reply.taken {
            StepLikelihood::Taken
        } else {
            judge(reply, step, index, &ids, sampling)
        };
        match one {
            StepLikelihood::Kept(probability) => {
                all.kept += 1;
                all.logprob += probability.ln();
            }
            StepLikelihood::Cut(_) => all.cut += 1,
            StepLikelihood::NotDetermined(_) | StepLikelihood::Unknown => all.open += 1,
            StepLikelihood::Taken => {}
        }
        all.steps.push(one);
        // A mark has no text; the penalties leave it alone.
        ids.extend(step.id.filter(|_| sampling.penalties_on_marks || !step.bytes.is_empty()));
    }
    all
}

fn judge(
    reply: &Reply<'_>,
    step: &Step,
    index: usize,
    before: &[TokenId],
    sampling: &Sampling,
) -> StepLikelihood {
    let Some(mut input) = Input::kept(step, reply.vocabulary, before) else {
        return StepLikelihood::Unknown;
    };
    input.index = index as u32;
    input.biases = reply.biases;
    match fate(&input, sampling) {
        Err(Why::Chance(_)) => {
            let way = |acts: bool| fate(&Input { xtc_acts: Some(acts), ..input.clone() }, sampling);
            let chance = f64::from(sampling.xtc_probability);
            match (way(true), way(false)) {
                (Ok(acting), Ok(idle)) => weigh(acting, idle, chance),
                (Err(why), _) | (_, Err(why)) => StepLikelihood::NotDetermined(why),
            }
        }
        Err(why) => StepLikelihood::NotDetermined(why),
        Ok(Fate::Kept(probability)) => StepLikelihood::Kept(probability),
        Ok(Fate::Cut(stage)) => StepLikelihood::Cut(stage),
    }
}

fn fate(input: &Input<'_>, sampling: &Sampling) -> Result<Fate, Why> {
    last(input, sampling).map(|last| last.fate(input.drawn).unwrap_or(Fate::Cut(None)))
}

fn weigh(acting: Fate, idle: Fate, chance: f64) -> StepLikelihood {
    let probability = |fate: Fate| match fate {
        Fate::Kept(probability) => probability,
        Fate::Cut(_) => 0.0,
    };
    match (acting, idle) {
        (Fate::Cut(stage), Fate::Cut(_)) => StepLikelihood::Cut(stage),
        _ => StepLikelihood::Kept(chance * probability(acting) + (1.0 - chance) * probability(idle)),
    }
}

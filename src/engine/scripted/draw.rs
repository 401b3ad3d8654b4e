//! The made-up draw: the script's token wherever the sampler chain leaves it, with the number on the
//! cumulative line that draws it.
//!
//! Invariant: the drawn token is among those that the chain leaves, and stages, survivors and the draw come
//! from one run of the chain on the distribution that the step shows.

use std::sync::Arc;

use super::hash::mix;
use super::reading::Reading;
use crate::inspect::chain::{self, Fate, Input, Outcome};
use crate::inspect::distribution::Distribution;
use crate::inspect::stages::{SamplerTrace, StageName, TraceSource};
use crate::sampling::{Sampling, Stage};
use crate::token::{TokenId, Vocabulary};

/// The chain of a run.
pub(super) struct Chain {
    sampling: Sampling,
    biases: Vec<(TokenId, f32)>,
    seed: u32,
    vocabulary: Arc<Vocabulary>,
}

/// What was drawn.
pub(super) struct Drawn {
    pub(super) id: TokenId,
    /// How many tokens the stages left.
    pub(super) survivors: u32,
}

impl Chain {
    /// Also tells what of the settings this engine leaves out.
    pub(super) fn new(sampling: &Sampling, seed: u32, vocabulary: &Arc<Vocabulary>) -> (Self, Vec<String>) {
        let mut sampling = sampling.clone();
        let mut notes = Vec::new();
        let biases = chain::biases(&sampling, vocabulary);
        let on = chain::active(&sampling, !biases.is_empty());
        if on.iter().any(|name| matches!(name, StageName::Mirostat | StageName::Chain(Stage::Dry))) {
            notes.push("The scripted engine leaves DRY and mirostat out.".into());
            sampling.mirostat = 0;
            sampling.dry_multiplier = 0.0;
        }
        if !sampling.grammar.is_empty() {
            notes.push("The scripted engine leaves grammars out.".into());
            sampling.grammar.clear();
        }
        (Self { sampling, biases, seed, vocabulary: Arc::clone(vocabulary) }, notes)
    }

    /// Draws what comes after `read`, the ids after `reading`.
    pub(super) fn draw(&self, reading: &Reading, distribution: &Distribution, read: &[TokenId]) -> Drawn {
        let likeliest = distribution.order()[0];
        let wanted = reading.wanted(self.seed).unwrap_or(likeliest);
        let read = self.looked_back(read);
        let Ok(last) = chain::last(&self.input(reading, distribution, &read, wanted), &self.sampling) else {
            // Everything is banned; llama.cpp draws something then, too.
            return Drawn { id: likeliest, survivors: 1 };
        };
        let kept = |(id, fate): &(TokenId, Fate)| match fate {
            Fate::Kept(probability) => Some((*id, *probability)),
            Fate::Cut(_) => None,
        };
        let left = || last.fates.iter().filter_map(kept);
        let best = left().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        let id = left().find(|(id, _)| *id == wanted).or(best).map_or(likeliest, |(id, _)| id);
        Drawn { id, survivors: last.left }
    }

    /// The chain's way to a drawn token, listing so many of the likeliest; `None` where nothing was left.
    pub(super) fn trace(
        &self,
        reading: &Reading,
        distribution: &Distribution,
        read: &[TokenId],
        wanted: &Wanted,
    ) -> Option<SamplerTrace> {
        let read = self.looked_back(read);
        let mut input = self.input(reading, distribution, &read, wanted.drawn);
        input.index = wanted.index;
        input.list = wanted.list as usize;
        input.source = wanted.source;
        let Outcome::Exact(mut trace) = chain::run(&input, &self.sampling) else { return None };
        let part = (mix(self.place(reading)) >> 11) as f64 / (1_u64 << 53) as f64;
        trace.u = trace.interval.map(|(from, to)| from + (to - from) * part);
        Some(*trace)
    }

    fn looked_back(&self, read: &[TokenId]) -> Vec<TokenId> {
        chain::looked_back(read, &self.sampling, &self.vocabulary)
    }

    fn input<'a>(
        &'a self,
        reading: &Reading,
        distribution: &Distribution,
        read: &'a [TokenId],
        drawn: TokenId,
    ) -> Input<'a> {
        let chance = (mix(self.place(reading) ^ 1) >> 40) as f32 / (1_u32 << 24) as f32;
        let mut input = Input::whole(distribution, drawn);
        input.recent = read;
        input.biases = &self.biases;
        input.xtc_acts = Some(chance <= self.sampling.xtc_probability);
        input
    }

    fn place(&self, reading: &Reading) -> u64 {
        u64::from(self.seed) << 32 ^ reading.length() as u64
    }
}

/// Which trace is wanted.
pub(super) struct Wanted {
    pub(super) drawn: TokenId,
    pub(super) index: u32,
    pub(super) list: u32,
    pub(super) source: TraceSource,
}

//! What each stage did to the distribution: after every stage the list is compared with the one before.
//!
//! Invariant: every figure is over the whole vocabulary. Where the chain sees only the likeliest tokens, those
//! it does not see are carried along as one remainder, which no stage can touch before the first cut, and
//! which that cut removes.

use std::time::{Duration, Instant};

use llama_cpp_2::token::data::LlamaTokenData;

use crate::engine::compute::numbers::{Distribution, Reader, Scored};
use crate::inspect::stages::{SamplerTrace, StageName, StageTrace, TraceSource};
use crate::token::TokenId;

/// A forward pass that a draw is made from.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// Every logit, by id.
    pub logits: &'a [f32],
    /// The likeliest tokens, at least as many as the chain needs and as are to be listed.
    pub top: &'a [Scored],
    /// Normaliser and entropy of the logits.
    pub distribution: Distribution,
    /// How many of the likeliest are listed.
    pub list: usize,
    /// Which token of its run.
    pub index: u32,
    /// Where the logits come from.
    pub source: TraceSource,
}

/// Notes stages; keeps its buffers between steps.
#[derive(Default)]
pub struct Recorder {
    reader: Reader,
    buffer: Vec<f32>,
    /// By id: where the token was last seen.
    seen: Vec<Place>,
    /// Number of the newest column; rises from step to step.
    now: u64,
    /// ln Σ e^z before the samplers.
    model_log_sum: f64,
    /// The listed tokens, with the model's logits.
    listed: Vec<Scored>,
    remainder: Option<Remainder>,
    columns: Vec<Column>,
    /// What noting the newest step has taken so far.
    took: Duration,
}

/// What is known of a token of the list.
#[derive(Clone, Copy, Default)]
struct Place {
    /// The newest column that it is in.
    column: u64,
    /// Its logit there.
    logit: f32,
    /// Its logit before the samplers.
    original: f32,
}

/// The tokens that the chain does not see.
#[derive(Clone, Copy)]
struct Remainder {
    count: u32,
    /// Their probability before the samplers.
    mass: f64,
    /// Σ p ln p of theirs, before the samplers.
    weighted: f64,
}

/// The distribution after a stage; the first is the model's own.
struct Column {
    name: Option<StageName>,
    /// Every entry with its logit then.
    entries: Vec<Scored>,
    /// Of each listed token.
    listed: Vec<Option<f32>>,
    /// ln Σ e^z, remainder included.
    log_sum: f64,
    entropy: f64,
    left: u32,
    removed: f64,
    kept: f64,
    /// Whether the remainder is still there.
    whole: bool,
}

impl Recorder {
    /// A new step, with the list that the chain begins with.
    pub(super) fn begin(&mut self, pass: &Pass<'_>, list: &[LlamaTokenData]) {
        let started = Instant::now();
        self.columns.clear();
        self.seen.resize(pass.logits.len(), Place::default());
        self.model_log_sum = pass.distribution.log_normaliser;
        self.listed.clear();
        self.listed.extend(pass.top.iter().take(pass.list));
        self.remainder = (list.len() < pass.logits.len()).then(|| Self::beyond(pass, list));
        let column = self.column(None, list, self.remainder.is_some());
        self.columns.push(column);
        self.took = started.elapsed();
    }

    /// A stage was applied; `moves` if it cannot have cut tokens that the chain does not see.
    pub(super) fn stage(&mut self, name: StageName, list: &[LlamaTokenData], moves: bool) {
        let started = Instant::now();
        let whole = moves && self.columns.last().is_some_and(|column| column.whole);
        let column = self.column(Some(name), list, whole);
        self.columns.push(column);
        self.took += started.elapsed();
    }

    /// What noting the newest step's stages took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The step's record.
    pub(super) fn finish(
        &mut self,
        pass: &Pass<'_>,
        drawn: TokenId,
        u: Option<f64>,
        interval: Option<(f64, f64)>,
    ) -> SamplerTrace {
        if !self.listed.iter().any(|scored| scored.id == drawn)
            && let Some(&logit) = pass.logits.get(drawn.0 as usize)
        {
            self.list_also(Scored { id: drawn, logit });
        }
        let stages = self.columns.drain(..).filter_map(|column| {
            Some(StageTrace {
                name: column.name?,
                left: column.left,
                probabilities: column.listed,
                removed: column.removed as f32,
                kept: column.kept as f32,
                entropy: column.entropy as f32,
            })
        });
        SamplerTrace {
            index: pass.index,
            tokens: self.listed.iter().map(|scored| scored.id).collect(),
            model: self.listed.iter().map(|scored| pass.distribution.logprob(scored.logit).exp()).collect(),
            vocabulary: pass.logits.len() as u32,
            entropy: pass.distribution.entropy,
            stages: stages.collect(),
            drawn,
            u,
            interval,
            source: pass.source,
            redrawn: None,
        }
    }

    /// What of the model's distribution lies outside the list.
    fn beyond(pass: &Pass<'_>, list: &[LlamaTokenData]) -> Remainder {
        let (mass, weighted) = list
            .iter()
            .map(|entry| f64::from(entry.logit()) - pass.distribution.log_normaliser)
            .filter(|logprob| logprob.is_finite())
            .fold((0.0, 0.0), |(mass, weighted), logprob| {
                (mass + logprob.exp(), weighted + logprob.exp() * logprob)
            });
        Remainder {
            count: (pass.logits.len() - list.len()) as u32,
            mass: (1.0_f64 - mass).max(0.0),
            weighted: (-f64::from(pass.distribution.entropy) - weighted).min(0.0),
        }
    }

    /// The column of this list, compared with the newest one; `whole` if the remainder is still there.
    fn column(&mut self, name: Option<StageName>, list: &[LlamaTokenData], whole: bool) -> Column {
        let beyond = self.remainder.filter(|_| whole);
        let alive = list.iter().filter(|entry| entry.logit() > f32::NEG_INFINITY);
        let left = alive.count() as u32 + beyond.map_or(0, |remainder| remainder.count);
        let (removed, kept) =
            match self.columns.last().map(|before| (before.left, before.kept, before.log_sum)) {
                None => (0.0, 1.0),
                Some((count, kept, _)) if count == left => (0.0, kept),
                Some((.., log_sum)) => {
                    let survived = self.share(list, beyond, |place| place.logit) - log_sum;
                    let kept = self.share(list, beyond, |place| place.original) - self.model_log_sum;
                    (1.0 - survived.exp().min(1.0), kept.exp().min(1.0))
                }
            };

        let (now, first) = (self.now + 1, self.columns.is_empty());
        self.now = now;
        self.buffer.clear();
        for entry in list {
            if entry.logit() > f32::NEG_INFINITY {
                self.buffer.push(entry.logit());
            }
            if let Some(place) = self.seen.get_mut(entry.id().0 as usize) {
                let original = if first { entry.logit() } else { place.original };
                *place = Place { column: now, logit: entry.logit(), original };
            }
        }
        let (log_sum, entropy) = self.totals(beyond);
        let entries: Vec<Scored> =
            list.iter().map(|entry| Scored { id: TokenId(entry.id().0), logit: entry.logit() }).collect();
        let seen = &self.seen;
        let listed = self.listed.iter().map(|scored| {
            let place = seen.get(scored.id.0 as usize).filter(|place| place.column == now);
            probability(place.map(|place| place.logit), *scored, beyond.is_some(), log_sum)
        });
        Column { name, entries, listed: listed.collect(), log_sum, entropy, left, removed, kept, whole }
    }

    /// ln Σ e^z over the list's tokens that are left, with an earlier logit of each.
    fn share(&mut self, list: &[LlamaTokenData], beyond: Option<Remainder>, logit: fn(&Place) -> f32) -> f64 {
        let Self { seen, buffer, .. } = self;
        let alive = list.iter().filter(|entry| entry.logit() > f32::NEG_INFINITY);
        buffer.clear();
        buffer.extend(alive.filter_map(|entry| seen.get(entry.id().0 as usize)).map(logit));
        self.totals(beyond).0
    }

    /// ln Σ e^z and the entropy of the logits in the buffer, with the remainder where it is still there.
    fn totals(&mut self, beyond: Option<Remainder>) -> (f64, f64) {
        let read = self.reader.read(&self.buffer, 0);
        let (log_list, entropy) =
            read.map_or((f64::NEG_INFINITY, 0.0), |read| (read.log_normaliser, f64::from(read.entropy)));
        let Some(beyond) = beyond.filter(|remainder| remainder.mass > 0.0) else {
            return (log_list, entropy);
        };
        // Relative to the larger of the two, so that a large bias does not overflow.
        let model = self.model_log_sum;
        let reference = log_list.max(model);
        let (list, scale) = ((log_list - reference).exp(), (model - reference).exp());
        let sum = list + beyond.mass * scale;
        let list_weighted = if list > 0.0 { list * (list.ln() - entropy) } else { 0.0 };
        let beyond_weighted = scale * (beyond.weighted + beyond.mass * (model - reference));
        (reference + sum.ln(), (sum.ln() - (list_weighted + beyond_weighted) / sum).max(0.0))
    }

    /// Lists a token that is not among the likeliest.
    fn list_also(&mut self, scored: Scored) {
        for column in &mut self.columns {
            let logit = column.entries.iter().find(|entry| entry.id == scored.id).map(|entry| entry.logit);
            column.listed.push(probability(logit, scored, column.whole, column.log_sum));
        }
        self.listed.push(scored);
    }
}

/// A token's probability in a column: by its logit there, or by the model's where it is among those that the
/// chain does not see.
fn probability(logit: Option<f32>, model: Scored, whole: bool, log_sum: f64) -> Option<f32> {
    let logit = logit.or_else(|| whole.then_some(model.logit))?;
    (logit > f32::NEG_INFINITY).then(|| (f64::from(logit) - log_sum).exp() as f32)
}

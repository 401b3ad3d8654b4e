//! The sampler chain on a list of candidates, stage by stage as llama.cpp runs it: for tokens whose numbers
//! are kept, and for settings that are only tried out.
//!
//! **Exactness.** Over the whole vocabulary every stage is worked out in f64 (llama.cpp works in f32, so a
//! token may differ only where it lies on a threshold within rounding). Over a part of it nothing is guessed:
//! of the unlisted tokens only their number, their probability together, and that none is likelier than the
//! last of the likeliest listed are used. An answer is given where every completion of the list that agrees
//! with these gives the same one; else [`Why`] tells which stage could not be settled. [`run`] asks that of
//! every column, [`last`] of the last one alone, which is settled more often: with 20 candidates kept,
//! top-k 40 leaves tokens that are not listed, and min-p mostly cuts them all.

mod likelihood;
mod line;
mod recorded;
mod stages;

use std::collections::BTreeMap;
use std::fmt;

use self::line::{Entry, Line, Order, Tail};
use super::distribution::Distribution;
use super::stages::{SamplerTrace, StageName, StageTrace, TraceSource};
use crate::sampling::{Sampling, Stage};
use crate::token::{Step, TokenId, Vocabulary};

pub use likelihood::{Likelihood, Reply, StepLikelihood, reply_likelihood};
pub(crate) use recorded::fates;

/// A distribution to run the chain on.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Known tokens with their logit or ln p, likeliest first. Those from `sure` on may lie anywhere below.
    pub tokens: Vec<(TokenId, f32)>,
    /// How many of `tokens` are the likeliest of all.
    pub sure: usize,
    /// Whether they have logits; else ln p.
    pub logits: bool,
    /// How many tokens of the vocabulary are not listed.
    pub unlisted: u32,
    /// Entropy over the whole vocabulary, nats; used only where tokens are unlisted.
    pub entropy: f32,
    /// Which token of its run, counted from 0.
    pub index: u32,
    /// What the run has read and written before, the prompt included, oldest first, as the penalties see it
    /// ([`looked_back`]).
    pub recent: &'a [TokenId],
    /// Biases by id, from [`biases`].
    pub biases: &'a [(TokenId, f32)],
    /// The token that was drawn.
    pub drawn: TokenId,
    /// The number it was drawn with, where known.
    pub u: Option<f64>,
    /// Whether XTC's chance came up; `None` where that is unknown.
    pub xtc_acts: Option<bool>,
    /// How many of the likeliest tokens a trace lists.
    pub list: usize,
    /// Where the figures come from.
    pub source: TraceSource,
}

impl<'a> Input<'a> {
    /// Of all logits. `index`, `recent`, `biases`, `u` and the like are for the caller to set.
    #[must_use]
    pub fn whole(distribution: &Distribution, drawn: TokenId) -> Self {
        let logit = |id: &TokenId| Some((*id, distribution.logit(*id)?));
        let tokens: Vec<_> = distribution.order().iter().filter_map(logit).collect();
        Self {
            sure: tokens.len(),
            tokens,
            logits: true,
            unlisted: 0,
            entropy: distribution.entropy(),
            index: 0,
            recent: &[],
            biases: &[],
            drawn,
            u: None,
            xtc_acts: None,
            list: 20,
            source: TraceSource::Replayed,
        }
    }

    /// Of what a step keeps, out of a vocabulary of so many entries; `None` where it keeps nothing.
    #[must_use]
    pub fn kept(step: &Step, vocabulary: usize, recent: &'a [TokenId]) -> Option<Self> {
        let drawn = step.id.filter(|_| !step.candidates.is_empty())?;
        let mut tokens: Vec<_> = step.candidates.iter().map(|c| (c.id, c.logprob)).collect();
        let sure = tokens.len();
        if step.chosen_index().is_none() {
            tokens.push((drawn, step.logprob));
        }
        Some(Self {
            unlisted: u32::try_from(vocabulary.saturating_sub(tokens.len())).ok()?,
            list: tokens.len(),
            tokens,
            sure,
            logits: false,
            entropy: step.entropy,
            index: 0,
            recent,
            biases: &[],
            drawn,
            u: None,
            xtc_acts: None,
            source: TraceSource::Candidates,
        })
    }

    fn line(&self) -> Line {
        let zero = self.tokens.first().map_or(0.0, |(_, logit)| f64::from(*logit));
        let weight = |logit: f32| (f64::from(logit) - zero).exp();
        let listed: f64 = self.tokens.iter().map(|(_, logit)| weight(*logit)).sum();
        // ln p of the zero point, where the list is not the whole.
        let whole = if self.unlisted > 0 { (-zero).exp().max(listed) } else { listed };
        let rest = whole - listed;
        let tail = (self.unlisted > 0).then(|| {
            let known: f64 = self.tokens.iter().map(|(_, z)| weighted_log(weight(*z))).sum();
            let spread = whole * (whole.ln() - f64::from(self.entropy)) - known;
            Tail {
                count: (self.unlisted as usize, self.unlisted as usize),
                weight: (rest, rest),
                bound: self.tokens[..self.sure].last().map_or(1.0, |(_, logit)| weight(*logit)),
                spread: (!spread.is_nan()).then_some(spread),
                model: rest / whole,
                before: rest / whole,
                absorbed: Vec::new(),
            }
        });
        let entry = |(place, (id, logit)): (usize, &(TokenId, f32))| {
            let model = weight(*logit) / whole;
            Entry { id: *id, logit: f64::from(*logit), model, before: model, leads: place < self.sure }
        };
        let entries: Vec<Entry> = self.tokens.iter().enumerate().map(entry).collect();
        let ranked = entries.is_sorted_by(|a, b| (b.logit, a.id) <= (a.logit, b.id));
        Line { entries, ranked, order: Order::ById, tail, zero }
    }
}

fn weighted_log(weight: f64) -> f64 {
    if weight > 0.0 { weight * weight.ln() } else { 0.0 }
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Every column is exact.
    Exact(Box<SamplerTrace>),
    /// Some column is not settled.
    NotDetermined(Why),
}

/// Why the numbers do not settle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The stage needs tokens that are not listed.
    Unlisted(StageName),
    /// The stage acts by chance, and whether it did is not known.
    Chance(StageName),
    /// The stage needs logits, and only probabilities are kept.
    Logits(StageName),
    /// The stage needs the whole run before it, which only the engine replays.
    State(StageName),
    /// Nothing is left to draw from.
    Empty,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlisted(stage) => write!(f, "{} needs tokens that are not kept", stage.label()),
            Self::Chance(stage) => write!(f, "{} acts by chance", stage.label()),
            Self::Logits(stage) => write!(f, "{} needs logits, and probabilities are kept", stage.label()),
            Self::State(stage) => write!(f, "{} needs the run before it", stage.label()),
            Self::Empty => f.write_str("nothing is left to draw from"),
        }
    }
}

/// What became of a listed token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It can be drawn, with this probability, 0 to 1.
    Kept(f64),
    /// It was cut, by this stage; `None` where either of two may have done it.
    Cut(Option<StageName>),
}

/// The last column.
#[derive(Clone, Debug, PartialEq)]
pub struct Last {
    /// Every listed token in the order of [`Input::tokens`].
    pub fates: Vec<(TokenId, Fate)>,
    /// How many tokens can be drawn, unlisted ones included.
    pub left: u32,
    /// Probability of unlisted tokens in the draw, 0 to 1.
    pub outside: f64,
}

impl Last {
    /// What became of a token; `None` if it is not listed.
    pub(crate) fn fate(&self, id: TokenId) -> Option<Fate> {
        self.fates.iter().find(|(other, _)| *other == id).map(|(_, fate)| *fate)
    }
}

/// The biases of these settings by id, and of what the model's makers never want drawn, which an order without biases does
/// not let through either. A text stands for every token of exactly these bytes.
#[must_use]
pub fn biases(sampling: &Sampling, vocabulary: &Vocabulary) -> Vec<(TokenId, f32)> {
    let has_place = sampling.order.contains(&Stage::LogitBias);
    let all = sampling.logit_bias.iter().filter(|bias| has_place && bias.moves());
    let own = all.flat_map(|bias| bias.ids(vocabulary).into_iter().map(|id| (id, bias.bias)));
    let all = own.chain(vocabulary.suppressed.iter().map(|id| (*id, f32::NEG_INFINITY)));
    // Of several for one token llama.cpp takes the first alone, where its list is not the whole vocabulary.
    let sums = all.fold(BTreeMap::new(), |mut sums: BTreeMap<TokenId, f32>, (id, bias)| {
        let sum = sums.entry(id).or_default();
        let is_banned = [*sum, bias].contains(&f32::NEG_INFINITY);
        *sum = if is_banned { f32::NEG_INFINITY } else { *sum + bias };
        sums
    });
    sums.into_iter().filter(|(_, bias)| *bias != 0.0).collect()
}

/// What the penalties of these settings have seen of a text: marks count only where they are penalised too.
#[must_use]
pub fn looked_back(ids: &[TokenId], sampling: &Sampling, vocabulary: &Vocabulary) -> Vec<TokenId> {
    let seen = |id: &TokenId| sampling.penalties_on_marks || !vocabulary.is_mark(*id);
    ids.iter().copied().filter(seen).collect()
}

/// The stages that these settings switch on, in order, a grammar first, the way of choosing last where it is greedy or
/// mirostat. `biased` is whether there are [`biases`]; they come first where the order has no place for them.
pub fn active(sampling: &Sampling, biased: bool) -> Vec<StageName> {
    let greedy = sampling.temperature <= 0.0;
    let mirostat = !greedy && sampling.mirostat == 2;
    let on = |stage: &Stage| match stage {
        Stage::LogitBias => biased,
        _ => stage.has_place(greedy, mirostat) && stage.is_on(sampling),
    };
    let grammar = (!sampling.grammar.trim().is_empty()).then_some(StageName::Grammar);
    let has_place = sampling.order.contains(&Stage::LogitBias);
    let first = (biased && !has_place).then_some(Stage::LogitBias);
    let order = first.into_iter().chain(sampling.order.iter().copied().filter(on));
    let chain = grammar.into_iter().chain(order.map(StageName::Chain));
    let choice = [(greedy, StageName::Greedy), (mirostat, StageName::Mirostat)];
    chain.chain(choice.into_iter().filter(|(on, _)| *on).map(|(_, name)| name)).collect()
}

/// The chain's way through a distribution, column by column.
pub fn run(input: &Input<'_>, sampling: &Sampling) -> Outcome {
    trace(input, sampling).map_or_else(Outcome::NotDetermined, |trace| Outcome::Exact(Box::new(trace)))
}

fn trace(input: &Input<'_>, sampling: &Sampling) -> Result<SamplerTrace, Why> {
    let mut line = input.line();
    let likeliest = input.tokens.iter().take(input.list.max(1));
    let mut tokens: Vec<TokenId> = likeliest.map(|(id, _)| *id).collect();
    if !tokens.contains(&input.drawn) {
        tokens.push(input.drawn);
    }
    let places: BTreeMap<TokenId, usize> = tokens.iter().copied().zip(0..).collect();
    let mut model = vec![0.0; tokens.len()];
    for entry in &line.entries {
        if let Some(place) = places.get(&entry.id) {
            model[*place] = entry.model as f32;
        }
    }
    let entropy = if input.unlisted > 0 { f64::from(input.entropy) } else { line.entropy().unwrap_or(0.0) };
    let vocabulary = input.tokens.len() as u32 + input.unlisted;
    let mut left = vocabulary;
    let mut columns = Vec::new();
    for name in active(sampling, !input.biases.is_empty()) {
        stages::apply(&mut line, name, input, sampling)?;
        let column = column(&mut line, name, &places, left).ok_or(Why::Unlisted(name))?;
        left = column.left;
        if left == 0 {
            return Err(Why::Empty);
        }
        columns.push(column);
    }
    line.lay_out();
    let chance = columns.last().is_none_or(|column| column.name != StageName::Greedy);
    Ok(SamplerTrace {
        index: input.index,
        tokens,
        model,
        vocabulary,
        entropy: entropy as f32,
        stages: columns,
        drawn: input.drawn,
        u: input.u.filter(|_| chance),
        interval: if chance { interval(&line, input.drawn) } else { None },
        source: input.source,
        redrawn: None,
    })
}

/// What the line is now; `None` where the tail keeps it from being known. Remembers it for the next column.
fn column(
    line: &mut Line,
    name: StageName,
    places: &BTreeMap<TokenId, usize>,
    left_before: u32,
) -> Option<StageTrace> {
    let entropy = line.entropy()?;
    let total = line.total()?;
    let tail = line.tail.as_ref().map_or((0, 0.0, 0.0), |tail| (tail.count.1, tail.model, tail.before));
    let left = (line.alive().count() + tail.0) as u32;
    let mut probabilities = vec![None; places.len()];
    let (mut kept, mut stayed) = (tail.1, tail.2);
    let zero = line.zero;
    for entry in line.entries.iter_mut().filter(|entry| entry.logit > f64::NEG_INFINITY) {
        kept += entry.model;
        stayed += entry.before;
        entry.before = (entry.logit - zero).exp() / total;
        if let Some(place) = places.get(&entry.id) {
            probabilities[*place] = Some(entry.before as f32);
        }
    }
    if let Some(tail) = &mut line.tail {
        tail.before = tail.weight.1 / total;
    }
    let removed = if left == left_before { 0.0 } else { (1.0 - stayed).clamp(0.0, 1.0) };
    Some(StageTrace {
        name,
        left,
        probabilities,
        removed: removed as f32,
        kept: kept.min(1.0) as f32,
        entropy: entropy as f32,
    })
}

/// Where a token lies on the cumulative line of what is left.
fn interval(line: &Line, id: TokenId) -> Option<(f64, f64)> {
    let is_known = line.tail.is_none() && line.order != Order::ByChance;
    let total = line.total().filter(|_| is_known)?;
    let mut sum = 0.0;
    for entry in line.alive() {
        let from = sum;
        sum += line.weight(entry) / total;
        if entry.id == id {
            return Some((from, sum.min(1.0)));
        }
    }
    None
}

/// The last column alone.
///
/// # Errors
/// Where the list does not settle it, or the settings leave nothing.
pub fn last(input: &Input<'_>, sampling: &Sampling) -> Result<Last, Why> {
    let mut line = input.line();
    let mut cuts: BTreeMap<TokenId, Option<StageName>> = BTreeMap::new();
    let mut doubtful: Option<StageName> = None;
    for name in active(sampling, !input.biases.is_empty()) {
        let before: Vec<TokenId> = line.alive().map(|entry| entry.id).collect();
        let absorbed = line.tail.as_ref().map(|tail| tail.absorbed.clone()).unwrap_or_default();
        stages::apply(&mut line, name, input, sampling)?;
        let mut now: Vec<TokenId> = line.alive().map(|entry| entry.id).collect();
        now.extend(line.tail.iter().flat_map(|tail| &tail.absorbed));
        now.sort_unstable();
        let gone = |id: &TokenId| now.binary_search(id).is_err();
        cuts.extend(before.into_iter().filter(gone).map(|id| (id, Some(name))));
        cuts.extend(absorbed.into_iter().filter(gone).map(|id| (id, None)));
        doubtful = if line.settled().is_some() { None } else { doubtful.or(Some(name)) };
    }
    let doubtful = doubtful.unwrap_or(StageName::Chain(Stage::TopP));
    let total = line.settled().ok_or(Why::Unlisted(doubtful))?;
    if total <= 0.0 {
        return Err(Why::Empty);
    }
    let outside = line.tail.as_ref().map_or((0, 0.0), |tail| (tail.count.1, tail.weight.1 / total));
    let alive: BTreeMap<TokenId, f64> =
        line.alive().map(|entry| (entry.id, line.weight(entry) / total)).collect();
    let fate = |id: &TokenId| match alive.get(id) {
        Some(probability) => Fate::Kept(*probability),
        None => Fate::Cut(cuts.get(id).copied().flatten()),
    };
    Ok(Last {
        fates: input.tokens.iter().map(|(id, _)| (*id, fate(id))).collect(),
        left: (alive.len() + outside.0) as u32,
        outside: outside.1,
    })
}

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole_tests;

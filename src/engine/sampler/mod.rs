//! The sampler chain, stage by stage through llama.cpp's own samplers, in the configured order; `stages`
//! builds them, `record` notes what each did, `mirror` knows the number a draw was made with.
//!
//! A grammar comes before all stages: what it rules out is gone before anything is counted, so the answer is a sentence
//! of it whenever the reply ends by itself. Which of the likeliest it allows is asked first, of all others only where
//! those are too few to choose from.
//!
//! Invariants: a stage that changes nothing is not in the chain; each stateful stage is applied exactly once
//! and then told the drawn token. The chain runs on the few likeliest tokens only where that gives the same
//! draw as the whole list: when top-k comes first among the stages that cut, the list holds the k likeliest
//! and as many more as biases and penalties can move, and those tokens themselves.

mod grammar;
mod mirror;
mod record;
mod stages;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use self::grammar::Grammar;
use self::mirror::Mirror;
pub use self::record::{Pass, Recorder};
use self::stages::{Kind, Parts, biases};
use super::compute::numbers::Scored;
use crate::inspect::stages::{SamplerTrace, StageName};
use crate::sampling::{Sampling, Stage};
use crate::token::{TokenId, TokenKind, Vocabulary};

/// Above this many candidates the whole list is as cheap.
const MOST_BOUNDED: usize = 1024;
/// How far off a token's place on the cumulative line can be: its probabilities are rounded to f32.
const SLACK: f64 = 1e-6;

/// How many of the likeliest tokens the chain has to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The n likeliest, and the tokens that can move.
    Top(usize),
    /// All.
    All,
}

/// What was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The token.
    pub id: TokenId,
    /// How many tokens the stages left to draw from; 0 where a grammar and the other stages allow none together.
    pub survivors: u32,
}

/// What the chain needs to know of the model.
pub struct Setting<'a> {
    /// For DRY's breakers; `None` leaves DRY out (tests without a model).
    pub model: Option<&'a LlamaModel>,
    /// For biases given as text, and what the model's makers never want drawn.
    pub vocabulary: &'a Vocabulary,
    /// What "the whole context" means to the penalties, tokens.
    pub context: u32,
}

enum Pick {
    /// The likeliest of what the stages left.
    Greedy,
    /// By chance.
    Chance(LlamaSampler),
    /// By chance from what mirostat leaves.
    Mirostat(LlamaSampler),
}

/// A chain with its state.
pub struct Chain {
    grammar: Option<Grammar>,
    stages: Vec<(Stage, LlamaSampler)>,
    pick: Pick,
    mirror: Mirror,
    bound: Bound,
    list: LlamaTokenDataArray,
    /// By id, whether penalties and DRY leave the token alone; empty where they leave none.
    spared: Vec<bool>,
}

/// How far the list can be cut before the chain sees it.
struct Bound {
    /// Tokens that must be right after biases and penalties; `None`: all.
    keep: Option<usize>,
    /// Tokens with a bias.
    biased: BTreeSet<TokenId>,
    /// The tokens that penalties see; capacity 0 without penalties before the first cut.
    recent: VecDeque<TokenId>,
    window: usize,
}

impl Bound {
    /// How many of the likeliest the list has to hold; `None`: all.
    fn least(&self) -> Option<usize> {
        self.keep.map(|keep| keep + self.biased.len() + self.recent.len())
    }
}

impl Chain {
    /// Builds the chain for these settings; also gives what the user should know about them.
    pub fn new(sampling: &Sampling, seed: u32, setting: &Setting<'_>) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let biases = biases(sampling, setting, &mut notes);
        let parts = Parts { sampling, seed, setting, biases: &biases };
        let order = parts.order();
        let stages: Vec<_> = order.iter().filter_map(|&stage| Some((stage, parts.sampler(stage)?))).collect();
        let active: Vec<Stage> = stages.iter().map(|(stage, _)| *stage).collect();
        let pick = match parts.kind() {
            Kind::Greedy => Pick::Greedy,
            Kind::Mirostat => {
                Pick::Mirostat(LlamaSampler::mirostat_v2(seed, sampling.mirostat_tau, sampling.mirostat_eta))
            }
            Kind::Chance => Pick::Chance(LlamaSampler::dist(seed)),
        };
        let bound = Bound {
            keep: parts.keep(&active),
            biased: biases.iter().map(|bias| TokenId(bias.token().0)).collect(),
            recent: VecDeque::new(),
            window: if active.contains(&Stage::Penalties) { parts.penalty_window() } else { 0 },
        };
        let list = LlamaTokenDataArray::new(Vec::new(), false);
        let looks_back = [Stage::Penalties, Stage::Dry].iter().any(|stage| active.contains(stage));
        let spared = if looks_back { spared(sampling, setting.vocabulary) } else { Vec::new() };
        (Self { grammar: None, stages, pick, mirror: Mirror::new(seed), bound, list, spared }, notes)
    }

    /// Holds the answer to a grammar.
    ///
    /// # Errors
    /// When llama.cpp cannot use it.
    pub fn constrain(
        &mut self,
        model: &LlamaModel,
        vocabulary: &Arc<Vocabulary>,
        grammar: &str,
    ) -> Result<(), String> {
        self.grammar = Some(Grammar::new(model, vocabulary, grammar)?);
        Ok(())
    }

    /// Reads the prompt, and what is already written of the reply. Where that does not follow the grammar, it is given
    /// up, and that is said.
    pub fn begin(&mut self, prompt: &[TokenId], written: &[TokenId]) -> Option<String> {
        for id in prompt {
            self.read(*id);
        }
        if let Some(grammar) = &mut self.grammar {
            grammar.follows(prompt);
        }
        let constrained = self.grammar.is_some();
        for id in written {
            self.accept(*id);
        }
        (constrained && self.grammar.is_none()).then(|| {
            "What the reply begins with does not follow the grammar, so the rest is not held to it either.".to_owned()
        })
    }

    /// How much of the list the next [`Chain::draw`] needs.
    pub fn need(&self) -> Need {
        let taken = self.grammar.as_ref().map_or(0, Grammar::most_taken);
        match self.bound.least() {
            Some(least) if least + taken <= MOST_BOUNDED => Need::Top(least + taken),
            _ => Need::All,
        }
    }

    /// Draws from `logits`, of which `top` are the likeliest, at least as many as [`Chain::need`] said.
    pub fn draw(&mut self, logits: &[f32], top: &[Scored]) -> Draw {
        self.fill(logits, top);
        self.mask(logits);
        self.run(None)
    }

    /// Draws, and notes what each stage did. The draw is the same as without.
    pub fn draw_recorded(&mut self, pass: &Pass<'_>, recorder: &mut Recorder) -> (Draw, SamplerTrace) {
        match self.grammar {
            // How much it masked is known of the whole vocabulary only.
            Some(_) => self.fill_whole(pass.logits),
            None => self.fill(pass.logits, pass.top),
        }
        recorder.begin(pass, &self.list.data);
        if self.mask(pass.logits) {
            recorder.stage(StageName::Grammar, &self.list.data, false);
        }
        let draw = self.run(Some(recorder));
        let interval = self.interval();
        let inside = |u: &f64| interval.is_some_and(|(from, to)| *u > from - SLACK && *u < to + SLACK);
        // Another C++ library may use its generator otherwise; then nothing is claimed.
        let u = self.mirror.last().filter(inside);
        (draw, recorder.finish(pass, draw.id, u, interval))
    }

    /// Whether the state depends on the logits of earlier steps, so that only running the chain over all of
    /// them brings it back. Otherwise [`Chain::accept`] and [`Chain::skip`] do.
    pub fn depends_on_past_logits(&self) -> bool {
        matches!(self.pick, Pick::Mirostat(_)) || self.stages.iter().any(|(stage, _)| *stage == Stage::Xtc)
    }

    /// Advances the generator past so many draws.
    pub fn skip(&mut self, draws: usize) {
        let Pick::Chance(sampler) = &mut self.pick else { return };
        for _ in 0..draws {
            // Drawing from a single token takes as many random words as any other draw.
            let only = LlamaTokenData::new(LlamaToken(0), 0.0, 0.0);
            LlamaTokenDataArray::new(vec![only], true).apply_sampler(sampler);
            self.mirror.drew();
        }
    }

    fn fill(&mut self, logits: &[f32], top: &[Scored]) {
        match self.need() {
            Need::Top(count) => self.fill_bounded(logits, &top[..count.min(top.len())]),
            Need::All => self.fill_whole(logits),
        }
    }

    /// Takes out of the list what the grammar does not allow; whether there is one. Where that leaves too few of the
    /// likeliest, all of the vocabulary are tried, which takes as long as a pass of a small model.
    fn mask(&mut self, logits: &[f32]) -> bool {
        let Some(mut grammar) = self.grammar.take() else { return false };
        let bounded = self.list.data.len() < logits.len();
        grammar.apply(&mut self.list);
        if bounded && self.bound.least().is_none_or(|least| self.list.data.len() < least) {
            self.fill_whole(logits);
            grammar.apply(&mut self.list);
        }
        self.grammar = Some(grammar);
        true
    }

    /// Every stage once, then the choice.
    fn run(&mut self, mut recorder: Option<&mut Recorder>) -> Draw {
        for (stage, sampler) in &mut self.stages {
            // Of nothing, which a grammar may leave, llama.cpp's stages want no part.
            if self.list.data.is_empty() {
                break;
            }
            if *stage == Stage::TypicalP {
                // llama.cpp takes 0 · ln 0 for no number here, after which it cuts nothing.
                self.list.data.retain(|entry| entry.logit() > f32::NEG_INFINITY);
            }
            let spared =
                if *stage == Stage::Dry { spared_logits(&self.list.data, &self.spared) } else { Vec::new() };
            self.list.apply_sampler(sampler);
            if *stage == Stage::LogitBias {
                // llama.cpp leaves the list marked as sorted although this put it out of order: the next cut would drop
                // whatever stands last.
                self.list.sorted = false;
            }
            give_back(&mut self.list.data, spared);
            if let Some(recorder) = recorder.as_deref_mut() {
                recorder.stage(StageName::Chain(*stage), &self.list.data, stages::only_moves(*stage));
            }
        }
        let entries = &self.list.data;
        let left = entries.iter().filter(|entry| entry.logit() > f32::NEG_INFINITY).count() as u32;
        if left == 0 && (self.grammar.is_some() || entries.is_empty()) {
            return Draw { id: likeliest(entries), survivors: 0 };
        }
        match &mut self.pick {
            Pick::Greedy => {
                let id = likeliest(&self.list.data);
                if let Some(recorder) = recorder {
                    let only = self.list.data.iter().find(|entry| entry.id().0 == id.0);
                    recorder.stage(StageName::Greedy, only.map_or(&[], std::slice::from_ref), false);
                }
                Draw { id, survivors: 1 }
            }
            Pick::Chance(sampler) => {
                self.list.apply_sampler(sampler);
                self.mirror.drew();
                Draw { id: selected(&self.list), survivors: left }
            }
            Pick::Mirostat(sampler) => {
                self.list.apply_sampler(sampler);
                // The C++ library draws nothing where there is one weight only.
                if self.list.data.len() > 1 {
                    self.mirror.drew();
                } else {
                    self.mirror.drew_nothing();
                }
                if let Some(recorder) = recorder {
                    recorder.stage(StageName::Mirostat, &self.list.data, false);
                }
                Draw { id: selected(&self.list), survivors: left }
            }
        }
    }

    /// Where the selected token lies on the cumulative line, in the list's order.
    fn interval(&self) -> Option<(f64, f64)> {
        if matches!(self.pick, Pick::Greedy) {
            return None;
        }
        let before = self.list.data.get(..self.list.selected?)?;
        let from: f64 = before.iter().map(|entry| f64::from(entry.p())).sum();
        Some((from, from + f64::from(self.list.data.get(before.len())?.p())))
    }

    /// Tells the grammar and every stage which token came in the reply.
    pub fn accept(&mut self, id: TokenId) {
        if self.grammar.as_mut().is_some_and(|grammar| !grammar.accept(id)) {
            self.grammar = None;
        }
        self.read(id);
    }

    /// Tells every stage which token came.
    fn read(&mut self, id: TokenId) {
        let is_spared = is_spared(&self.spared, id);
        for (stage, sampler) in &mut self.stages {
            // What the penalties never hear of, they never hold back. DRY has to hear of it: a mark breaks a sequence.
            if *stage != Stage::Penalties || !is_spared {
                sampler.accept(LlamaToken(id.0));
            }
        }
        if self.bound.window > 0 && !is_spared {
            if self.bound.recent.len() == self.bound.window {
                self.bound.recent.pop_front();
            }
            self.bound.recent.push_back(id);
        }
    }

    fn fill_bounded(&mut self, logits: &[f32], top: &[Scored]) {
        self.list.data.clear();
        self.list.data.extend(top.iter().map(|s| LlamaTokenData::new(LlamaToken(s.id.0), s.logit, 0.0)));
        let mut moved: BTreeSet<TokenId> = self.bound.recent.iter().copied().collect();
        moved.extend(&self.bound.biased);
        let in_order = moved.is_empty();
        for scored in top {
            moved.remove(&scored.id);
        }
        let others = moved.into_iter().filter_map(|id| {
            let logit = *logits.get(usize::try_from(id.0).ok()?)?;
            Some(LlamaTokenData::new(LlamaToken(id.0), logit, 0.0))
        });
        self.list.data.extend(others);
        self.list.sorted = in_order;
        self.list.selected = None;
    }

    fn fill_whole(&mut self, logits: &[f32]) {
        self.list.data.clear();
        let entries = (0..).zip(logits).map(|(id, &z)| LlamaTokenData::new(LlamaToken(id), z, 0.0));
        self.list.data.extend(entries);
        self.list.sorted = false;
        self.list.selected = None;
    }
}

/// By id, whether the stages that look back leave the token alone.
fn spared(sampling: &Sampling, vocabulary: &Vocabulary) -> Vec<bool> {
    if sampling.penalties_on_marks {
        return Vec::new();
    }
    let mut spared: Vec<bool> = vocabulary.kinds.iter().map(|kind| *kind == TokenKind::Control).collect();
    for mark in &vocabulary.marks {
        if let Some(spared) = usize::try_from(mark.0).ok().and_then(|index| spared.get_mut(index)) {
            *spared = true;
        }
    }
    spared
}

fn is_spared(spared: &[bool], id: TokenId) -> bool {
    usize::try_from(id.0).is_ok_and(|index| spared.get(index).copied().unwrap_or(false))
}

/// The spared tokens' logits as they are.
fn spared_logits(entries: &[LlamaTokenData], spared: &[bool]) -> Vec<(LlamaToken, f32)> {
    let spared = entries.iter().filter(|entry| is_spared(spared, TokenId(entry.id().0)));
    spared.map(|entry| (entry.id(), entry.logit())).collect()
}

/// Puts logits back that a stage has changed.
fn give_back(entries: &mut [LlamaTokenData], kept: Vec<(LlamaToken, f32)>) {
    if kept.is_empty() {
        return;
    }
    let kept: BTreeMap<i32, f32> = kept.into_iter().map(|(token, logit)| (token.0, logit)).collect();
    for entry in entries {
        if let Some(logit) = kept.get(&entry.id().0) {
            entry.set_logit(*logit);
        }
    }
}

/// What a drawing sampler selected.
fn selected(list: &LlamaTokenDataArray) -> TokenId {
    list.selected_token().map_or_else(|| likeliest(&list.data), |token| TokenId(token.0))
}

/// The entry with the largest logit, the smallest id among equals.
fn likeliest(entries: &[LlamaTokenData]) -> TokenId {
    let scored = entries.iter().map(|entry| Scored { id: TokenId(entry.id().0), logit: entry.logit() });
    scored.max().map_or(TokenId(0), |scored| scored.id)
}

#[cfg(test)]
mod tests;

//! The sampler chain, stage by stage through llama.cpp's own samplers, in the configured order.
//!
//! Invariants: a stage that changes nothing is not in the chain; each stateful stage is applied exactly once
//! and then told the drawn token. The chain runs on the few likeliest tokens only where that gives the same
//! draw as the whole list: when top-k comes first among the stages that cut, the list holds the k likeliest
//! and as many more as biases and penalties can move, and those tokens themselves.

use std::collections::{BTreeSet, VecDeque};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;
use llama_cpp_2::token::logit_bias::LlamaLogitBias;

use super::numbers::Scored;
use crate::sampling::{LogitBias, Sampling, Stage};
use crate::token::{TokenId, Vocabulary};

/// Above this many candidates the whole list is as cheap.
const MOST_BOUNDED: usize = 1024;

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
    /// How many tokens the stages left to draw from.
    pub survivors: u32,
}

/// What the chain needs to know of the model.
pub struct Setting<'a> {
    /// For DRY's breakers; `None` leaves DRY out (tests without a model).
    pub model: Option<&'a LlamaModel>,
    /// For biases given as text.
    pub vocabulary: &'a Vocabulary,
    /// What "the whole context" means to the penalties, tokens.
    pub context: u32,
    /// Tokens the model's makers never want drawn.
    pub suppressed: &'a [TokenId],
}

enum Pick {
    /// The likeliest of what the stages left.
    Greedy,
    /// By chance, or by mirostat.
    Drawn(LlamaSampler),
}

/// A chain with its state.
pub struct Chain {
    stages: Vec<(Stage, LlamaSampler)>,
    pick: Pick,
    bound: Bound,
    list: LlamaTokenDataArray,
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

impl Chain {
    /// Builds the chain for these settings; also gives what the user should know about them.
    #[must_use]
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
                Pick::Drawn(LlamaSampler::mirostat_v2(seed, sampling.mirostat_tau, sampling.mirostat_eta))
            }
            Kind::Chance => Pick::Drawn(LlamaSampler::dist(seed)),
        };
        let bound = Bound {
            keep: parts.keep(&active),
            biased: biases.iter().map(|bias| TokenId(bias.token().0)).collect(),
            recent: VecDeque::new(),
            window: if active.contains(&Stage::Penalties) { parts.penalty_window() } else { 0 },
        };
        let list = LlamaTokenDataArray::new(Vec::new(), false);
        (Self { stages, pick, bound, list }, notes)
    }

    /// How much of the list the next [`Chain::draw`] needs.
    #[must_use]
    pub fn need(&self) -> Need {
        let moved = self.bound.biased.len() + self.bound.recent.len();
        match self.bound.keep {
            Some(keep) if keep + moved <= MOST_BOUNDED => Need::Top(keep + moved),
            _ => Need::All,
        }
    }

    /// Draws from `logits`, of which `top` are the likeliest, at least as many as [`Chain::need`] said.
    pub fn draw(&mut self, logits: &[f32], top: &[Scored]) -> Draw {
        match self.need() {
            Need::Top(count) => self.fill_bounded(logits, &top[..count.min(top.len())]),
            Need::All => self.fill_whole(logits),
        }
        for (_, sampler) in &mut self.stages {
            self.list.apply_sampler(sampler);
        }
        let survivors =
            self.list.data.iter().filter(|entry| entry.logit() > f32::NEG_INFINITY).count() as u32;
        let id = match &mut self.pick {
            Pick::Greedy => likeliest(&self.list.data),
            Pick::Drawn(sampler) => {
                self.list.apply_sampler(sampler);
                self.list
                    .selected_token()
                    .map_or_else(|| likeliest(&self.list.data), |token| TokenId(token.0))
            }
        };
        Draw { id, survivors: if matches!(self.pick, Pick::Greedy) { 1 } else { survivors } }
    }

    /// Tells every stage which token came; also used to replay a prompt.
    pub fn accept(&mut self, id: TokenId) {
        for (_, sampler) in &mut self.stages {
            sampler.accept(LlamaToken(id.0));
        }
        if self.bound.window > 0 {
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
        for scored in top {
            moved.remove(&scored.id);
        }
        let others = moved.into_iter().filter_map(|id| {
            let logit = *logits.get(usize::try_from(id.0).ok()?)?;
            Some(LlamaTokenData::new(LlamaToken(id.0), logit, 0.0))
        });
        let sorted = self.list.data.len();
        self.list.data.extend(others);
        self.list.sorted = self.list.data.len() == sorted;
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

/// The entry with the largest logit, the smallest id among equals.
fn likeliest(entries: &[LlamaTokenData]) -> TokenId {
    let scored = entries.iter().map(|entry| Scored { id: TokenId(entry.id().0), logit: entry.logit() });
    scored.max().map_or(TokenId(0), |scored| scored.id)
}

/// The three ways to end a chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Greedy,
    Mirostat,
    Chance,
}

struct Parts<'a> {
    sampling: &'a Sampling,
    seed: u32,
    setting: &'a Setting<'a>,
    biases: &'a [LlamaLogitBias],
}

impl Parts<'_> {
    fn kind(&self) -> Kind {
        match (self.sampling.temperature > 0.0, self.sampling.mirostat) {
            (false, _) => Kind::Greedy,
            (true, 2) => Kind::Mirostat,
            (true, _) => Kind::Chance,
        }
    }

    /// The configured stages that have a place: a greedy choice and mirostat have no cuts.
    fn order(&self) -> Vec<Stage> {
        let kind = self.kind();
        let has_place = |stage: &Stage| match stage {
            Stage::LogitBias | Stage::Penalties | Stage::Dry => true,
            Stage::Temperature => kind != Kind::Greedy,
            _ => kind == Kind::Chance,
        };
        let mut order: Vec<Stage> = self.sampling.order.iter().copied().filter(has_place).collect();
        // Tokens that the model's makers suppress stay suppressed, also where the order leaves biases out.
        if !self.setting.suppressed.is_empty() && !order.contains(&Stage::LogitBias) {
            order.insert(0, Stage::LogitBias);
        }
        order
    }

    /// The stage's sampler, or nothing where the settings make it do nothing.
    fn sampler(&self, stage: Stage) -> Option<LlamaSampler> {
        let s = self.sampling;
        let min_keep = s.min_keep as usize;
        let entries = whole(self.setting.vocabulary.len());
        match stage {
            Stage::LogitBias => {
                (!self.biases.is_empty()).then(|| LlamaSampler::logit_bias(entries, self.biases))
            }
            Stage::Penalties => self.penalises().then(|| {
                let (repeat, frequency, presence) =
                    (s.repeat_penalty, s.frequency_penalty, s.presence_penalty);
                LlamaSampler::penalties(entries, whole(self.penalty_window()), repeat, frequency, presence)
            }),
            Stage::Dry => self.dry(),
            Stage::TopNSigma => (s.top_n_sigma > 0.0).then(|| LlamaSampler::top_n_sigma(s.top_n_sigma)),
            Stage::TopK => {
                (s.top_k > 0).then(|| LlamaSampler::top_k(whole(s.top_k.max(s.min_keep) as usize)))
            }
            Stage::TypicalP => (s.typical_p < 1.0).then(|| LlamaSampler::typical(s.typical_p, min_keep)),
            Stage::TopP => (s.top_p < 1.0).then(|| LlamaSampler::top_p(s.top_p, min_keep)),
            Stage::MinP => (s.min_p > 0.0).then(|| LlamaSampler::min_p(s.min_p, min_keep)),
            Stage::Xtc => (s.xtc_probability > 0.0)
                .then(|| LlamaSampler::xtc(s.xtc_probability, s.xtc_threshold, min_keep, self.seed)),
            Stage::Temperature if s.dynatemp_range > 0.0 => {
                Some(LlamaSampler::temp_ext(s.temperature, s.dynatemp_range, s.dynatemp_exponent))
            }
            Stage::Temperature => {
                ((s.temperature - 1.0).abs() > f32::EPSILON).then(|| LlamaSampler::temp(s.temperature))
            }
        }
    }

    fn penalises(&self) -> bool {
        let s = self.sampling;
        let changes = |value: f32, neutral: f32| (value - neutral).abs() > f32::EPSILON;
        self.penalty_window() > 0
            && (changes(s.repeat_penalty, 1.0)
                || changes(s.frequency_penalty, 0.0)
                || changes(s.presence_penalty, 0.0))
    }

    /// How many last tokens penalties see.
    fn penalty_window(&self) -> usize {
        usize::try_from(self.sampling.penalty_last_n).unwrap_or(self.setting.context as usize)
    }

    fn dry(&self) -> Option<LlamaSampler> {
        let s = self.sampling;
        let model = self.setting.model?;
        let last_n = i32::try_from(self.setting.context).unwrap_or(i32::MAX);
        let last_n = if s.dry_penalty_last_n < 0 { last_n } else { s.dry_penalty_last_n };
        let breakers = s.dry_sequence_breakers.iter().filter(|text| !text.contains('\0') && !text.is_empty());
        (s.dry_multiplier > 0.0 && last_n > 0).then(|| {
            LlamaSampler::dry(model, s.dry_multiplier, s.dry_base, s.dry_allowed_length, last_n, breakers)
        })
    }

    /// How many tokens must be right where the first cut is made, if that is top-k and nothing before it
    /// moves more tokens than can be named.
    fn keep(&self, active: &[Stage]) -> Option<usize> {
        let moves = |stage: &Stage| matches!(stage, Stage::LogitBias | Stage::Penalties);
        match (self.kind(), active.iter().find(|stage| !moves(stage))) {
            (Kind::Greedy, None) => Some(1),
            (Kind::Chance, Some(Stage::TopK)) => {
                Some(self.sampling.top_k.max(self.sampling.min_keep) as usize)
            }
            _ => None,
        }
    }
}

/// A count as llama.cpp takes it; more than it can hold means "all".
fn whole(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The biases by id. A text stands for every token of exactly these bytes.
fn biases(sampling: &Sampling, setting: &Setting<'_>, notes: &mut Vec<String>) -> Vec<LlamaLogitBias> {
    let mut biases: Vec<LlamaLogitBias> = Vec::new();
    if sampling.order.contains(&Stage::LogitBias) {
        for bias in &sampling.logit_bias {
            let ids = bias.ids(setting.vocabulary);
            if ids.is_empty() {
                notes.push(no_token(bias));
            }
            biases.extend(ids.into_iter().map(|id| LlamaLogitBias::new(LlamaToken(id.0), bias.bias)));
        }
    }
    let suppressed = setting.suppressed.iter();
    biases.extend(suppressed.map(|id| LlamaLogitBias::new(LlamaToken(id.0), f32::NEG_INFINITY)));
    biases
}

fn no_token(bias: &LogitBias) -> String {
    match (&bias.text, bias.id) {
        (Some(text), _) => format!("Logit bias ignored: {text:?} is not one token of this model."),
        (None, Some(id)) => format!("Logit bias ignored: this model has no token {id}."),
        (None, None) => "Logit bias ignored: it names neither a text nor an id.".to_string(),
    }
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;

//! From settings to llama.cpp's samplers, and how much of the list they have to see.
//!
//! Invariant: a stage whose settings make it do nothing is not built.

use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::logit_bias::LlamaLogitBias;

use super::Setting;
use crate::inspect::chain;
use crate::sampling::{Effect, LogitBias, Sampling, Stage};

/// The three ways to end a chain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Greedy,
    Mirostat,
    Chance,
}

/// What the stages are built from.
pub(super) struct Parts<'a> {
    pub sampling: &'a Sampling,
    pub seed: u32,
    pub setting: &'a Setting<'a>,
    pub biases: &'a [LlamaLogitBias],
}

impl Parts<'_> {
    pub(super) fn kind(&self) -> Kind {
        match (self.sampling.temperature > 0.0, self.sampling.mirostat) {
            (false, _) => Kind::Greedy,
            (true, 2) => Kind::Mirostat,
            (true, _) => Kind::Chance,
        }
    }

    /// The configured stages that have a place: a greedy choice and mirostat have no cuts.
    pub(super) fn order(&self) -> Vec<Stage> {
        let (greedy, mirostat) = (self.kind() == Kind::Greedy, self.kind() == Kind::Mirostat);
        let has_place = |stage: &Stage| stage.has_place(greedy, mirostat);
        let mut order: Vec<Stage> = self.sampling.order.iter().copied().filter(has_place).collect();
        // Tokens that the model's makers suppress stay suppressed, also where the order leaves biases out.
        if !self.setting.vocabulary.suppressed.is_empty() && !order.contains(&Stage::LogitBias) {
            order.insert(0, Stage::LogitBias);
        }
        order
    }

    /// The stage's sampler, or nothing where the settings make it do nothing.
    pub(super) fn sampler(&self, stage: Stage) -> Option<LlamaSampler> {
        let s = self.sampling;
        let min_keep = s.min_keep as usize;
        let entries = whole(self.setting.vocabulary.len());
        let is_on = if stage == Stage::LogitBias { !self.biases.is_empty() } else { stage.is_on(s) };
        if !is_on {
            return None;
        }
        Some(match stage {
            Stage::LogitBias => LlamaSampler::logit_bias(entries, self.biases),
            Stage::Penalties => {
                let (repeat, frequency, presence) =
                    (s.repeat_penalty, s.frequency_penalty, s.presence_penalty);
                LlamaSampler::penalties(entries, whole(self.penalty_window()), repeat, frequency, presence)
            }
            Stage::Dry => return self.dry(),
            Stage::TopNSigma => LlamaSampler::top_n_sigma(s.top_n_sigma),
            Stage::TopK => LlamaSampler::top_k(whole(s.top_k.max(s.min_keep) as usize)),
            Stage::TypicalP => LlamaSampler::typical(s.typical_p, min_keep),
            Stage::TopP => LlamaSampler::top_p(s.top_p, min_keep),
            Stage::MinP => LlamaSampler::min_p(s.min_p, min_keep),
            Stage::Xtc => LlamaSampler::xtc(s.xtc_probability, s.xtc_threshold, min_keep, self.seed),
            Stage::Temperature if s.dynatemp_range > 0.0 => {
                LlamaSampler::temp_ext(s.temperature, s.dynatemp_range, s.dynatemp_exponent)
            }
            Stage::Temperature => LlamaSampler::temp(s.temperature),
        })
    }

    /// How many last tokens penalties see.
    pub(super) fn penalty_window(&self) -> usize {
        usize::try_from(self.sampling.penalty_last_n).unwrap_or(self.setting.context as usize)
    }

    fn dry(&self) -> Option<LlamaSampler> {
        let s = self.sampling;
        let model = self.setting.model?;
        let last_n = i32::try_from(self.setting.context).unwrap_or(i32::MAX);
        let last_n = if s.dry_penalty_last_n < 0 { last_n } else { s.dry_penalty_last_n };
        let breakers = s.dry_sequence_breakers.iter().filter(|text| !text.contains('\0') && !text.is_empty());
        Some(LlamaSampler::dry(model, s.dry_multiplier, s.dry_base, s.dry_allowed_length, last_n, breakers))
    }

    /// How many tokens must be right where the first cut is made, if that is top-k and nothing before it
    /// moves more tokens than can be named.
    pub(super) fn keep(&self, active: &[Stage]) -> Option<usize> {
        match (self.kind(), active.iter().find(|stage| !only_moves(**stage))) {
            (Kind::Greedy, None) => Some(1),
            (Kind::Chance, Some(Stage::TopK)) => {
                Some(self.sampling.top_k.max(self.sampling.min_keep) as usize)
            }
            _ => None,
        }
    }
}

/// Whether a stage does nothing but move the logits of tokens that can be named beforehand.
pub(super) fn only_moves(stage: Stage) -> bool {
    stage.about().effect == Effect::Moves
}

/// A count as llama.cpp takes it; more than it can hold means "all".
fn whole(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The biases by id; those that no token has are noted.
pub(super) fn biases(
    sampling: &Sampling,
    setting: &Setting<'_>,
    notes: &mut Vec<String>,
) -> Vec<LlamaLogitBias> {
    if sampling.order.contains(&Stage::LogitBias) {
        let moving = sampling.logit_bias.iter().filter(|bias| bias.moves());
        notes.extend(moving.filter(|bias| bias.ids(setting.vocabulary).is_empty()).map(no_token));
    }
    let biases = chain::biases(sampling, setting.vocabulary).into_iter();
    biases.map(|(id, bias)| LlamaLogitBias::new(LlamaToken(id.0), bias)).collect()
}

fn no_token(bias: &LogitBias) -> String {
    match (&bias.text, bias.id) {
        (Some(text), _) => format!("Logit bias ignored: {text:?} is not one token of this model."),
        (None, Some(id)) => format!("Logit bias ignored: this model has no token {id}."),
        (None, None) => "Logit bias ignored: it names neither a text nor an id.".to_string(),
    }
}

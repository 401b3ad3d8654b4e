//! Sampler settings: one struct with every key, one with every key optional, and the order of stages.
//! Plain data and arithmetic; the chain itself is built under `engine`.
//!
//! Invariant: settings are layered built-in → `[sampling]` → preset → model → chat → flags, each layer
//! an [`SamplingOverrides`] put over the one below.

use serde::{Deserialize, Serialize};

use crate::token::{TokenId, Vocabulary};

/// A stage of the sampler chain, in llama.cpp's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Adds a constant to chosen tokens' logits.
    LogitBias,
    /// Repetition, frequency and presence penalties.
    Penalties,
    /// "Don't repeat yourself": penalises continuing a repeated sequence.
    Dry,
    /// Keeps logits within n standard deviations of the largest.
    TopNSigma,
    /// Keeps the k likeliest.
    TopK,
    /// Locally typical sampling (Meister et al. 2022).
    TypicalP,
    /// Nucleus sampling (Holtzman et al. 2020).
    TopP,
    /// Keeps tokens at least `min_p` times as likely as the likeliest.
    MinP,
    /// Excludes top choices: sometimes drops all but the last of the likely tokens.
    Xtc,
    /// Divides logits by the temperature, which may follow the entropy.
    Temperature,
}

impl Stage {
    /// llama.cpp's default order.
    pub const DEFAULT_ORDER: [Self; 10] = [
        Self::LogitBias,
        Self::Penalties,
        Self::Dry,
        Self::TopNSigma,
        Self::TopK,
        Self::TypicalP,
        Self::TopP,
        Self::MinP,
        Self::Xtc,
        Self::Temperature,
    ];
}

/// One entry of the logit bias: added to the logit of every token of that text, or of that id. With both, the
/// id counts where its text is that one; under another vocabulary the text does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogitBias {
    /// Text that must be exactly one token, or
    #[serde(default)]
    pub text: Option<String>,
    /// a token id.
    #[serde(default)]
    pub id: Option<i32>,
    /// Added to the logit; −inf bans the token (`ban = true` in a file).
    #[serde(with = "any_float")]
    pub bias: f32,
}

impl LogitBias {
    /// The tokens that are meant, under a vocabulary.
    #[must_use]
    pub fn ids(&self, vocabulary: &Vocabulary) -> Vec<TokenId> {
        let known = self.id.map(TokenId).filter(|id| vocabulary.bytes(*id).is_some());
        let Some(text) = &self.text else { return known.into_iter().collect() };
        let spelt = |id: &TokenId| vocabulary.bytes(*id) == Some(text.as_bytes());
        match known.filter(spelt) {
            Some(id) => vec![id],
            None => (0..i32::MAX).take(vocabulary.len()).map(TokenId).filter(spelt).collect(),
        }
    }
}

/// Floats that may be infinite, in formats that have no infinity (JSON): those become texts.
mod any_float {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub fn serialize<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f32(*value)
        } else {
            serializer.serialize_str(&value.to_string())
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f32),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(number),
            Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

macro_rules! sampling {
    ($( $(#[doc = $doc:literal])+ $name:ident : $ty:ty = $default:expr ; )+) => {
        /// Every sampler setting.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Sampling { $( $(#[doc = $doc])+ pub $name: $ty, )+ }

        impl Default for Sampling {
            fn default() -> Self { Self { $( $name: $default, )+ } }
        }

        /// The same keys, each optional: one layer of settings.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct SamplingOverrides {
            $( $(#[doc = $doc])+ #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$ty>, )+
        }

        impl SamplingOverrides {
            /// Puts these values over `base`.
            pub fn apply(&self, base: &mut Sampling) {
                $( if let Some(value) = &self.$name { base.$name = value.clone(); } )+
            }

            /// Puts `other` over these values.
            pub fn merge(&mut self, other: &Self) {
                $( if let Some(value) = &other.$name { self.$name = Some(value.clone()); } )+
            }

            /// Whether nothing is set.
            #[must_use]
            pub fn is_empty(&self) -> bool { true $( && self.$name.is_none() )+ }
        }

        /// The names of all settings, as in the configuration.
        pub const SAMPLING_KEYS: &[&str] = &[ $( stringify!($name), )+ ];
    };
}

sampling! {
    /// Divides the logits; 0 takes the likeliest token always.
    temperature: f32 = 0.8;
    /// Dynamic temperature: the range around `temperature`, following the entropy; 0 is off.
    dynatemp_range: f32 = 0.0;
    /// Exponent of the dynamic temperature.
    dynatemp_exponent: f32 = 1.0;
    /// Keep the k likeliest tokens; 0 is off.
    top_k: u32 = 40;
    /// Keep the smallest set whose probability reaches this; 1 is off.
    top_p: f32 = 0.95;
    /// Keep tokens at least this times as likely as the likeliest; 0 is off.
    min_p: f32 = 0.05;
    /// Locally typical sampling; 1 is off.
    typical_p: f32 = 1.0;
    /// Keep logits within this many standard deviations of the largest; below 0 is off.
    top_n_sigma: f32 = -1.0;
    /// Chance that XTC acts on a token; 0 is off.
    xtc_probability: f32 = 0.0;
    /// XTC drops all but the last of the tokens above this probability.
    xtc_threshold: f32 = 0.1;
    /// How many last tokens the penalties see; 0 is off, −1 the whole context.
    penalty_last_n: i32 = 64;
    /// Divides the logits of repeated tokens; 1 is off.
    repeat_penalty: f32 = 1.0;
    /// Subtracted per occurrence; 0 is off.
    frequency_penalty: f32 = 0.0;
    /// Subtracted once; 0 is off.
    presence_penalty: f32 = 0.0;
    /// Strength of DRY; 0 is off.
    dry_multiplier: f32 = 0.0;
    /// Base of DRY's growth.
    dry_base: f32 = 1.75;
    /// Repeats up to this length go unpunished.
    dry_allowed_length: i32 = 2;
    /// How many last tokens DRY sees; −1 is the whole context.
    dry_penalty_last_n: i32 = -1;
    /// Text at which DRY forgets what came before.
    dry_sequence_breakers: Vec<String> = ["\n", ":", "\"", "*"].map(String::from).to_vec();
    /// Mirostat: 0 is off, 2 is mirostat 2, which replaces every cutting stage.
    mirostat: u32 = 0;
    /// Mirostat's target surprise, bits.
    mirostat_tau: f32 = 5.0;
    /// Mirostat's learning rate.
    mirostat_eta: f32 = 0.1;
    /// Added to chosen tokens' logits.
    logit_bias: Vec<LogitBias> = Vec::new();
    /// No stage leaves fewer than this many tokens.
    min_keep: u32 = 0;
    /// Seed of the draw; unset is random, and what was drawn is recorded.
    seed: Option<u32> = None;
    /// The order of the stages.
    order: Vec<Stage> = Stage::DEFAULT_ORDER.to_vec();
    /// A reply ends after this many tokens; 0 is no limit but the context.
    max_tokens: u32 = 0;
    /// A reply ends before any of these texts.
    stop: Vec<String> = Vec::new();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_survives_json_and_messagepack() {
        for bias in [f32::NEG_INFINITY, -2.5, 0.0] {
            let ban = LogitBias { text: Some("x".into()), id: None, bias };
            let json = serde_json::to_string(&ban).unwrap();
            assert_eq!(serde_json::from_str::<LogitBias>(&json).unwrap(), ban, "{json}");
            let packed = rmp_serde::to_vec_named(&ban).unwrap();
            assert_eq!(rmp_serde::from_slice::<LogitBias>(&packed).unwrap(), ban);
        }
    }

    #[test]
    fn an_id_counts_only_where_its_text_is_the_remembered_one() {
        let mut vocabulary = Vocabulary::default();
        for text in ["a", "b", "a"] {
            vocabulary.push(text.as_bytes(), crate::token::TokenKind::Normal);
        }
        let check = |text: Option<&str>, id, expected: &[i32]| {
            let bias = LogitBias { text: text.map(String::from), id, bias: 1.0 };
            let ids: Vec<i32> = bias.ids(&vocabulary).iter().map(|id| id.0).collect();
            assert_eq!(ids, expected, "{text:?} {id:?}");
        };
        check(Some("a"), Some(2), &[2]);
        check(Some("a"), Some(1), &[0, 2]);
        check(Some("a"), None, &[0, 2]);
        check(None, Some(1), &[1]);
        check(None, Some(9), &[]);
    }

    #[test]
    fn a_layer_changes_only_what_it_names() {
        let layer = SamplingOverrides { top_k: Some(5), seed: Some(Some(7)), ..SamplingOverrides::default() };
        let mut sampling = Sampling::default();
        layer.apply(&mut sampling);
        assert_eq!(sampling, Sampling { top_k: 5, seed: Some(7), ..Sampling::default() });
        assert!(!layer.is_empty() && SamplingOverrides::default().is_empty());
    }
}

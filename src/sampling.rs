//! Sampler settings and stages: one table of each, which settings, sandbox, columns, configuration, command line and the
//! chain itself are made from. Plain data and arithmetic; the chain is built under `engine`.
//!
//! Invariant: settings are layered built-in → `[sampling]` → what the model's makers recommend → the model's preset → the
//! model → the chat's preset → the chat → flags, each layer a [`SamplingOverrides`] put over the one below.

mod doubts;

use serde::{Deserialize, Serialize};

use crate::token::{TokenId, Vocabulary};

/// What a stage does to the list, which says where it has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It moves the logits of tokens that can be named beforehand, and nothing else.
    Moves,
    /// It moves the logits of tokens that only the text tells.
    Repeats,
    /// It cuts tokens: a greedy choice and mirostat leave it out.
    Cuts,
    /// It divides all logits: a greedy choice leaves it out.
    Scales,
}

/// The setting that a stage is known by, as its column shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Parameter {
    /// A number with a fraction.
    Number(f32),
    /// A count.
    Count(u64),
}

/// All about a stage that is not its arithmetic (`inspect/chain/stages.rs`) or its sampler (`engine/sampler/stages.rs`).
#[derive(Debug)]
pub struct AboutStage {
    /// Its name in the configuration's `order`.
    pub name: &'static str,
    /// Its name in column heads and captions.
    pub label: &'static str,
    /// The same where there is room.
    pub wide: &'static str,
    /// The same in five letters.
    pub brief: &'static str,
    /// What it does to the list.
    pub effect: Effect,
    /// Whether it needs every token's logit.
    pub needs_all: bool,
    /// Whether its settings make it do something.
    pub is_on: fn(&Sampling) -> bool,
    /// The setting that it is known by.
    pub parameter: fn(&Sampling) -> Parameter,
}

macro_rules! stages {
    ($( $(#[doc = $doc:literal])+ $variant:ident $name:literal {
        names: [$label:literal, $wide:literal, $brief:literal],
        effect: $effect:ident,
        needs_all: $needs_all:literal,
        is_on: $is_on:expr,
        parameter: $parameter:expr $(,)?
    } )+) => {
        /// A stage of the sampler chain, in llama.cpp's terms.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Stage { $( $(#[doc = $doc])+ #[serde(rename = $name)] $variant, )+ }

        impl Stage {
            /// llama.cpp's default order.
            pub const DEFAULT_ORDER: &[Self] = &[$( Self::$variant, )+];

            /// All about it.
            pub fn about(self) -> &'static AboutStage {
                match self { $( Self::$variant => &AboutStage {
                    name: $name,
                    label: $label,
                    wide: $wide,
                    brief: $brief,
                    effect: Effect::$effect,
                    needs_all: $needs_all,
                    is_on: $is_on,
                    parameter: $parameter,
                }, )+ }
            }
        }
    };
}

stages! {
    /// Adds a constant to chosen tokens' logits.
    LogitBias "logit_bias" {
        names: ["bias", "bias", "bias"],
        effect: Moves,
        needs_all: false,
        is_on: |s| s.logit_bias.iter().any(LogitBias::moves),
        parameter: |s| Parameter::Count(s.logit_bias.iter().filter(|bias| bias.moves()).count() as u64),
    }
    /// Repetition, frequency and presence penalties.
    Penalties "penalties" {
        names: ["penalties", "penalties", "penal"],
        effect: Moves,
        needs_all: false,
        is_on: |s| s.penalty_last_n != 0
            && (differs(s.repeat_penalty, 1.0)
                || differs(s.frequency_penalty, 0.0)
                || differs(s.presence_penalty, 0.0)),
        parameter: |s| Parameter::Number(s.repeat_penalty),
    }
    /// "Don't repeat yourself": penalises continuing a repeated sequence.
    Dry "dry" {
        names: ["dry", "dry", "dry"],
        effect: Repeats,
        needs_all: false,
        is_on: |s| s.dry_multiplier > 0.0 && s.dry_penalty_last_n != 0,
        parameter: |s| Parameter::Number(s.dry_multiplier),
    }
    /// Keeps logits within n standard deviations of the largest.
    TopNSigma "top_n_sigma" {
        names: ["top-nσ", "top-n-sigma", "sigma"],
        effect: Cuts,
        needs_all: true,
        is_on: |s| s.top_n_sigma > 0.0,
        parameter: |s| Parameter::Number(s.top_n_sigma),
    }
    /// Keeps the k likeliest.
    TopK "top_k" {
        names: ["top-k", "top-k", "top-k"],
        effect: Cuts,
        needs_all: false,
        is_on: |s| s.top_k > 0,
        parameter: |s| Parameter::Count(s.top_k.into()),
    }
    /// Locally typical sampling (Meister et al. 2022).
    TypicalP "typical_p" {
        names: ["typical", "typical", "typ-p"],
        effect: Cuts,
        needs_all: true,
        is_on: |s| s.typical_p < 1.0,
        parameter: |s| Parameter::Number(s.typical_p),
    }
    /// Nucleus sampling (Holtzman et al. 2020).
    TopP "top_p" {
        names: ["top-p", "top-p", "top-p"],
        effect: Cuts,
        needs_all: false,
        is_on: |s| s.top_p < 1.0,
        parameter: |s| Parameter::Number(s.top_p),
    }
    /// Keeps tokens at least `min_p` times as likely as the likeliest.
    MinP "min_p" {
        names: ["min-p", "min-p", "min-p"],
        effect: Cuts,
        needs_all: false,
        is_on: |s| s.min_p > 0.0,
        parameter: |s| Parameter::Number(s.min_p),
    }
    /// Excludes top choices: sometimes drops all but the last of the likely tokens.
    Xtc "xtc" {
        names: ["xtc", "xtc", "xtc"],
        effect: Cuts,
        needs_all: false,
        // Above one half llama.cpp leaves it out.
        is_on: |s| s.xtc_probability > 0.0 && s.xtc_threshold <= 0.5,
        parameter: |s| Parameter::Number(s.xtc_probability),
    }
    /// Divides logits by the temperature, which may follow the entropy.
    Temperature "temperature" {
        names: ["temp", "temp", "temp"],
        effect: Scales,
        needs_all: false,
        is_on: |s| s.dynatemp_range > 0.0 || differs(s.temperature, 1.0),
        parameter: |s| Parameter::Number(s.temperature),
    }
}

fn differs(value: f32, neutral: f32) -> bool {
    (value - neutral).abs() > f32::EPSILON
}

impl Stage {
    /// Whether its settings make it do something.
    #[must_use]
    pub fn is_on(self, sampling: &Sampling) -> bool {
        (self.about().is_on)(sampling)
    }

    /// Whether a chain that ends in a greedy choice, or in mirostat, has a place for it.
    #[must_use]
    pub fn has_place(self, greedy: bool, mirostat: bool) -> bool {
        match self.about().effect {
            Effect::Moves | Effect::Repeats => true,
            Effect::Scales => !greedy,
            Effect::Cuts => !greedy && !mirostat,
        }
    }
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
    /// Whether it changes a logit.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.bias != 0.0
    }

    /// The tokens that are meant, under a vocabulary.
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

/// How a setting is changed and what is said of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct About {
    /// How far an arrow moves it, the least and the most it can be; `None` where it is not a number.
    pub range: Option<(f64, f64, f64)>,
    /// The ends of its slider, where a slider says something.
    pub slider: Option<(f64, f64)>,
    /// What stands beside it in few words.
    pub note: &'static str,
    /// Whether it stands among the first settings.
    pub is_first: bool,
    /// Its place among those that the sampler station tries, from 1.
    pub tried: Option<u8>,
}

impl About {
    const PLAIN: Self = Self { range: None, slider: None, note: "", is_first: false, tried: None };

    const fn number(step: f64, least: f64, most: f64) -> Self {
        Self { range: Some((step, least, most)), ..Self::PLAIN }
    }

    const fn slider(self, from: f64, to: f64) -> Self {
        Self { slider: Some((from, to)), ..self }
    }

    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    const fn first(self) -> Self {
        Self { is_first: true, ..self }
    }

    const fn tried(self, place: u8) -> Self {
        Self { tried: Some(place), ..self }
    }
}

/// A probability, moved along its whole slider.
const SHARE: About = About::number(0.05, 0.0, 1.0).slider(0.0, 1.0);

/// One sampler setting.
#[derive(Debug)]
pub struct SamplingSetting {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it does, as the example configuration says it, one line a string.
    pub help: &'static [&'static str],
    /// How it is changed and what is said of it.
    pub about: About,
}

macro_rules! sampling {
    ($( $(#[doc = $doc:literal])+ $(@ $missing:literal)? $name:ident : $ty:ty = $default:expr , [$($check:tt)+] , $about:expr ; )+) => {
        /// Every sampler setting.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Sampling { $( $(#[doc = $doc])+ $(#[serde(default = $missing)])? pub $name: $ty, )+ }

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
            pub fn is_empty(&self) -> bool { true $( && self.$name.is_none() )+ }
        }

        /// All settings, as in the configuration.
        pub const SAMPLING: &[SamplingSetting] = &[
            $( SamplingSetting { name: stringify!($name), help: &[$($doc),+], about: $about }, )+
        ];

        /// The names of all settings, as in the configuration.
        pub const SAMPLING_KEYS: &[&str] = &[ $( stringify!($name), )+ ];
    };
}

/// The setting of that name.
#[must_use]
pub fn setting(name: &str) -> Option<&'static SamplingSetting> {
    SAMPLING.iter().find(|setting| setting.name == name)
}

/// Every setting: what it does, type and default, how the configuration checks it (a function of `config::checks`, or
/// `by hand`), how it is changed and what is said of it; before a name, what stands for it in runs that were recorded
/// without it. `config` reads the same list.
macro_rules! sampling_table {
    ($with:ident) => {
        $with! {
            /// Divides the logits, 0 or more; 0 always takes the likeliest token.
            temperature: f32 = 0.8, [at_least(0.0)],
                About::number(0.05, 0.0, 5.0).slider(0.0, 2.0).first().tried(1);
            /// Dynamic temperature: range around the temperature, following the entropy; 0 is off.
            dynatemp_range: f32 = 0.0, [at_least(0.0)],
                About::number(0.05, 0.0, 5.0).note("0 is off").tried(13);
            /// Exponent of the dynamic temperature, more than 0.
            dynatemp_exponent: f32 = 1.0, [above(0.0)],
                About::number(0.1, 0.1, 20.0);
            /// Keep the k likeliest tokens; 0 is off.
            top_k: u32 = 40, [anything],
                About::number(5.0, 0.0, 1e6).slider(0.0, 100.0).first().tried(2);
            /// Keep the smallest set whose probability reaches this, 0 to 1; 1 is off.
            top_p: f32 = 0.95, [probability],
                SHARE.first().tried(3);
            /// Keep tokens whose probability is at least this share of the likeliest's, 0 to 1; 0 is off.
            min_p: f32 = 0.05, [probability],
                SHARE.first().tried(4);
            /// Locally typical sampling, 0 to 1; 1 is off.
            typical_p: f32 = 1.0, [probability],
                SHARE.note("1 is off").tried(5);
            /// Keep logits within this many standard deviations of the largest; below 0 is off.
            top_n_sigma: f32 = -1.0, [anything],
                About::number(0.1, -1.0, 20.0).note("below 0 is off").tried(6);
            /// Chance that XTC acts on a token, 0 to 1; 0 is off.
            xtc_probability: f32 = 0.0, [probability],
                SHARE.note("0 is off").tried(11);
            /// XTC drops all but the last of the tokens above this probability, 0 to 1.
            xtc_threshold: f32 = 0.1, [probability],
                SHARE.tried(12);
            /// How many last tokens the penalties see; 0 is off, -1 the whole context.
            penalty_last_n: i32 = 64, [at_least(-1)],
                About::number(16.0, -1.0, 1e6).note("−1 is all").tried(10);
            /// Divides the logits of repeated tokens, more than 0; 1 is off.
            repeat_penalty: f32 = 1.0, [above(0.0)],
                About::number(0.05, 0.05, 10.0).slider(0.05, 2.0).note("1 is off").tried(7);
            /// Subtracted per occurrence; 0 is off.
            frequency_penalty: f32 = 0.0, [anything],
                About::number(0.05, -2.0, 10.0).slider(-2.0, 2.0).note("0 is off").tried(8);
            /// Subtracted once; 0 is off.
            presence_penalty: f32 = 0.0, [anything],
                About::number(0.05, -2.0, 10.0).slider(-2.0, 2.0).note("0 is off").tried(9);
            /// Strength of DRY, which penalises going on with a repeated sequence; 0 is off.
            dry_multiplier: f32 = 0.0, [at_least(0.0)],
                About::number(0.05, 0.0, 10.0).note("0 is off");
            /// Base of DRY's growth, 1 or more.
            dry_base: f32 = 1.75, [at_least(1.0)],
                About::number(0.1, 1.0, 20.0);
            /// Repeats up to this length go unpunished.
            dry_allowed_length: i32 = 2, [at_least(0)],
                About::number(1.0, 0.0, 1e6);
            /// How many last tokens DRY sees; -1 is the whole context.
            dry_penalty_last_n: i32 = -1, [at_least(-1)],
                About::number(16.0, -1.0, 1e6).note("−1 is all");
            /// Texts at which DRY forgets what came before.
            dry_sequence_breakers: Vec<String> = ["\n", ":", "\"", "*"].map(String::from).to_vec(), [no_empty_text],
                About::PLAIN;
            /// Whether the penalties and DRY also act on end marks and the template's other marks. A mark comes once a
            /// turn; held back for that, a reply does not end.
            @"penalised_before" penalties_on_marks: bool = false, [anything],
                About::PLAIN;
            /// Mirostat: 0 is off, 2 is mirostat 2, which replaces every cutting stage.
            mirostat: u32 = 0, [mirostat],
                About::number(2.0, 0.0, 2.0).note("0 is off");
            /// Mirostat's target surprise, bits, more than 0.
            mirostat_tau: f32 = 5.0, [above(0.0)],
                About::number(0.1, 0.1, 20.0);
            /// Mirostat's learning rate, more than 0.
            mirostat_eta: f32 = 0.1, [above(0.0)],
                About::number(0.05, 0.01, 20.0);
            /// Added to chosen tokens' logits: each entry has text (one token's) or id, and bias or ban = true.
            /// Such as [{ text = " maybe", bias = -5.0 }, { id = 12, ban = true }].
            logit_bias: Vec<LogitBias> = Vec::new(), [by hand],
                About::PLAIN;
            /// No stage leaves fewer than this many tokens.
            min_keep: u32 = 0, [anything],
                About::number(1.0, 0.0, 1e6).tried(14);
            /// Seed of the draw. Not set: random, and what was drawn is recorded.
            seed: Option<u32> = None, [by hand],
                About::PLAIN.first();
            /// The order of the stages; every stage once.
            order: Vec<Stage> = Stage::DEFAULT_ORDER.to_vec(), [every_stage_once],
                About::PLAIN;
            /// A grammar (GBNF, as llama.cpp reads it) that every reply follows; empty is none. `ask --grammar FILE` and
            /// `--schema FILE`, and /grammar FILE in a chat, set it. What a model thinks before it answers stays free.
            grammar: String = String::new(), [grammar],
                About::PLAIN;
            /// A reply ends after this many tokens; 0 means no limit but the context.
            max_tokens: u32 = 0, [anything],
                About::number(64.0, 0.0, 1e6);
            /// After so many tokens of thinking its closing mark is written for the model; 0 means no limit.
            thinking_budget: u32 = 0, [anything],
                About::number(64.0, 0.0, 1e6);
            /// A reply ends before any of these texts.
            stop: Vec<String> = Vec::new(), [no_empty_text],
                About::PLAIN;
        }
    };
}
pub(crate) use sampling_table;
sampling_table!(sampling);

/// What runs did that were recorded before there was the choice.
fn penalised_before() -> bool {
    true
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
    fn a_stage_is_called_the_same_in_orders_and_in_the_table() {
        for stage in Stage::DEFAULT_ORDER {
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.about().name);
            assert!(stage.about().brief.chars().count() <= 5, "{stage:?}");
        }
    }

    #[test]
    fn a_run_recorded_before_there_was_the_choice_penalised_marks() {
        let Ok(serde_json::Value::Object(mut old)) = serde_json::to_value(Sampling::default()) else {
            panic!()
        };
        old.remove("penalties_on_marks");
        let read: Sampling = serde_json::from_value(old.into()).unwrap();
        assert_eq!(read, Sampling { penalties_on_marks: true, ..Sampling::default() });
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

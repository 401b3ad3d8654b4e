//! What an engine tells of a loaded model, and what a reply starts from.
//!
//! Invariant: plain data; notes are sentences for the user.

use serde::{Deserialize, Serialize};

use super::Capabilities;
#[cfg(doc)]
use super::Job;
use crate::chat::{Adapter, Teller};
use crate::model_entry::{Api, ModelFacts};
use crate::token::{Odds, TokenId};

/// A loaded model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// What its header says.
    pub facts: ModelFacts,
    /// Hash of its vocabulary.
    pub vocabulary: String,
    /// [`crate::token::Vocabulary::marks`] of this model: another of the same vocabulary may have others.
    #[serde(default)]
    pub marks: Vec<TokenId>,
    /// [`crate::token::Vocabulary::suppressed`], alike.
    #[serde(default)]
    pub suppressed: Vec<TokenId>,
    /// Where it runs, e.g. `CPU ×2`, `NVIDIA H100 80GB HBM3, 30 of 30 layers`.
    pub device: String,
    /// Layers on a GPU.
    pub gpu_layers: u32,
    /// Context length that a chat may use, tokens.
    pub context: u32,
    /// Whether flash attention is on.
    pub flash_attention: bool,
    /// Worker threads.
    pub threads: u32,
    /// Memory it takes.
    pub memory: Memory,
    /// How long it took, ms.
    pub load_ms: f32,
    /// Whether it computes with dequantised weights; see [`crate::model_entry::LoadParams::exact`].
    #[serde(default)]
    pub dequantized: bool,
    /// The template in use.
    pub template: TemplateKind,
    /// SHA-256 of the template's text.
    pub template_hash: Option<String>,
    /// Whether a system message has a place in the template.
    pub takes_system: bool,
    /// What the template can be told beside the messages.
    #[serde(default)]
    pub switches: Switches,
    /// What it can do beyond writing replies.
    pub capabilities: Capabilities,
    /// Things the user should know: context capped by memory, no AVX, tokens that may be wrong…
    pub notes: Vec<String>,
    /// The same of its template, for those who put a chat into it.
    #[serde(default)]
    pub template_notes: Vec<String>,
    /// Adapters of its entry that cannot be used; the notes say why.
    #[serde(default)]
    pub left_out: Vec<Adapter>,
    /// What runs it.
    #[serde(default)]
    pub runner: Runner,
    /// How much of the distribution comes with each token.
    #[serde(default)]
    pub odds: Odds,
    /// Whether it keeps what it has read of chats, and so wants to be told which it is ([`Job::Chat`]).
    #[serde(default)]
    pub keeps_states: bool,
}

impl Loaded {
    /// The server whose figures replies have; `None` for a glassbox engine.
    #[must_use]
    pub fn teller(&self) -> Option<Teller> {
        match &self.runner {
            Runner::Glassbox => None,
            Runner::Server { api, host } => {
                Some(Teller { title: api.title().to_owned(), host: host.clone(), odds: self.odds })
            }
        }
    }

    /// The same, run on that host.
    #[must_use]
    pub fn at(self, host: &str) -> Self {
        Self { device: format!("{} on {host}", self.device), ..self }
    }

    /// What the user should know: all of it, or what concerns a text that no template is put around.
    pub fn notes_for(&self, with_template: bool) -> impl Iterator<Item = &str> {
        let of_template = self.template_notes.iter().filter(move |_| with_template);
        self.notes.iter().chain(of_template).map(String::as_str)
    }
}

/// What runs a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Runner {
    /// llama.cpp in a glassbox engine, here or on another machine.
    #[default]
    Glassbox,
    /// A server that is asked over HTTP.
    Server {
        /// What it turned out to be; never [`Api::Auto`].
        api: Api,
        /// Machine and port.
        host: String,
    },
}

/// Which template a chat is put into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TemplateKind {
    /// The model's own.
    #[default]
    Model,
    /// The model's own could not be used; ChatML stands in.
    ChatMl,
    /// The model has none: a plain transcript (`User: …`, `Assistant: …`).
    Plain,
}

/// What a chat template can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    /// Names of values that it reads, such as `enable_thinking`.
    pub values: Vec<String>,
    /// Words that the model knows at the beginning of a message, such as `/no_think`.
    pub words: Vec<String>,
}

/// Bytes, as llama.cpp reports its buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Weights.
    pub weights: u64,
    /// KV cache.
    pub context: u64,
    /// Working buffers.
    pub compute: u64,
}

/// A prompt as a reply would read it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rendered {
    /// The whole prompt.
    pub ids: Vec<TokenId>,
    /// The same as text, marks included.
    pub text: String,
    /// Things the user should know, such as a role that the template does not take.
    pub notes: Vec<String>,
}

/// What a generation starts from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PromptFacts {
    /// The whole prompt.
    pub ids: Vec<TokenId>,
    /// How many of them were still in the KV cache.
    pub reused: u32,
    /// Whether these came from a snapshot on disk.
    #[serde(default)]
    pub recalled: bool,
    /// The seed that is really used.
    pub seed: u32,
    /// The rendered prompt, marks included, for the raw view.
    pub text: String,
    /// Things the user should know: oldest turns left out to fit, template refused…
    pub notes: Vec<String>,
    /// Adapters that were asked for and cannot be used; the notes say why.
    #[serde(default)]
    pub left_out: Vec<Adapter>,
}

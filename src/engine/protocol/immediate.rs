//! What is answered by whoever reads requests, also in the middle of a reply: settings at once, questions about the
//! vocabulary or a file by a helper that does not hold the reading up.
//!
//! Invariant: nothing here needs the model's computation.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::{Event, Written};
use super::{Live, Prompt, RequestId};
use crate::model_entry::ModelEntry;
use crate::token::TokenId;

/// What is answered without the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Immediate {
    /// Read a model file's header → [`Event::Described`].
    Describe {
        /// The model; its source is resolved where the engine runs.
        entry: Box<ModelEntry>,
    },
    /// The models of the server that an entry names → [`Event::Served`]. None of them need be loaded.
    Served {
        /// The entry; its key is used.
        entry: Box<ModelEntry>,
    },
    /// The loaded model's vocabulary → [`Event::Vocabulary`].
    Vocabulary,
    /// Count and name the tokens of a text → [`Event::Tokenized`].
    Tokenize {
        /// The text.
        text: String,
        /// Whether marks such as `<|im_end|>` in it become control tokens.
        special: bool,
        /// Whether the model's own begin-of-sequence rule is applied.
        begin: bool,
    },
    /// The prompt as a reply would read it, without reading it → [`Event::Rendered`].
    Render(Box<Prompt>),
    /// How the tokenizer cut and merged a text → [`Event::Pieces`].
    Pieces {
        /// The text.
        text: String,
        /// Whether special tokens may be spelt in it.
        #[serde(default)]
        special: bool,
        /// Whether it goes on after other text: no blank is put before it.
        #[serde(default)]
        inside: bool,
    },
    /// What is recorded and copied at each token from now on → [`Event::Acknowledged`].
    SetCapture(CapturePlan),
    /// Holds a reply back or lets it go on → [`Event::Acknowledged`].
    Pace {
        /// The generation.
        target: RequestId,
        /// How many more tokens it may write before it waits; `None` lets it run.
        allow: Option<u32>,
    },
    /// Stop the request of that id; it ends with its own final event. Has no answer of its own.
    Cancel {
        /// The request to stop.
        target: RequestId,
    },
    /// End the process.
    Shutdown,
    /// For fault tests: abort, hang or die (only in builds with the feature `testing`).
    Fault(String),
}

/// What is recorded and copied at each token while generating. Empty costs nothing; the inspector's open
/// station fills it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapturePlan {
    /// Record the sampler chain stage by stage, listing this many of the likeliest tokens; 0 is off
    /// → [`Written::stages`].
    #[serde(default)]
    pub stages: u32,
    /// Tokens whose probability is told at every step, however small → [`Written::watched`].
    #[serde(default)]
    pub watch: Vec<TokenId>,
    /// What is opened of the pass that chose each token → [`Written::inside`].
    #[serde(default)]
    pub inside: Option<Box<Live>>,
    /// Whether a baseline without the run's interventions reads along → [`Written::unchanged`].
    #[serde(default)]
    pub baseline: bool,
}

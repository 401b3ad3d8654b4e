//! Why something failed, and how an engine ended.
//!
//! Invariant: sentences here are for the user, and say what happened, to which input, what to do next.

use std::any::Any;

use serde::{Deserialize, Serialize};

/// Why something could not be done: what happened, to which input, what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// A sentence or two for the user.
    pub message: String,
    /// What sort it is, where the app acts on it.
    pub kind: FailureKind,
}

impl Failure {
    /// What is said of a request whose answer panicked; `next` is what to do about it.
    pub(crate) fn of_panic(panic: &(dyn Any + Send), next: &str) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Self { message: format!("The engine failed inside ({text}). {next}"), kind: FailureKind::Other }
    }
}

/// Sorts of failure that the app treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The model's file is not on this machine yet.
    NotFetched,
    /// The file cannot be loaded.
    BadModel,
    /// It does not fit into memory.
    Memory,
    /// The prompt is longer than the context.
    ContextFull,
    /// The chat template failed.
    Template,
    /// Two models were to be held against each other whose ids mean different tokens.
    OtherVocabulary,
    /// No model is loaded.
    NoModel,
    /// Cancelled before anything was made.
    Cancelled,
    /// Not beside the reply that is being written; it can be asked for again when that is done.
    Busy,
    /// Anything else.
    Other,
}

/// How an engine ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Whether it was asked to end.
    pub expected: bool,
    /// In words: `ended by signal 9 (killed)`, `exit code 1`.
    pub how: String,
    /// The last lines it wrote, newest last.
    pub log_tail: Vec<String>,
    /// What that means, where the engine ran on another machine: a sentence without a full stop.
    #[serde(default)]
    pub told: Option<String>,
}

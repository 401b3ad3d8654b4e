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

/// How native code's last words begin, before the process that it runs in is ended by it.
pub const GAVE_UP: &str = "native code gave up: ";

/// The same for an exception that it lets through.
const THREW: &str = "fatal runtime error: ";

impl Exit {
    /// What happened, as a sentence without a full stop; `loading` is the model whose file was being loaded, if one was.
    #[must_use]
    pub fn sentence(&self, loading: Option<&str>) -> String {
        let (what, why) = self.parts(loading);
        what + &why
    }

    /// The same in two parts, between which there is room for what to do: what happened, and why, in brackets.
    #[must_use]
    pub fn parts(&self, loading: Option<&str>) -> (String, String) {
        if let Some(told) = &self.told {
            return (told.clone(), String::new());
        }
        let how = &self.how;
        match (self.gave_up(), loading) {
            (Some(why), Some(name)) => (
                format!(
                    "{name} cannot be loaded: llama.cpp gave up on its file, which is damaged or says what this llama.cpp \
                     does not expect"
                ),
                format!(" ({why})"),
            ),
            (Some(why), None) => (format!("llama.cpp gave up, and the engine {how}"), format!(" ({why})")),
            (None, _) => {
                let said = self.last_line().map(|line| format!(" (its last line: {line})"));
                (format!("the engine {how}"), said.unwrap_or_default())
            }
        }
    }

    /// Why native code ended the process, in its own words; `None` unless it did.
    #[must_use]
    pub fn gave_up(&self) -> Option<&str> {
        fn why(line: &str) -> Option<&str> {
            [GAVE_UP, THREW].into_iter().find_map(|words| line.strip_prefix(words))
        }
        self.log_tail.iter().rev().find_map(|line| why(line.trim()))
    }

    /// The last line that it wrote for a reader, not for its log.
    #[must_use]
    pub fn last_line(&self) -> Option<&str> {
        let of_the_log =
            |line: &str| ["INFO ", "WARN ", "DEBUG "].iter().any(|level| line.starts_with(level));
        self.log_tail.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty() && !of_the_log(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(lines: &[&str]) -> Exit {
        let log_tail = lines.iter().map(|line| (*line).to_owned()).collect();
        Exit { how: "ended by signal 6 (aborted)".into(), log_tail, ..Exit::default() }
    }

    #[test]
    fn what_native_code_said_last_is_told_with_the_file_that_was_loaded() {
        let gave_up =
            exit(&["INFO contained", "native code gave up: llama-vocab.cpp:2578: GGML_ASSERT(x) failed", ""]);
        let expected = "m.gguf cannot be loaded: llama.cpp gave up on its file, which is damaged or says what this llama.cpp \
                        does not expect (llama-vocab.cpp:2578: GGML_ASSERT(x) failed)";
        assert_eq!(gave_up.sentence(Some("m.gguf")), expected);
        let expected = "llama.cpp gave up, and the engine ended by signal 6 (aborted) (llama-vocab.cpp:2578: GGML_ASSERT(x) \
                        failed)";
        assert_eq!(gave_up.sentence(None), expected);
        let threw = exit(&["fatal runtime error: Rust cannot catch foreign exceptions, aborting"]);
        assert!(threw.sentence(Some("m.gguf")).contains("(Rust cannot catch"));
    }

    #[test]
    fn any_other_end_is_told_by_its_last_line() {
        let killed = exit(&["loading", "out of memory", "INFO glassbox: bye"]);
        let expected = "the engine ended by signal 6 (aborted) (its last line: out of memory)";
        assert_eq!(
            (killed.sentence(None), killed.sentence(Some("m.gguf"))),
            (expected.into(), expected.into())
        );
        assert_eq!(exit(&[]).sentence(None), "the engine ended by signal 6 (aborted)");
        let told = Exit { told: Some("the line was lost".into()), ..killed };
        assert_eq!(told.sentence(Some("m.gguf")), "the line was lost");
    }
}

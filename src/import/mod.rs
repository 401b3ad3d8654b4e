//! Chats of other programs and exports of our own, read from JSON: ChatGPT, Open WebUI, LM Studio, llama.cpp's web UI.
//!
//! Invariants: a tree stays a tree; the same file gives the same ids, so importing it twice adds nothing; what a file
//! holds beside text (pictures, calls of tools) is left out with a word where it stood, never guessed at; half a
//! character costs itself alone.

mod chatgpt;
mod glassbox;
mod halves;
mod llama_cpp;
mod lm_studio;
mod open_webui;
mod tree;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::chat::{Conversation, Run};
use crate::token::{Entry, TokenId};

/// A chat as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The chat.
    pub conversation: Conversation,
    /// What its replies were made under; only our own exports know.
    pub runs: Vec<Run>,
    /// What its tokens are, by vocabulary; likewise.
    pub words: Words,
}

/// Entries of vocabularies, by their hashes.
pub type Words = BTreeMap<String, BTreeMap<TokenId, Entry>>;

impl Imported {
    fn text_alone(conversation: Conversation) -> Self {
        Self { conversation, runs: Vec::new(), words: Words::new() }
    }
}

/// Why a file cannot be imported.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is no JSON.
    #[error("is not JSON: {0}")]
    NotJson(String),
    /// It is JSON, and no chat of a program that is known here.
    #[error(
        "holds no chats that can be read: it is no export of glassbox (json or jsonl), ChatGPT (conversations.json), \
         Open WebUI, LM Studio (….conversation.json) or llama.cpp's web UI"
    )]
    Unknown,
    /// It is an export of ours that was cut or changed.
    #[error("is an export of glassbox, but {0}")]
    Damaged(String),
}

/// All chats of a file.
///
/// # Errors
/// When it is no JSON, or holds nothing that is a chat.
pub fn read(text: &str) -> Result<Vec<Imported>, ImportError> {
    let (text, _) = halves::replaced(text.trim_start_matches('\u{feff}'));
    let text = text.as_ref();
    if let Some(lines) = glassbox::lines(text) {
        return lines;
    }
    let value: Value = serde_json::from_str(text).map_err(|error| ImportError::NotJson(error.to_string()))?;
    let (one, many);
    let all: &[Value] = if let Value::Array(values) = value {
        many = values;
        &many
    } else {
        one = [value];
        &one
    };
    let mut found = Vec::new();
    for value in all {
        if glassbox::is(value) {
            found.push(glassbox::chat(value)?);
        } else {
            found.extend(foreign(value).map(Imported::text_alone));
        }
    }
    if found.is_empty() { Err(ImportError::Unknown) } else { Ok(found) }
}

/// How many halves of characters stand in a file without their other half; U+FFFD is read for each.
#[must_use]
pub fn halves_alone(text: &str) -> usize {
    halves::replaced(text).1
}

/// A chat of another program, told by its shape.
fn foreign(value: &Value) -> Option<Conversation> {
    let (source, chat) = if value["mapping"].is_object() {
        ("chatgpt", chatgpt::chat(value))
    } else if value["chat"]["history"]["messages"].is_object() || value["history"]["messages"].is_object() {
        ("open-webui", open_webui::chat(value))
    } else if value["conv"].is_object() && value["messages"].is_array() {
        ("llama.cpp", llama_cpp::chat(value))
    } else if value["messages"].is_array() {
        ("lm-studio", lm_studio::chat(value))
    } else {
        return None;
    };
    tree::conversation(source, chat)
}

#[cfg(test)]
mod tests;

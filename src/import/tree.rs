//! From the messages of any program to a tree of turns.
//!
//! Invariants: a turn comes after its parent; a message that says nothing is left out and its answers hang on what it
//! answered; whatever a damaged file claims about parents, every message is walked once at most.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::chat::{
    ChatSettings, Conversation, ConversationHead, ConversationId, Place, Role, Span, Turn, TurnId, title_of,
};

/// A chat of another program.
#[derive(Clone, Debug, Default)]
pub(super) struct Chat {
    /// What tells it from others of that program.
    pub(super) key: String,
    pub(super) title: String,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
    pub(super) system: Option<String>,
    /// The last message of the shown branch.
    pub(super) leaf: Option<String>,
    pub(super) messages: Vec<Message>,
}

/// A message of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) key: String,
    pub(super) parent: Option<String>,
    /// `None` for what nobody said: the root, a tool's answer.
    pub(super) role: Option<Role>,
    pub(super) text: String,
    pub(super) model: Option<String>,
    pub(super) created_ms: i64,
}

/// The chat as a tree of turns; `None` where it holds no message.
pub(super) fn conversation(source: &str, mut chat: Chat) -> Option<Conversation> {
    let id = |key: &str| id(source, &chat.key, key);
    let mut turns = Vec::new();
    let mut placed: HashMap<&str, Option<TurnId>> = HashMap::new();
    for message in in_order(&chat.messages) {
        let parent = message.parent.as_deref().and_then(|parent| placed.get(parent).copied().flatten());
        let at = match message.role.filter(|_| !message.text.trim().is_empty()) {
            // Instructions before everything are the chat's own.
            Some(Role::System) if parent.is_none() => {
                chat.system.get_or_insert_with(|| message.text.clone());
                None
            }
            Some(role) => {
                turns.push(Turn {
                    spans: vec![Span::Written { text: message.text.clone() }],
                    model: message.model.clone().filter(|_| role == Role::Assistant),
                    ..Turn::new(TurnId(id(&message.key)), parent, role, message.created_ms)
                });
                turns.last().map(|turn| turn.id)
            }
            None => parent,
        };
        placed.insert(&message.key, at);
    }
    let last = turns.last()?.id;
    let shown = chat.leaf.as_deref().and_then(|leaf| placed.get(leaf).copied().flatten());
    let first = turns.iter().find(|turn| turn.role == Role::User).map(Turn::text).unwrap_or_default();
    let created_ms =
        [chat.created_ms, turns[0].created_ms].into_iter().find(|ms| *ms > 0).unwrap_or_default();
    let latest = turns.iter().map(|turn| turn.created_ms).max().unwrap_or_default();
    let titles = [chat.title.trim().to_owned(), title_of(&first), "Imported chat".to_owned()];
    let title = titles.into_iter().find(|title| !title.is_empty()).unwrap_or_default();
    let head = ConversationHead {
        title,
        created_ms,
        updated_ms: chat.updated_ms.max(latest).max(created_ms),
        ..ConversationHead::new(ConversationId(id("")))
    };
    let settings = ChatSettings { system: chat.system.clone(), ..ChatSettings::default() };
    Some(Conversation { head, settings, leaf: Some(shown.unwrap_or(last)), turns, place: Place::default() })
}

/// The messages, each after the one it answers; those of one parent in the file's order.
fn in_order(messages: &[Message]) -> Vec<&Message> {
    let known: HashSet<&str> = messages.iter().map(|message| message.key.as_str()).collect();
    let mut answers: HashMap<Option<&str>, Vec<&Message>> = HashMap::new();
    for message in messages {
        let parent = message.parent.as_deref().filter(|parent| known.contains(parent));
        answers.entry(parent).or_default().push(message);
    }
    let mut waiting: Vec<&Message> = answers.remove(&None).unwrap_or_default();
    waiting.reverse();
    let mut ordered = Vec::with_capacity(messages.len());
    while let Some(message) = waiting.pop() {
        ordered.push(message);
        // Taken out, so that a circle ends.
        let next = answers.remove(&Some(message.key.as_str())).unwrap_or_default();
        waiting.extend(next.into_iter().rev());
    }
    ordered
}

/// A positive number that the same chat and message always get.
fn id(source: &str, chat: &str, message: &str) -> i64 {
    let mut hash = Sha256::new();
    for part in [source, chat, message] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let bytes: [u8; 8] = std::array::from_fn(|at| digest[at]);
    (u64::from_le_bytes(bytes) >> 1).cast_signed().max(1)
}

/// Milliseconds since 1970 of a time in seconds, milliseconds, microseconds or nanoseconds; 0 for none.
pub(super) fn ms(value: &Value) -> i64 {
    let Some(time) = value.as_f64().filter(|time| time.is_finite() && *time > 0.0) else { return 0 };
    let ms = match time {
        t if t < 1e11 => t * 1e3,
        t if t < 1e14 => t,
        t if t < 1e17 => t / 1e3,
        t => t / 1e6,
    };
    ms as i64
}

/// A text, or nothing.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Who speaks, by the names that all these programs use.
pub(super) fn role(value: &Value) -> Option<Role> {
    match value.as_str()? {
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        "system" | "developer" => Some(Role::System),
        _ => None,
    }
}

/// A message's content: a text, or a list of parts, of which those that are no text leave a word.
pub(super) fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let parts = parts.iter().map(part).filter(|part| !part.is_empty());
            parts.collect::<Vec<_>>().join("\n\n")
        }
        _ => String::new(),
    }
}

fn part(value: &Value) -> String {
    if let Some(text) = value.as_str().or_else(|| value["text"].as_str()) {
        return text.to_owned();
    }
    let kind = value["type"].as_str().or_else(|| value["content_type"].as_str()).unwrap_or_default();
    if kind.is_empty() { String::new() } else { format!("[{}]", kind.replace('_', " ")) }
}

//! The export of llama.cpp's web UI: a conversation and its messages, each with its parent.

use serde_json::Value;

use super::tree::{Chat, Message, content, ms, role, text};

pub(super) fn chat(value: &Value) -> Chat {
    let conversation = &value["conv"];
    let messages = value["messages"].as_array().into_iter().flatten();
    Chat {
        key: text(&conversation["id"]),
        title: text(&conversation["name"]),
        created_ms: 0,
        updated_ms: ms(&conversation["lastModified"]),
        system: None,
        leaf: key(&conversation["currNode"]),
        messages: messages.map(message).collect(),
    }
}

/// Ids are texts in newer exports, numbers in older ones.
fn key(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn message(value: &Value) -> Message {
    let is_root = value["type"].as_str() == Some("root");
    Message {
        key: key(&value["id"]).unwrap_or_default(),
        parent: key(&value["parent"]),
        role: role(&value["role"]).filter(|_| !is_root),
        text: content(&value["content"]),
        model: value["model"].as_str().map(str::to_owned),
        created_ms: ms(&value["timestamp"]),
    }
}

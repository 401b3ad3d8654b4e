//! Open WebUI's export: an array of chats, each with a `history` of messages by id.

use serde_json::Value;

use super::tree::{Chat, Message, content, ms, role, text};

pub(super) fn chat(value: &Value) -> Chat {
    let inner = if value["chat"].is_object() { &value["chat"] } else { value };
    let history = &inner["history"];
    let key = value["id"].as_str().or_else(|| inner["id"].as_str()).filter(|id| !id.is_empty());
    let time = |name: &str| [&value[name], &inner[name]].into_iter().map(ms).max().unwrap_or_default();
    Chat {
        key: key.map_or_else(|| format!("{}{}", inner["title"], value["created_at"]), str::to_owned),
        title: [&inner["title"], &value["title"]]
            .into_iter()
            .map(text)
            .find(|t| !t.is_empty())
            .unwrap_or_default(),
        created_ms: time("created_at").max(ms(&inner["timestamp"])),
        updated_ms: time("updated_at"),
        system: inner["params"]["system"].as_str().filter(|text| !text.is_empty()).map(str::to_owned),
        leaf: history["currentId"].as_str().map(str::to_owned),
        messages: history["messages"].as_object().into_iter().flatten().map(message).collect(),
    }
}

fn message((id, value): (&String, &Value)) -> Message {
    Message {
        key: id.clone(),
        parent: value["parentId"].as_str().map(str::to_owned),
        role: role(&value["role"]),
        text: content(&value["content"]),
        model: value["model"].as_str().map(str::to_owned),
        created_ms: ms(&value["timestamp"]),
    }
}

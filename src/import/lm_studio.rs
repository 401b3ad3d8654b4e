//! LM Studio's `….conversation.json`: a list of messages, each with its versions. A plain list of messages with a
//! role and content, as many programs write it, is read the same way.

use serde_json::Value;

use super::tree::{Chat, Message, content, ms, role, text};

pub(super) fn chat(value: &Value) -> Chat {
    let created_ms = ms(&value["createdAt"]);
    let title = [&value["name"], &value["title"]].into_iter().map(text).find(|title| !title.is_empty());
    let system = value["systemPrompt"].as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let mut messages = Vec::new();
    let mut before: Option<String> = None;
    for (number, value) in value["messages"].as_array().into_iter().flatten().enumerate() {
        let one = [value.clone()];
        let versions = value["versions"].as_array().map_or(&one[..], Vec::as_slice);
        let selected = value["currentlySelected"].as_u64().unwrap_or_default() as usize;
        for (version, value) in versions.iter().enumerate() {
            messages.push(message(value, format!("{number}.{version}"), before.clone(), created_ms));
        }
        if !versions.is_empty() {
            before = Some(format!("{number}.{}", selected.min(versions.len() - 1)));
        }
    }
    let title = title.unwrap_or_default();
    let first = messages.first().map(|message| message.text.clone()).unwrap_or_default();
    Chat {
        key: format!("{created_ms} {title} {first}"),
        title,
        created_ms,
        updated_ms: ms(&value["userLastMessagedAt"]).max(ms(&value["assistantLastMessagedAt"])),
        system,
        leaf: before,
        messages,
    }
}

fn message(value: &Value, key: String, parent: Option<String>, created_ms: i64) -> Message {
    let steps = value["steps"].as_array().into_iter().flatten();
    let steps: Vec<String> = steps
        .filter(|step| step["type"].as_str() == Some("contentBlock"))
        .filter(|step| step["style"]["type"].as_str() != Some("thinking"))
        .map(|step| content(&step["content"]))
        .filter(|text| !text.is_empty())
        .collect();
    let model = value["senderInfo"]["senderName"].as_str().or_else(|| value["model"].as_str());
    Message {
        key,
        parent,
        role: role(&value["role"]),
        text: if steps.is_empty() { content(&value["content"]) } else { steps.join("\n\n") },
        model: model.map(str::to_owned),
        created_ms: Some(ms(&value["createdAt"])).filter(|ms| *ms > 0).unwrap_or(created_ms),
    }
}

//! ChatGPT's `conversations.json`: an array of conversations, each a `mapping` of nodes by id.

use serde_json::Value;

use super::tree::{Chat, Message, content, ms, role, text};

pub(super) fn chat(value: &Value) -> Chat {
    let nodes = value["mapping"].as_object().into_iter().flatten();
    let key = value["conversation_id"].as_str().or_else(|| value["id"].as_str());
    let key = key.map_or_else(|| format!("{}{}", value["title"], value["create_time"]), str::to_owned);
    Chat {
        key,
        title: text(&value["title"]),
        created_ms: ms(&value["create_time"]),
        updated_ms: ms(&value["update_time"]),
        system: None,
        leaf: value["current_node"].as_str().map(str::to_owned),
        messages: nodes.map(|(id, node)| message(id, node)).collect(),
    }
}

fn message(id: &str, node: &Value) -> Message {
    let message = &node["message"];
    let hidden = message["metadata"]["is_visually_hidden_from_conversation"].as_bool() == Some(true);
    Message {
        key: id.to_owned(),
        parent: node["parent"].as_str().map(str::to_owned),
        role: role(&message["author"]["role"]).filter(|_| !hidden && for_people(message)),
        text: said(&message["content"]),
        model: message["metadata"]["model_slug"].as_str().map(str::to_owned),
        created_ms: ms(&message["create_time"]),
    }
}

/// Whether it was said to the other side, and not to a tool.
fn for_people(message: &Value) -> bool {
    matches!(message["recipient"].as_str(), None | Some("all"))
}

fn said(value: &Value) -> String {
    match value["content_type"].as_str() {
        Some("text" | "multimodal_text") | None => content(&value["parts"]),
        Some("code") => text(&value["text"]),
        _ => String::new(), // thoughts, what a tool gave back
    }
}

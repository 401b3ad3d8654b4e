//! Each program's form, by small files of its shape.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::chat::Role;
use crate::token::Vocabulary;

/// A chat as indented lines: who said what, the shown branch marked.
fn drawn(chat: &Conversation) -> Vec<String> {
    let shown: Vec<_> = chat.branch().iter().map(|turn| turn.id).collect();
    let depth = |mut parent| {
        let mut depth = 0;
        while let Some(turn) = Option::and_then(parent, |id| chat.turn(id)) {
            depth += 1;
            parent = turn.parent;
        }
        depth
    };
    let line = |turn: &crate::chat::Turn| {
        let mark = if shown.contains(&turn.id) { '*' } else { ' ' };
        let who = match turn.role {
            Role::User => "U",
            Role::Assistant => "A",
            Role::System => "S",
        };
        format!("{}{mark}{who} {}", "  ".repeat(depth(turn.parent)), turn.text())
    };
    chat.turns.iter().map(line).collect()
}

fn one(value: &Value) -> Conversation {
    let mut all = read(&value.to_string()).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0).conversation
}

#[test]
fn chatgpt_keeps_its_tree_and_leaves_out_what_nobody_said() {
    let node = |parent: Option<&str>, role: &str, content: Value| {
        json!({"parent": parent, "message": {
            "author": {"role": role}, "create_time": 1_700_000_000.5, "recipient": "all",
            "content": content, "metadata": {"model_slug": "gpt-4o"},
        }})
    };
    let text = |text: &str| json!({"content_type": "text", "parts": [text]});
    let picture = json!({"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}, "What is it?"]});
    let chat = one(&json!({
        "title": "Capitals", "create_time": 1_700_000_000.0, "conversation_id": "c1", "current_node": "a2",
        "mapping": {
            "root": {"parent": null, "message": null},
            "s": node(Some("root"), "system", text("")),
            "u": node(Some("s"), "user", picture),
            "a1": node(Some("u"), "assistant", text("A map.")),
            "t": node(Some("u"), "tool", text("{}")),
            "a2": node(Some("t"), "assistant", text("A chart.")),
        },
    }));
    let expected = ["*U [image asset pointer]\n\nWhat is it?", "   A A map.", "  *A A chart."];
    assert_eq!(drawn(&chat), expected);
    assert_eq!((chat.head.title.as_str(), chat.turns[0].created_ms), ("Capitals", 1_700_000_000_500));
    assert_eq!(chat.turns[1].model.as_deref(), Some("gpt-4o"));
}

#[test]
fn open_webui_has_versions_by_parent() {
    let message = |parent: Option<&str>, role: &str, content: &str| json!({"parentId": parent, "role": role, "content": content, "timestamp": 1_700_000_000});
    let chat = one(&json!([{"id": "x", "created_at": 1_700_000_000, "chat": {
        "title": "T", "params": {"system": "Be brief."},
        "history": {"currentId": "c", "messages": {
            "a": message(None, "user", "Hi"),
            "b": message(Some("a"), "assistant", "Hello."),
            "c": message(Some("a"), "assistant", "Hey."),
        }},
    }}]));
    assert_eq!(drawn(&chat), ["*U Hi", "   A Hello.", "  *A Hey."]);
    assert_eq!(chat.settings.system.as_deref(), Some("Be brief."));
}

#[test]
fn llama_cpp_numbers_or_names_its_messages() {
    let chat = one(&json!({
        "conv": {"id": "conv-1", "name": "N", "lastModified": 1_700_000_000_000_i64, "currNode": 3},
        "messages": [
            {"id": 1, "type": "root", "role": "system", "content": "", "parent": -1},
            {"id": 2, "type": "text", "role": "user", "content": "Hi", "parent": 1, "timestamp": 1_700_000_000_000_i64},
            {"id": 3, "type": "text", "role": "assistant", "content": "Hello.", "parent": 2},
        ],
    }));
    assert_eq!(drawn(&chat), ["*U Hi", "  *A Hello."]);
}

#[test]
fn lm_studio_goes_on_from_the_selected_version() {
    let said = |role: &str, text: &str| json!({"role": role, "content": [{"type": "text", "text": text}]});
    let reply = json!({"role": "assistant", "type": "multiStep", "senderInfo": {"senderName": "qwen"}, "steps": [
        {"type": "contentBlock", "style": {"type": "thinking"}, "content": [{"type": "text", "text": "hm"}]},
        {"type": "contentBlock", "content": [{"type": "text", "text": "Second."}]},
    ]});
    let chat = one(&json!({"name": "L", "createdAt": 1_700_000_000_000_i64, "messages": [
        {"versions": [said("user", "Hi")], "currentlySelected": 0},
        {"versions": [said("assistant", "First."), reply], "currentlySelected": 1},
        {"versions": [said("user", "Go on")], "currentlySelected": 0},
    ]}));
    assert_eq!(drawn(&chat), ["*U Hi", "   A First.", "  *A Second.", "    *U Go on"]);
    assert_eq!(chat.turns[2].model.as_deref(), Some("qwen"));
}

#[test]
fn a_circle_and_a_missing_parent_end() {
    let message = |id: u32, parent: u32, text: &str| json!({"id": id, "parent": parent, "type": "text", "role": "user", "content": text});
    let messages = [message(1, 2, "a"), message(2, 1, "b"), message(3, 9, "c")];
    let chat = one(&json!({"conv": {"id": "x"}, "messages": messages}));
    assert_eq!(drawn(&chat), ["*U c"]);
}

#[test]
fn the_same_file_gives_the_same_ids() {
    let file =
        json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]});
    assert_eq!(one(&file), one(&file));
    let other = json!({"messages": [{"role": "user", "content": "Ho"}]});
    assert_ne!(one(&file).head.id, one(&other).head.id);
}

#[test]
fn half_a_character_is_replaced_and_costs_nothing_else() {
    let said = |text: &str| {
        let file = format!(
            r#"{{"name": "T", "messages": [{{"role": "user", "content": "{text}"}}, {{"role": "assistant", "content": "Hello."}}]}}"#
        );
        drawn(&read(&file).unwrap().remove(0).conversation).remove(0)
    };
    for (text, expected) in [
        (r"a\ud83d", "*U a\u{fffd}"),
        (r"\ud83db", "*U \u{fffd}b"),
        (r"\udE00 b", "*U \u{fffd} b"),
        (r"\ud83d\ud83d\ude00\ude00", "*U \u{fffd}😀\u{fffd}"),
        (r"\ud83d\n\u0041", "*U \u{fffd}\nA"),
        (r"\\ud83d \\\ud83d", r"*U \ud83d \�"),
        (r"\ud83d\ude00", "*U 😀"),
    ] {
        assert_eq!(said(text), expected, "{text}");
    }
    // A title, and our own exports, one object or one object a line.
    let chat = include_str!("../../tests/data/versions/0.1/chat.json").replacen(
        "\"title\": \"",
        "\"title\": \"\\udc00",
        1,
    );
    let whole = read(&chat).unwrap().remove(0);
    assert!(whole.conversation.head.title.starts_with('\u{fffd}'), "{}", whole.conversation.head.title);
    let lines = [
        r#"{"type": "conversation", "format": "glassbox", "id": 7, "title": "\ud800"}"#,
        r#"{"type": "turn", "id": 8, "parent": null, "role": "user", "created_ms": 1, "state": "done", "spans": [{"written": "\udfff!"}]}"#,
    ];
    let found = read(&lines.join("\n")).unwrap().remove(0).conversation;
    assert_eq!((found.head.title.as_str(), found.turns[0].text().as_str()), ("\u{fffd}", "\u{fffd}!"));
}

#[test]
fn what_is_no_chat_says_what_could_be_read() {
    assert!(matches!(read("nothing"), Err(ImportError::NotJson(_))));
    assert_eq!(read("[1, {}]"), Err(ImportError::Unknown));
    assert_eq!(read(r#"{"messages": []}"#), Err(ImportError::Unknown));
}

#[test]
fn an_export_of_0_1_comes_back_whole() {
    let text = include_str!("../../tests/data/versions/0.1/chat.json");
    let found = read(text).unwrap().remove(0);
    let before: Value = serde_json::from_str(text).unwrap();
    let runs = found.runs.iter().map(|run| (run.id, run.clone())).collect();
    let learned = |(hash, words): (&String, &BTreeMap<_, _>)| {
        let vocabulary = Vocabulary { hash: hash.clone(), learned: words.clone(), ..Vocabulary::default() };
        (hash.clone(), std::sync::Arc::new(vocabulary))
    };
    let vocabularies = found.words.iter().map(learned).collect();
    let document = crate::export::Document {
        conversation: &found.conversation,
        runs: &runs,
        vocabularies: &vocabularies,
        thinking: false,
    };
    let after: Value = serde_json::from_str(&document.export(crate::export::Format::Json)).unwrap();
    assert_eq!(after["turns"].as_array().unwrap().len(), before["turns"].as_array().unwrap().len());
    for (after, before) in after["turns"].as_array().unwrap().iter().zip(before["turns"].as_array().unwrap())
    {
        for field in ["id", "parent", "role", "text", "spans", "deleted", "shown", "note", "model"] {
            assert_eq!(after[field], before[field], "{field} of {}", before["id"]);
        }
        assert_eq!(after["tokens"].as_array().unwrap().len(), before["tokens"].as_array().unwrap().len());
    }
    // So does what a message of today says beside that: where its files lie.
    let mut filed = found.clone();
    let insert = crate::chat::Insert { start: 0, end: 1, file: Some("a".into()), tokens: Some(1) };
    filed.conversation.turns[0].inserts = vec![insert];
    let json = crate::export::Document { conversation: &filed.conversation, ..document };
    assert_eq!(read(&json.export(crate::export::Format::Json)).unwrap().remove(0), filed);
    let lines = document.export(crate::export::Format::JsonLines);
    assert_eq!(read(&lines).unwrap().remove(0), found);
    let cut: String = lines.lines().take(4).collect::<Vec<_>>().join("\n") + "\n{\"type\": \"tok";
    assert!(matches!(read(&cut), Err(ImportError::Damaged(_))));
}

//! What version 0.1 wrote is read as it read it: a database, a configuration, and the export of a chat.
//!
//! Invariant: the files under `tests/data/versions/0.1` are never made again. They were written by that version
//! (commit 3c4a871); a later version that reads them otherwise has broken somebody's chats.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::chats::Chats;
use crate::config::Warning;
use crate::config::keymap::Keymap;
use crate::export::{Document, Format};
use crate::store::{Command, Event};

const CHAT: &str = include_str!("../../tests/data/versions/0.1/chat.json");
const CONFIG: &str = include_str!("../../tests/data/versions/0.1/config.toml");
const READ_CONFIG: &str = include_str!("../../tests/data/versions/0.1/config.json");

/// The database, copied, since opening one writes to it.
fn database(folder: &Path) -> PathBuf {
    let path = folder.join("glassbox.db");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/versions/0.1/glassbox.db");
    std::fs::copy(kept, &path).unwrap();
    path
}

fn exported(reader: &Chats, format: Format) -> String {
    let id = reader.find("41").unwrap();
    let (conversation, runs) = reader.conversation(id).unwrap();
    let vocabularies = reader.vocabularies(&runs).unwrap();
    Document { conversation: &conversation, runs: &runs, vocabularies: &vocabularies, thinking: false }
        .export(format)
}

#[test]
fn a_chat_of_0_1_is_exported_as_0_1_did() {
    let folder = tempfile::tempdir().unwrap();
    let reader = Chats::existing(&database(folder.path())).unwrap();
    let now: Value = serde_json::from_str(&exported(&reader, Format::Json)).unwrap();
    let then: Value = serde_json::from_str(CHAT).unwrap();
    assert_eq!(now["turns"].as_array().unwrap().len(), 10);
    assert_holds(&now, &then, "the export");
}

#[test]
fn a_chat_of_0_1_opens_whole() {
    let folder = tempfile::tempdir().unwrap();
    let reader = Chats::existing(&database(folder.path())).unwrap();
    let heads = reader.heads().unwrap();
    let titles: Vec<(&str, &str)> = heads.iter().map(|head| (head.title.as_str(), &*head.draft)).collect();
    assert_eq!(titles, [("Capitals", "and what of"), ("Poems", "")]);
    let (conversation, runs) = reader.conversation(heads[0].id).unwrap();
    let shown: Vec<String> = conversation
        .branch()
        .iter()
        .map(|turn| String::from_utf8(conversation.bytes(turn)).unwrap())
        .collect();
    assert_eq!(
        shown,
        ["Answer in one word.", "Capital of France?", " Paris, of course 😀.", "And of Italy?", " Rome.",]
    );
    assert_eq!(conversation.settings.interventions.len(), 5);
    assert_eq!(runs.len(), 4);
    let lengths: Vec<usize> = runs.values().map(|run| run.prompt_ids.len()).collect();
    assert_eq!(lengths, [12, 14, 12, 31]);

    reader.store.send(Command::Scores(heads[0].id));
    let scores = reader.wait(|event| match event {
        Event::Scores(_, scores) => Some(scores),
        _ => None,
    });
    let scores = scores.unwrap();
    assert_eq!((scores.len(), scores[0].tokens.len(), scores[0].tokens[1].0), (1, 3, 7));
    reader.store.send(Command::History);
    let history = reader.wait(|event| match event {
        Event::History(texts) => Some(texts),
        _ => None,
    });
    assert_eq!(history.unwrap(), ["And of Italy?", "Capital of France?"]);
    reader.store.send(Command::Search("Italy".into()));
    let found = reader.wait(|event| match event {
        Event::Found { hits, .. } => Some(hits.len()),
        _ => None,
    });
    assert_eq!(found.unwrap(), 1);
}

#[test]
fn a_configuration_of_0_1_means_the_same_and_warns_of_nothing_new() {
    let file = Some(("config.toml".to_owned(), CONFIG.to_owned()));
    let (config, warnings) =
        crate::config::load(&crate::config::Sources { file, ..crate::config::Sources::default() });
    // A command of 0.1 that has another name today is still bound; only that new name is pointed out. And this file sets
    // everything, mirostat among the rest: what did nothing beside it in 0.1 is told today.
    let told = |warning: &&Warning| {
        let message = warning.message.as_str();
        message.ends_with("still works")
            || message == "does nothing under mirostat, which replaces every cutting stage"
            || message.starts_with("a scale of 1 stretches nothing")
    };
    let other: Vec<_> = warnings.iter().filter(|warning| !told(warning)).collect();
    assert!(other.is_empty(), "{other:?}");
    let then: Value = serde_json::from_str(READ_CONFIG).unwrap();
    let now = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_holds(&now, &then, "config");
    assert_eq!(Keymap::build(crate::command::TABLE, &config.keys).1, []);
}

/// Whether everything that was there is there and the same; what came later may stand beside it.
fn assert_holds(now: &Value, then: &Value, at: &str) {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            for (key, value) in then {
                assert_holds(now.get(key).unwrap_or(&Value::Null), value, &format!("{at}.{key}"));
            }
        }
        (Value::Array(now), Value::Array(then)) => {
            assert_eq!(now.len(), then.len(), "{at}");
            for (index, (now, then)) in now.iter().zip(then).enumerate() {
                assert_holds(now, then, &format!("{at}[{index}]"));
            }
        }
        _ => assert_eq!(now, then, "{at}"),
    }
}

//! What each setting means, as the example configuration says it.
//!
//! Invariant: there is one text for each setting; it is read from the file that people copy from.

use std::collections::BTreeMap;
use std::sync::LazyLock;

const EXAMPLE: &str = include_str!("../../../config.example.toml");

static MEANINGS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| read(EXAMPLE));

/// What a setting, by its dotted key, means; empty where nothing is said.
pub fn meaning(key: &str) -> &'static str {
    MEANINGS.get(key).map_or("", String::as_str)
}

/// The comments above the keys of a TOML text. Keys that follow each other without a comment share it.
fn read(example: &str) -> BTreeMap<String, String> {
    let mut meanings = BTreeMap::new();
    let (mut table, mut said, mut ended) = (String::new(), String::new(), true);
    for line in example.lines() {
        let text = line.strip_prefix("# ").unwrap_or(line);
        let key = text.split_once(" = ").map(|(key, _)| key).filter(|key| is_key(key));
        if line.is_empty() {
            (said, ended) = (String::new(), true);
        } else if let Some(name) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            name.trim_matches(['[', ']']).clone_into(&mut table);
            meanings.insert(table.clone(), std::mem::take(&mut said));
        } else if let Some(key) = key {
            meanings.entry(format!("{table}.{key}")).or_insert_with(|| said.clone());
            ended = true;
        } else if line.starts_with('#') {
            if std::mem::take(&mut ended) {
                said.clear();
            }
            format!("{said} {text}").trim().clone_into(&mut said);
        }
    }
    meanings
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::config::{Config, keymap::Keymap};

    #[test]
    fn every_setting_says_what_it_means() {
        let (app, _) = App::new(Config::default(), Keymap::defaults(), 1, (80, 24));
        for key in super::super::keys(&app) {
            assert!(meaning(&key).len() > 8, "{key}: {:?}", meaning(&key));
        }
        assert_eq!(meaning("sampling.top_k"), "Keep the k likeliest tokens; 0 is off.");
        assert!(meaning("sampling.temperature").starts_with("Divides the logits"));
        assert_eq!(meaning("engine.cache_type_v"), meaning("engine.cache_type_k"));
    }
}

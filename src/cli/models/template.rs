//! Which template a chat with a model would be put into, told from its file.
//!
//! Invariant: it is told by the same trial as when the model is loaded, so that `models info` and a chat agree.

use std::path::Path;

use crate::engine::prompt::template::{self, Template};
use crate::engine::protocol::TemplateKind;
use crate::model_entry::{ModelEntry, ModelFacts, ModelFile as _};
use crate::models::gguf::SharedHeader;

/// How a GGUF file numbers control tokens.
const CONTROL: f64 = 3.0;

/// What is used, in words, and why it is not the file's own.
pub fn used(entry: &ModelEntry, path: &Path, facts: &ModelFacts) -> (String, Vec<String>) {
    let has_own = facts.chat_template.is_some();
    let mut facts = facts.clone();
    let of_entry = template::replace(entry, &mut facts);
    let used = Template::new(facts.chat_template.as_deref(), "", "", marks(path));
    let words = match (used.kind, &entry.template) {
        (TemplateKind::Model, Some(file)) if of_entry.is_none() => file.display().to_string(),
        (TemplateKind::Model, _) => "built in".to_owned(),
        (TemplateKind::ChatMl, _) if has_own => "ChatML in place of its own".to_owned(),
        (TemplateKind::ChatMl, _) => "none: ChatML, whose marks it has".to_owned(),
        (TemplateKind::Plain, _) if has_own => "a plain transcript in place of its own".to_owned(),
        (TemplateKind::Plain, _) => "none: a plain transcript".to_owned(),
    };
    // That a file has none is said already.
    let notes = used.notes.into_iter().filter(|_| facts.chat_template.is_some());
    (words, of_entry.into_iter().chain(notes).collect())
}

/// The spellings of the vocabulary's control tokens; none where the file does not tell them.
fn marks(path: &Path) -> Vec<String> {
    let Ok(file) = SharedHeader::open(path) else { return Vec::new() };
    let kinds = file.numbers("tokenizer.ggml.token_type").unwrap_or_default();
    let pieces = file.texts("tokenizer.ggml.tokens").unwrap_or_default();
    let control = pieces.into_iter().zip(kinds).filter(|(_, kind)| (kind - CONTROL).abs() < 0.5);
    control.map(|(piece, _)| piece).filter(|piece| !piece.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_entry::Source;
    use crate::models::gguf::Header;
    use crate::models::gguf::craft::{Craft, numbers, text, texts};

    const WORKS: &str = "{% for m in messages %}{{ m.content }}{% endfor %}";

    #[test]
    fn the_template_that_a_chat_would_use_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (path, own) = (folder.path().join("m.gguf"), folder.path().join("own.jinja"));
        let check = |template: Option<&str>, marked: bool, file: Option<&str>, expected: &str, why: &str| {
            let second = if marked { "<|im_start|>" } else { "<start>" };
            let craft = Craft::new()
                .without("tokenizer.chat_template")
                .with("tokenizer.ggml.tokens", texts(&["<s>", second, "a", "b", "c"]))
                .with("tokenizer.ggml.token_type", numbers(&[3, 3, 1, 1, 1]));
            let craft = match template {
                Some(template) => craft.with("tokenizer.chat_template", text(template)),
                None => craft,
            };
            std::fs::write(&path, craft.bytes()).unwrap();
            let mut entry = ModelEntry::new("m", Source::Path(path.clone()));
            if let Some(file) = file {
                std::fs::write(&own, file).unwrap();
                entry.template = Some(own.clone());
            }
            let facts = Header::read(&path).unwrap().facts().clone();
            let (words, notes) = used(&entry, &path, &facts);
            assert_eq!(words, expected);
            let said = notes.join(" ");
            assert!(if why.is_empty() { said.is_empty() } else { said.contains(why) }, "{expected}: {said}");
        };
        check(Some(WORKS), false, None, "built in", "");
        check(None, true, None, "none: ChatML, whose marks it has", "");
        check(None, false, None, "none: a plain transcript", "");
        check(Some("Hello"), true, None, "ChatML in place of its own", "leaves out what the user wrote");
        check(Some("Hello"), false, None, "a plain transcript in place of its own", "leaves out");
        check(Some("Hello"), true, Some(WORKS), &own.display().to_string(), "");
        check(Some(WORKS), true, Some("Hello"), "built in", "own.jinja cannot be used");
        check(None, true, Some("Hello"), "none: ChatML, whose marks it has", "own.jinja cannot be used");
    }
}

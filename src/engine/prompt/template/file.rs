//! `template = "file.jinja"`: a file in place of the template in the model's own.
//!
//! Invariant: a file that cannot be used, be it that it cannot be read or that it makes no prompt, leaves the model's own
//! template, and the file is named with why.

use std::io::Read;
use std::path::Path;

use super::jinja::Jinja;
use crate::model_entry::{ModelEntry, ModelFacts, at_home};

/// Templates of models have some thousand bytes.
const LARGEST: u64 = 1 << 20;

/// Puts the file that an entry names in the place of the model's template; what the user should know of it.
pub fn replace(entry: &ModelEntry, facts: &mut ModelFacts) -> Option<String> {
    let path = at_home(entry.template.as_ref()?);
    match usable(&path) {
        Ok(text) => {
            facts.chat_template = Some(text);
            None
        }
        Err(why) => {
            let said = format!("The template {} cannot be used ({why})", path.display());
            // Otherwise the template's own notes say what is.
            let own = facts.chat_template.as_deref().is_some_and(|own| tried(own).is_ok());
            Some(if own { format!("{said}: the model's own is.") } else { format!("{said}.") })
        }
    }
}

/// Why a file cannot stand in the place of a model's template; `None` where it can.
#[must_use]
pub fn fault(path: &Path) -> Option<String> {
    usable(path).err()
}

fn usable(path: &Path) -> Result<String, String> {
    let text = read(path)?;
    tried(&text).map(|()| text)
}

/// Whether a template makes prompts of the simplest chats, whatever a model's marks are called.
fn tried(source: &str) -> Result<(), String> {
    Jinja::new(source, "", "").tried().map(drop)
}

fn read(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        // Reading a pipe would wait for ever.
        return Err("it is not a plain file".into());
    }
    if metadata.len() > LARGEST {
        return Err("it is larger than 1 MiB".into());
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(LARGEST).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.trim().is_empty() { Err("it is empty".into()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_entry::Source;

    #[test]
    fn a_file_replaces_the_template_and_one_that_cannot_be_read_is_named() {
        const FILE: &str = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.jinja");
        let entry = |template: &Path| ModelEntry {
            template: Some(template.to_owned()),
            ..ModelEntry::new("m", Source::Path("m.gguf".into()))
        };
        let mut facts = ModelFacts { chat_template: Some("model".into()), ..ModelFacts::default() };
        let said = replace(&entry(&path), &mut facts).unwrap();
        assert!(said.contains("own.jinja") && facts.chat_template.as_deref() == Some("model"), "{said}");
        std::fs::write(&path, FILE).unwrap();
        assert_eq!(replace(&entry(&path), &mut facts), None);
        assert_eq!(facts.chat_template.as_deref(), Some(FILE));
        assert!(replace(&entry(folder.path()), &mut facts).is_some());
    }

    #[test]
    fn a_file_that_makes_no_prompt_is_named_and_leaves_the_model_its_own() {
        const OWN: &str = "{% for m in messages %}{{ m.content }}{% endfor %}";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.jinja");
        let entry = ModelEntry {
            template: Some(path.clone()),
            ..ModelEntry::new("m", Source::Path("m.gguf".into()))
        };
        for (text, why) in [
            ("{% for m in messages %}", "line 1"),
            ("{{ raise_exception('only tools') }}", "only tools"),
            ("Hello", "leaves out what the user wrote"),
        ] {
            std::fs::write(&path, text).unwrap();
            let mut facts = ModelFacts { chat_template: Some(OWN.into()), ..ModelFacts::default() };
            let said = replace(&entry, &mut facts).unwrap_or_default();
            assert!(said.contains("bad.jinja") && said.contains(why), "{text}: {said}");
            assert!(said.ends_with("the model's own is."), "{text}: {said}");
            assert_eq!(facts.chat_template.as_deref(), Some(OWN), "{text}");
            // Without one of its own, what takes its place is said where that is known: in the template's notes.
            let mut facts = ModelFacts::default();
            let said = replace(&entry, &mut facts).unwrap_or_default();
            assert!(said.contains("bad.jinja") && !said.contains("the model's own is"), "{text}: {said}");
            assert_eq!(facts.chat_template, None, "{text}");
        }
    }
}

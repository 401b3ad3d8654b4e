//! `template = "file.jinja"`: a file in place of the template in the model's own.
//!
//! Invariant: a file that cannot be used leaves the model's own template, and why is said.

use std::io::Read;
use std::path::Path;

use crate::model_entry::{ModelEntry, ModelFacts, at_home};

/// Templates of models have some thousand bytes.
const LARGEST: u64 = 1 << 20;

/// Puts the file that an entry names in the place of the model's template; what the user should know of it.
pub fn replace(entry: &ModelEntry, facts: &mut ModelFacts) -> Option<String> {
    let path = at_home(entry.template.as_ref()?);
    match read(&path) {
        Ok(text) => {
            facts.chat_template = Some(text);
            None
        }
        Err(why) => {
            Some(format!("The template {} cannot be used ({why}): the model's own is.", path.display()))
        }
    }
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.jinja");
        let entry = |template: &Path| ModelEntry {
            template: Some(template.to_owned()),
            ..ModelEntry::new("m", Source::Path("m.gguf".into()))
        };
        let mut facts = ModelFacts { chat_template: Some("model".into()), ..ModelFacts::default() };
        let said = replace(&entry(&path), &mut facts).unwrap();
        assert!(said.contains("own.jinja") && facts.chat_template.as_deref() == Some("model"), "{said}");
        std::fs::write(&path, "own").unwrap();
        assert_eq!(replace(&entry(&path), &mut facts), None);
        assert_eq!(facts.chat_template.as_deref(), Some("own"));
        assert!(replace(&entry(folder.path()), &mut facts).is_some());
    }
}

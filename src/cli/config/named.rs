//! What a configuration names and is not there: a theme, files and folders of models, templates that make no prompt.
//!
//! Invariant: it is looked for when a configuration is checked, as a start or a load would, and nothing is loaded; what
//! lies on another machine or on a server is theirs to say.

use std::path::Path;

use crate::cli::setup::Setup;
use crate::config::document::did_you_mean;
use crate::config::{Lines, Warning};
use crate::elsewhere::Elsewhere;
use crate::engine::prompt::template;
use crate::model_entry::{Key, ModelEntry, Source, at_home, without_secrets};
use crate::theme;

/// What is missing of what a configuration names, by its text.
pub fn warnings(setup: &Setup, text: &str) -> Vec<Warning> {
    let mut missing = Missing { setup, lines: Lines::of(text), warnings: Vec::new() };
    missing.theme();
    missing.model();
    missing.folders();
    setup.config.models.iter().filter(|entry| !entry.built_in).for_each(|entry| missing.entry(entry));
    missing.warnings.sort_by_key(|warning| warning.line);
    missing.warnings
}

struct Missing<'a> {
    setup: &'a Setup,
    lines: Lines<'a>,
    warnings: Vec<Warning>,
}

impl Missing<'_> {
    /// What is not in the file comes from the environment, which has no lines.
    fn tell(&mut self, line: usize, key: &str, message: String) {
        let file = self.setup.config_file.display().to_string();
        let message = without_secrets(message);
        self.warnings.push(Warning { file, line, key: key.to_owned(), message });
    }

    /// Whether a theme of this name is there, and what is wrong in its file.
    fn theme(&mut self) {
        let themes = self.setup.folders.themes();
        let (_, said) = theme::load(&self.setup.config.ui.theme, Some(&themes));
        for warning in said {
            if warning.key == "ui.theme" {
                self.tell(self.lines.key("ui.theme"), "ui.theme", warning.message);
            } else {
                self.warnings.push(warning);
            }
        }
    }

    /// The file that `model` names in place of an entry.
    fn model(&mut self) {
        let config = &self.setup.config;
        let listed = config.models.iter().any(|entry| entry.name == config.model);
        let named = config.model_named(&config.model).filter(|_| !listed);
        if let Some(message) = named.as_ref().and_then(missing) {
            self.tell(self.lines.key("model"), "model", message);
        }
    }

    fn folders(&mut self) {
        for folder in &self.setup.config.model_folders {
            let path = at_home(Path::new(folder));
            let message = match std::fs::metadata(&path) {
                Ok(found) if found.is_dir() => continue,
                Ok(_) => format!("{folder} is no folder"),
                Err(_) => format!("there is no folder {folder}"),
            };
            self.tell(self.lines.key("model_folders"), "model_folders", message);
        }
    }

    fn entry(&mut self, entry: &ModelEntry) {
        if Elsewhere::of(entry).is_some() {
            return;
        }
        if let Some(message) = missing(entry) {
            self.of_entry(entry, "path", &message);
        }
        if let Some(file) = &entry.template
            && let Some(why) = template::fault(&at_home(file))
        {
            self.of_entry(entry, "template", &format!("{} cannot be used ({why})", file.display()));
        }
        for adapter in &entry.adapters {
            if let Some(message) = no_file(&adapter.path) {
                self.of_entry(entry, adapter.kind.key(), &message);
            }
        }
        if let Some(Key::File(path)) = entry.server().and_then(|server| server.key.as_ref())
            && let Some(message) = no_file(path)
        {
            self.of_entry(entry, "key_file", &message);
        }
        self.draft(entry);
    }

    /// What `draft_model` names: one of the models, else a file.
    fn draft(&mut self, entry: &ModelEntry) {
        let names: Vec<&str> = self.setup.config.models.iter().map(|model| model.name.as_str()).collect();
        let Some(draft) = entry.draft_model.as_ref().filter(|draft| !names.contains(&draft.name.as_str()))
        else {
            return;
        };
        if let Some(missing) = missing(draft) {
            let near = did_you_mean(&draft.name, names.into_iter());
            let message = format!("no model is named \"{}\"{near}, and {missing}", draft.name);
            self.of_entry(entry, "draft_model", &message);
        }
    }

    fn of_entry(&mut self, entry: &ModelEntry, key: &str, message: &str) {
        let line = self.lines.of_model(&entry.name, key);
        self.tell(line, &format!("models.{key}"), format!("{message} (model \"{}\")", entry.name));
    }
}

/// What is said where an entry's own file is not there. One that is fetched comes when it is wanted.
fn missing(entry: &ModelEntry) -> Option<String> {
    match &entry.source {
        Source::Path(path) => no_file(path),
        _ => None,
    }
}

fn no_file(path: &Path) -> Option<String> {
    match std::fs::metadata(at_home(path)) {
        Ok(found) if !found.is_dir() => None,
        Ok(_) => Some(format!("{} is a folder, not a file", path.display())),
        Err(_) => Some(format!("there is no file {}", path.display())),
    }
}

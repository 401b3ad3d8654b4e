//! Personas: a system prompt, sampler settings and a model in one file, `personas/NAME.toml` beside the configuration.
//!
//! Invariant: a file that cannot be read costs itself, with a warning, and never the others.

use std::collections::BTreeMap;
use std::path::Path;

use super::checks::{anything, not_empty};
use super::document::{Report, Section};
use super::near::nearest_or_begun;
use super::{Config, Warning, load, sections};
use crate::chat::ChatSettings;
use crate::sampling::SamplingOverrides;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Persona {
    /// What it is for, in a few words.
    pub about: String,
    /// Its system prompt; `None` is the model's or the default one.
    pub system: Option<String>,
    /// The model that speaks as it; `None` is the current one.
    pub model: Option<String>,
    /// Name of a preset.
    pub preset: Option<String>,
    /// Sampler settings of its own.
    pub sampling: SamplingOverrides,
}

/// What is said where the personas would be listed.
pub const NO_PERSONA: &str =
    "there is no persona yet: each is a file NAME.toml in the folder personas beside config.toml";

impl Config {
    /// The persona of that name.
    ///
    /// # Errors
    /// With a sentence where there is none: the name that may have been meant, or those there are.
    pub fn persona_named(&self, name: &str) -> Result<&Persona, String> {
        let names = || self.personas.keys().map(String::as_str);
        self.personas.get(name).ok_or_else(|| {
            let hint = match nearest_or_begun(name, names()) {
                Some(near) => format!("did you mean {near}?"),
                None if self.personas.is_empty() => {
                    "one is a file personas/NAME.toml beside the configuration".to_owned()
                }
                None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
            };
            format!("there is no persona {name}; {hint}")
        })
    }

    /// The same, and for `none` one that takes away what another has brought.
    ///
    /// # Errors
    /// As [`Self::persona_named`].
    pub fn persona_or_none(&self, name: &str) -> Result<Persona, String> {
        match self.persona_named(name) {
            Err(_) if name == "none" => Ok(Persona::default()),
            found => found.cloned(),
        }
    }

    /// Gives a chat a persona's system prompt and settings; tells the model that it wants, which is left to who can load
    /// one.
    ///
    /// # Errors
    /// With a sentence where that model is not configured. The rest holds all the same.
    pub(crate) fn put_on(
        &self,
        name: &str,
        persona: &Persona,
        settings: &mut ChatSettings,
    ) -> Result<Option<String>, String> {
        settings.system.clone_from(&persona.system);
        settings.preset = persona.preset.clone().filter(|preset| self.presets.contains_key(preset));
        settings.sampling = persona.sampling.clone();
        match &persona.model {
            Some(model) if self.model_named(model).is_none() => {
                Err(format!("{name} wants the model {model}, which is not configured"))
            }
            wanted => Ok(wanted.clone()),
        }
    }
}

/// The personas of a folder by name, and what was wrong with their files.
#[must_use]
pub fn personas(folder: &Path) -> (BTreeMap<String, Persona>, Vec<Warning>) {
    let (mut personas, mut warnings) = (BTreeMap::new(), Vec::new());
    let Ok(files) = std::fs::read_dir(folder) else { return (personas, warnings) };
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        match load::read_file(path) {
            Ok(Some((file, text))) => {
                let (persona, said) = read(&file, &text);
                personas.extend(persona.map(|persona| (name.to_owned(), persona)));
                warnings.extend(said);
            }
            Ok(None) => {}
            Err(warning) => warnings.push(warning),
        }
    }
    (personas, warnings)
}

/// One file; `None` where it is not TOML.
fn read(file: &str, text: &str) -> (Option<Persona>, Vec<Warning>) {
    let mut report = Report::of_file(file, text);
    let Some(table) = report.parse() else { return (None, report.into_warnings()) };
    let mut top = Section::new(&table, "", &mut report);
    let mut persona = Persona::default();
    top.put("about", &mut persona.about, anything);
    persona.system = top.take("system", "it has none of its own", anything);
    persona.model = top.take("model", "the current one speaks", not_empty);
    persona.preset = top.take("preset", "it has none", not_empty);
    if let Some(mut section) = top.table("sampling") {
        persona.sampling = sections::sampling(&mut section, None);
        section.finish();
    }
    top.finish();
    (Some(persona), report.into_warnings())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_personas_is_read_and_a_bad_file_costs_itself() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "pirate.toml",
            "about = \"talks like one\"\nsystem = \"Arr.\"\nmodel = \"small\"\npreset = \"wild\"\n\
             [sampling]\ntemperature = 1.2\ntop_p = 7\n",
        );
        write("broken.toml", "system = ");
        write("notes.txt", "no persona");
        let (personas, warnings) = personas(folder.path());
        let expected = Persona {
            about: "talks like one".into(),
            system: Some("Arr.".into()),
            model: Some("small".into()),
            preset: Some("wild".into()),
            sampling: SamplingOverrides { temperature: Some(1.2), ..SamplingOverrides::default() },
        };
        assert_eq!(personas.into_iter().collect::<Vec<_>>(), [("pirate".to_owned(), expected)]);
        let said: Vec<(bool, &str)> = warnings
            .iter()
            .map(|warning| (warning.file.ends_with("pirate.toml"), warning.key.as_str()))
            .collect();
        assert_eq!(said, [(false, ""), (true, "sampling.top_p")]);
        assert!(super::personas(&folder.path().join("absent")).0.is_empty());
    }
}

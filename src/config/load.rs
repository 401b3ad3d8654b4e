//! The layers: built-in values, the file, environment variables, flags.
//!
//! Invariant: each layer is read with the same rules, and a later one wins key by key.

use std::io::Read as _;
use std::path::Path;

use super::checks::{anything, no_empty_text, not_empty};
use super::document::{Report, Section, nearest};
use super::{Config, DEFAULT_MODEL, Motion, Warning, conflicts, doubts, model_list, sections};
use crate::model_entry::{ModelEntry, Server, without_secrets};

/// A configuration or theme file larger than this is not read, bytes.
pub const FILE_LIMIT: usize = 1 << 20;

/// Where the configuration comes from. Nothing is read here but what is in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// Models that are compiled in.
    pub builtin_models: Vec<ModelEntry>,
    /// The file: its name as the user knows it, and its text.
    pub file: Option<(String, String)>,
    /// Environment variables; those that do not concern glassbox are passed over.
    ///
    /// `GLASSBOX_MODEL` and `GLASSBOX_THEME` are names. Any key is `GLASSBOX__` and its dotted name with `__`
    /// for the dot, e.g. `GLASSBOX__SAMPLING__TOP_K=20`; the value is TOML, or else a text as it stands.
    pub env: Vec<(String, String)>,
    /// What the command line sets.
    pub flags: Flags,
}

/// What the command line sets. Sampler flags are not among them: they lie over the chat's own settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--model`.
    pub model: Option<String>,
    /// `--theme`.
    pub theme: Option<String>,
    /// `--system`.
    pub system: Option<String>,
    /// `--larger-than-memory`.
    pub larger_than_memory: bool,
}

/// Puts the layers together. Never fails: what cannot be used is a warning.
#[must_use]
pub fn load(sources: &Sources) -> (Config, Vec<Warning>) {
    let mut config = Config::default_with(sources.builtin_models.clone());
    let mut warnings = Vec::new();
    if let Some((name, text)) = &sources.file {
        warnings.extend(file(name, text, &mut config));
    }
    for (variable, value) in &sources.env {
        warnings.extend(environment(variable, value, &mut config));
    }
    flags(&sources.flags, &mut config);
    calm(&sources.env, &mut config);
    warnings.extend(references(&mut config, sources));
    warnings.extend(doubts::warnings(&config, sources.file.as_ref()));
    warnings.extend(conflicts::warnings(&config.keys, sources.file.as_ref()));
    (config, warnings)
}

/// Reads a configuration file: its shown name and text, or nothing where there is no such file.
///
/// # Errors
/// A warning where it is there and cannot be read: not a plain file, too large, not UTF-8, no permission.
pub fn read_file(path: &Path) -> Result<Option<(String, String)>, Warning> {
    let name = path.display().to_string();
    let warning = |message: String| Warning { file: name.clone(), line: 0, key: String::new(), message };
    let unreadable =
        |error: std::io::Error| warning(format!("cannot be read ({error}); nothing of it is used"));
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if !metadata.is_file() {
        // Reading a pipe would wait for ever.
        return Err(warning("is not a plain file; nothing of it is used".into()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_LIMIT as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > FILE_LIMIT {
        return Err(warning(too_large()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n');
        let line = line.count() + 1;
        Warning { line, ..warning("is not UTF-8 text; nothing of it is used".into()) }
    })?;
    Ok(Some((name, text)))
}

fn too_large() -> String {
    "is larger than 1 MiB; nothing of it is used".into()
}

fn file(name: &str, text: &str, config: &mut Config) -> Vec<Warning> {
    let mut report = Report::of_file(name, text);
    if text.len() > FILE_LIMIT {
        let whole = Warning { file: name.into(), line: 0, key: String::new(), message: too_large() };
        return vec![whole];
    }
    if let Some(table) = report.parse() {
        document(Section::new(&table, "", &mut report), config);
    }
    report.into_warnings()
}

/// Puts a whole document over `config`; its models come first in the list.
fn document(mut top: Section, config: &mut Config) {
    if top.raw("model").is_some_and(|value| value.get_ref().is_array() || value.get_ref().is_table()) {
        let message = format!(
            "names the model to start with; models are entered under [[models]]; \"{}\" is used",
            config.model
        );
        top.report.warn(top.start_of("model"), "model", message);
    } else {
        top.put("model", &mut config.model, not_empty);
    }
    top.put("system", &mut config.system, anything);
    top.put("model_folders", &mut config.model_folders, no_empty_text);
    top.put("other_apps", &mut config.other_apps, anything);
    if let Some(mut section) = top.table("template_values") {
        sections::template_values(&mut section, &mut config.template_values);
    }
    if let Some(section) = top.table("engine") {
        sections::engine(section, config);
    }
    if let Some(mut section) = top.table("sampling") {
        let overrides = sections::sampling(&mut section, Some(&config.sampling));
        section.finish();
        overrides.apply(&mut config.sampling);
    }
    if let Some(mut section) = top.table("presets") {
        sections::presets(&mut section, &mut config.presets);
    }
    if let Some(section) = top.table("ui") {
        sections::ui(section, &mut config.ui);
    }
    if let Some(section) = top.table("inspector") {
        sections::inspector(section, &mut config.inspector);
    }
    if let Some(mut section) = top.table("keys") {
        sections::keys(&mut section, &mut config.keys);
    }
    model_list::models(&mut top, &mut config.models);
    top.finish();
}

fn environment(variable: &str, value: &str, config: &mut Config) -> Vec<Warning> {
    let text = match variable {
        "GLASSBOX_MODEL" => format!("model = {}", quoted(value)),
        "GLASSBOX_THEME" => format!("ui.theme = {}", quoted(value)),
        _ => match variable.strip_prefix("GLASSBOX__") {
            Some(name) => {
                let keys: Vec<String> = name.split("__").map(|part| quoted(&part.to_lowercase())).collect();
                format!("{} = {}", keys.join("."), literal(value))
            }
            None => return Vec::new(),
        },
    };
    let mut report = Report::without_lines(variable, &text);
    if let Some(table) = report.parse() {
        document(Section::new(&table, "", &mut report), config);
    }
    report.into_warnings()
}

/// Variables of the environment by which people ask all programs for less motion.
const CALM: [&str; 2] = ["REDUCE_MOTION", "NO_MOTION"];

/// Whether a variable of the environment says something here.
#[must_use]
pub fn is_of_environment(variable: &str) -> bool {
    variable.starts_with("GLASSBOX_") || CALM.contains(&variable)
}

/// Where the choice is left to the environment, it may ask for less motion.
fn calm(env: &[(String, String)], config: &mut Config) {
    let asks = |(variable, value): &(String, String)| {
        CALM.contains(&variable.as_str()) && !matches!(value.as_str(), "" | "0" | "false")
    };
    if config.ui.motion == Motion::Auto && env.iter().any(asks) {
        config.ui.motion = Motion::Reduced;
    }
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// The value itself where it is TOML, else the text in quotes. A date is a text too.
fn literal(value: &str) -> String {
    match value.trim().parse::<toml_edit::Value>() {
        Ok(parsed) if !parsed.is_datetime() => value.trim().into(),
        _ => quoted(value),
    }
}

fn flags(flags: &Flags, config: &mut Config) {
    let Flags { model, theme, system, larger_than_memory } = flags.clone();
    config.model = model.unwrap_or_else(|| config.model.clone());
    config.ui.theme = theme.unwrap_or_else(|| config.ui.theme.clone());
    config.system = system.unwrap_or_else(|| config.system.clone());
    config.engine.load.larger_than_memory |= larger_than_memory;
}

/// Names that must exist once all layers are in: the model to start with, and the presets of models.
/// Where a model's name comes from when the command line gives it, in [`Warning::file`].
pub const MODEL_FLAG: &str = "--model";

fn references(config: &mut Config, sources: &Sources) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |key: &str, quoted: &str, message: String| {
        let (file, line) = origin(sources, key, quoted);
        warnings.push(Warning { file, line, key: key.into(), message: without_secrets(message) });
    };
    if !config.models.is_empty() && config.model_named(&config.model).is_none() {
        let near = nearest(&config.model, config.models.iter().map(|model| model.name.as_str()));
        let hint = near.map_or_else(String::new, |near| format!(" (did you mean \"{near}\"?)"));
        let instead = config
            .models
            .iter()
            .find(|model| model.name == DEFAULT_MODEL)
            .unwrap_or(&config.models[0])
            .name
            .clone();
        let message = format!("no model is named \"{}\"{hint}; \"{instead}\" is used", config.model);
        warn("model", &config.model, message);
        config.model = instead;
    }
    // That of an entry is warned of where the entry is.
    let listed = config.models.iter().any(|model| model.name == config.model);
    let named = config.model_named(&config.model).filter(|_| !listed);
    if named.is_some_and(|entry| entry.server().is_some_and(Server::is_overheard)) {
        warn("model", &config.model, super::server::OVERHEARD.into());
    }
    let presets = &config.presets;
    for model in &mut config.models {
        if let Some(preset) = model.preset.take_if(|preset| !presets.contains_key(preset)) {
            let near = nearest(&preset, presets.keys().map(String::as_str));
            let hint = near.map_or_else(String::new, |near| format!(" (did you mean \"{near}\"?)"));
            let message = format!("model \"{}\" names no preset there is{hint}; none is used", model.name);
            warn("models.preset", &preset, message);
        }
    }
    warnings
}

/// Which layer a wrong name came from, and the line of the file that holds it.
fn origin(sources: &Sources, key: &str, name: &str) -> (String, usize) {
    if key == "model" {
        if sources.flags.model.is_some() {
            return (MODEL_FLAG.into(), 0);
        }
        let is_model = |(variable, _): &&(String, String)| {
            matches!(variable.as_str(), "GLASSBOX_MODEL" | "GLASSBOX__MODEL")
        };
        if let Some((variable, _)) = sources.env.iter().rev().find(is_model) {
            return (variable.clone(), 0);
        }
    }
    let Some((file, text)) = &sources.file else { return (String::new(), 0) };
    let last = key.rsplit('.').next().unwrap_or(key);
    let holds = |line: &&str| line.trim_start().starts_with(last) && line.contains(name);
    let line = text.lines().position(|line| holds(&line)).map_or(0, |index| index + 1);
    (file.clone(), line)
}

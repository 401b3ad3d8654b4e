//! Settings: what can be set, from the overlay and by `/set`, `/preset`, `/system`, `/theme`.
//!
//! Invariants: sampler settings belong to the chat, the others to the configuration file. Rows of the
//! overlay are indices into [`keys`].

mod meaning;
mod table;

use serde_json::Value;

pub use meaning::meaning;
pub use table::{Range, choices, keys, label, note, range, section};

use super::{App, ChatView, Effect, Outbox, Talk, input::fuzzy};
use crate::app::view::With;
use crate::chat::ConversationId;
use crate::command::Command;
use crate::config::keymap::Keymap;
use crate::config::{self, Config};
use crate::sampling::{SAMPLING_KEYS, Sampling, SamplingOverrides};

/// What was in use before a change made in the overlay.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Before {
    /// What the chat set for itself.
    Chat(ConversationId, Box<SamplingOverrides>),
    /// The value of a key of the configuration file.
    File(String, Value),
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain settings become JSON")
}

/// Puts one sampler setting into a layer; no value takes it out.
pub(super) fn put(
    layer: &SamplingOverrides,
    key: &str,
    value: Option<&str>,
) -> Result<SamplingOverrides, String> {
    let layer = if let Some(value) = value {
        let mut layer = layer.clone();
        layer.merge(&config::sampler_setting(key, value)?);
        layer
    } else {
        let mut table = toml::Table::try_from(layer).map_err(|error| error.to_string())?;
        table.remove(key);
        table.try_into().map_err(|_| format!("{key} cannot be taken out"))?
    };
    let mut all = Sampling::default();
    layer.apply(&mut all);
    check(&all, key)?;
    Ok(layer)
}

/// Refuses numbers that no sampler can use. What is only unwise is taken here as it is in the file and on the command
/// line; how far the overlay goes by steps is no limit.
fn check(all: &Sampling, key: &str) -> Result<(), String> {
    match json(all).get(key) {
        Some(Value::Null) if key != "seed" => Err(format!("{key} must be a finite number")),
        _ => Ok(()),
    }
}

/// Refuses numbers outside a setting's range.
fn check_range(value: &Value, name: &str, range: Option<Range>) -> Result<(), String> {
    let (Some(number), Some(Range { least, most, .. })) = (value.as_f64(), range) else { return Ok(()) };
    // Limits of 32-bit numbers are met with their rounding.
    let inside = (least - 1e-6..=most + 1e-6).contains(&number);
    if inside { Ok(()) } else { Err(format!("{name} goes from {least} to {most}")) }
}

impl ChatView<'_> {
    /// The sampler settings in use in the shown chat.
    pub fn sampling(&self) -> Sampling {
        match self.model.entry(self.config) {
            Some(entry) => self.config.sampling_for(&entry, &self.chat.settings),
            None => self.config.sampling.clone(),
        }
    }

    /// A sampler setting in use, as text.
    pub(crate) fn sampling_value(&self, key: &str) -> String {
        match json(&self.sampling()).get(key) {
            None | Some(serde_json::Value::Null) => "random".into(),
            Some(serde_json::Value::Number(number)) if number.is_f64() => {
                format!("{}", number.as_f64().unwrap_or_default() as f32)
            }
            Some(value) => value.to_string(),
        }
    }
}

impl Talk {
    /// Writes what the shown chat sets for itself; one without messages has no entry yet.
    pub(crate) fn settings_changed(&mut self, with: With<'_>, out: &mut Outbox) {
        if !self.chat.turns.is_empty() {
            self.put_conversation(with, out, self.chat.head.id);
        }
    }

    fn put_sampling(&mut self, with: With<'_>, out: &mut Outbox, key: &str, value: Option<&str>) -> bool {
        match put(&self.chat.settings.sampling, key, value) {
            Ok(layer) => {
                self.chat.settings.sampling = layer;
                self.settings_changed(with, out);
                true
            }
            Err(message) => {
                out.warn(message);
                false
            }
        }
    }

    /// `/set KEY VALUE`; `default` takes the chat's own value away.
    pub(crate) fn set_sampling(&mut self, with: With<'_>, out: &mut Outbox, pair: &str) -> bool {
        let (key, value) = pair.split_once([' ', '=']).unwrap_or((pair, ""));
        let (key, value) = (key.replace('-', "_"), value.trim_matches([' ', '=']));
        if !SAMPLING_KEYS.contains(&key.as_str()) {
            let near = fuzzy::nearest(&key, SAMPLING_KEYS.iter().copied());
            let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            out.warn(format!("there is no setting {key}{hint}"));
            return false;
        }
        if value.is_empty() {
            out.warn(format!(
                "{key} is {}; /set {key} VALUE changes it",
                self.view(with).sampling_value(&key)
            ));
            return false;
        }
        let value = (!matches!(value, "default" | "random")).then_some(value);
        let done = self.put_sampling(with, out, &key, value);
        if done {
            let value = self.view(with).sampling_value(&key);
            match self.view(with).sampling().doubt(&key) {
                Some(why) => out.warn(format!("{key} is {value} in this chat: {why}")),
                None => out.say(format!("{key} is {value} in this chat")),
            }
        }
        done
    }

    /// `/grammar FILE`; `off` takes it away.
    pub(crate) fn grammar_named(&mut self, with: With<'_>, out: &mut Outbox, name: &str) {
        if matches!(name, "off" | "none") {
            // The model or the configuration may have one too; off is off.
            self.chat.settings.sampling.grammar = Some(String::new());
            self.settings_changed(with, out);
            out.say("replies in this chat follow no grammar");
        } else {
            out.emit(Effect::ReadGrammar(name.to_owned()));
        }
    }

    /// A file that `/grammar` named was read.
    pub(crate) fn grammar_read(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        read: Result<(String, String), String>,
    ) {
        match read {
            Ok((grammar, said)) => {
                self.chat.settings.sampling.grammar = Some(grammar);
                self.settings_changed(with, out);
                out.say(said);
            }
            Err(problem) => out.warn(problem),
        }
    }

    /// `/preset NAME`; `none` takes it away.
    pub(crate) fn preset_named(&mut self, with: With<'_>, out: &mut Outbox, name: &str) -> bool {
        if name == "none" {
            self.chat.settings.preset = None;
            out.say("this chat has no preset");
        } else if with.config.presets.contains_key(name) {
            self.chat.settings.preset = Some(name.to_owned());
            out.say(format!("preset {name} in this chat"));
        } else {
            let names: Vec<&str> = with.config.presets.keys().map(String::as_str).collect();
            let there = if names.is_empty() { "none is configured".into() } else { names.join(", ") };
            out.warn(format!("there is no preset {name}; there are: {there}"));
            return false;
        }
        self.settings_changed(with, out);
        true
    }

    /// Sets the system prompt of the shown chat; an empty text is none.
    pub(crate) fn set_system(&mut self, with: With<'_>, out: &mut Outbox, text: &str) {
        self.chat.settings.system = Some(text.to_owned());
        self.settings_changed(with, out);
        out.say(if text.is_empty() { "no system prompt in this chat" } else { "system prompt set" });
    }
}

impl ChatView<'_> {
    /// What a change of a setting is about to replace.
    fn before(&self, setting: &str) -> Before {
        match setting.split_once('.') {
            Some(("sampling", _)) => {
                Before::Chat(self.chat.head.id, Box::new(self.chat.settings.sampling.clone()))
            }
            _ => Before::File(setting.to_owned(), value_of(self.config, setting)),
        }
    }

    /// A setting in use, as a text that can be edited.
    pub(super) fn setting_value(&self, setting: &str) -> String {
        let value = match setting.strip_prefix("sampling.") {
            Some(key) => json(&self.sampling()).get(key).cloned().unwrap_or_default(),
            None => value_of(self.config, setting),
        };
        match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => toml_text(&other),
        }
    }
}

impl App {
    /// `/theme NAME`.
    pub(crate) fn theme_named(&mut self, name: &str) -> bool {
        if self.themes.iter().any(|other| other == name) {
            self.config.set_theme(&mut self.out, name);
            return true;
        }
        let near = fuzzy::nearest(name, self.themes.iter().map(String::as_str));
        let hint = near.map_or("Ctrl+P theme shows all".into(), |near| format!("did you mean {near}?"));
        self.out.warn(format!("there is no theme {name}; {hint}"));
        false
    }

    /// Takes the last change made in the overlay back.
    pub(super) fn undo_setting(&mut self) {
        match self.book.settings_before.pop() {
            Some(Before::Chat(chat, layer)) if chat == self.talk.chat.head.id => {
                self.talk.chat.settings.sampling = *layer;
                self.talk.settings_changed(with!(self), &mut self.out);
            }
            Some(Before::File(setting, value)) => {
                self.config.put_in_file(&mut self.out, &self.keymap, &setting, &toml_text(&value));
            }
            Some(Before::Chat(..)) | None => self.out.say("nothing to undo"),
        }
    }

    pub(super) fn step_setting(&mut self, setting: &str, direction: i32) {
        let now = self.view().setting_value(setting);
        if setting == "ui.theme" {
            let themes = self.themes.clone();
            let names: Vec<&str> = themes.iter().map(String::as_str).collect();
            if let Some(next) = neighbour(&names, &now, direction) {
                self.put_setting(setting, Some(next));
            }
        } else if let Some(next) = neighbour(choices(setting), &now, direction) {
            self.put_setting(setting, Some(next));
        } else if let (Some(range), false) = (range(setting), now.is_empty()) {
            let value = now.parse::<f64>().unwrap_or_default() + range.step * f64::from(direction);
            // Two decimals keep repeated steps from drifting.
            let value = (value.clamp(range.least, range.most) * 100.0).round() / 100.0;
            self.put_setting(setting, Some(&value.to_string()));
        } else if matches!(now.as_str(), "true" | "false") {
            self.put_setting(setting, Some(if now == "true" { "false" } else { "true" }));
        } else {
            self.out.say("Enter types a value");
        }
    }

    /// Sets a setting; no value is back to the default.
    pub(super) fn put_setting(&mut self, setting: &str, value: Option<&str>) {
        self.book.settings_before.push(self.view().before(setting));
        let done = if let Some(key) = setting.strip_prefix("sampling.") {
            let value = value.filter(|value| !matches!(*value, "" | "random" | "default"));
            self.talk.put_sampling(with!(self), &mut self.out, key, value)
        } else {
            let text = value.filter(|value| !matches!(*value, "" | "default"));
            let default = || toml_text(&value_of(&Config::default(), setting));
            let text = text.map_or_else(default, toml_value);
            self.config.put_in_file(&mut self.out, &self.keymap, setting, &text)
        };
        if !done {
            self.book.settings_before.pop();
        }
    }

    /// Writes a setting's value into the configuration file: one of this chat is then everybody's.
    pub(super) fn save_setting(&mut self, setting: &str) {
        let Some(key) = setting.strip_prefix("sampling.") else {
            self.out.say("this one is in the configuration file as it is changed");
            return;
        };
        let value = json(&self.view().sampling()).get(key).cloned().unwrap_or_default();
        let text = toml_text(&value);
        let mut layer = toml::Table::try_from(SamplingOverrides::default()).unwrap_or_default();
        match toml::from_str::<toml::Table>(&format!("value = {text}")) {
            Ok(parsed) => layer.insert(key.to_owned(), parsed["value"].clone()),
            Err(_) => None,
        };
        let Ok(overrides) = layer.try_into::<SamplingOverrides>() else { return };
        overrides.apply(&mut self.config.sampling);
        self.out.emit(Effect::WriteConfig { key: setting.to_owned(), value: text });
        self.talk.put_sampling(with!(self), &mut self.out, key, None);
        self.out.say(format!("{key} is {} for all chats now", self.view().sampling_value(key)));
    }

    /// `/save-preset NAME`: what this chat sets for itself, with its preset's values below, becomes a preset.
    pub(crate) fn save_preset(&mut self, name: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name == "none" || !name.chars().all(plain) {
            self.out.warn("a preset's name is made of letters, digits, - and _, and is not none");
            return false;
        }
        let settings = &self.talk.chat.settings;
        let mut layer = settings
            .preset
            .as_ref()
            .and_then(|name| self.config.presets.get(name))
            .cloned()
            .unwrap_or_default();
        layer.merge(&settings.sampling);
        let Value::Object(fields) = json(&layer) else { return false };
        if fields.is_empty() {
            self.out.warn("this chat sets nothing for itself yet; F4 or /set does");
            return false;
        }
        for (key, value) in &fields {
            let key = format!("presets.{name}.{key}");
            self.out.emit(Effect::WriteConfig { key, value: toml_text(value) });
        }
        self.config.presets.insert(name.to_owned(), layer);
        self.talk.chat.settings.preset = Some(name.to_owned());
        self.talk.chat.settings.sampling = SamplingOverrides::default();
        self.talk.settings_changed(with!(self), &mut self.out);
        self.out
            .say(format!("preset {name} is kept, with {} settings; /preset {name} uses it", fields.len()));
        true
    }
}

impl Config {
    /// Uses a theme from now on.
    pub(crate) fn set_theme(&mut self, out: &mut Outbox, name: &str) {
        name.clone_into(&mut self.ui.theme);
        out.emit(Effect::WriteConfig { key: "ui.theme".into(), value: format!("{name:?}") });
    }

    /// Turns the mouse on or off until the program ends.
    pub(crate) fn toggle_mouse(&mut self, out: &mut Outbox) {
        self.ui.mouse = !self.ui.mouse;
        out.emit(Effect::Mouse(self.ui.mouse));
        out.say(if self.ui.mouse { "mouse on; hold Shift to select text" } else { "mouse off" });
    }

    /// Uses a value, as TOML, and writes it to the configuration file; an empty one takes the key out.
    fn put_in_file(&mut self, out: &mut Outbox, keymap: &Keymap, setting: &str, value: &str) -> bool {
        match with_setting(self, setting, value) {
            Ok(config) => {
                let before = self.ui.mouse;
                *self = config;
                if self.ui.mouse != before {
                    out.emit(Effect::Mouse(!before));
                }
                if setting.starts_with("engine.") {
                    let key = keymap.shown(Command::Reload);
                    out.say(format!("used when the model is loaded next ({key})"));
                }
                out.emit(Effect::WriteConfig { key: setting.to_owned(), value: value.to_owned() });
                true
            }
            Err(message) => {
                out.warn(message);
                false
            }
        }
    }
}

fn neighbour<'a>(names: &[&'a str], now: &str, direction: i32) -> Option<&'a str> {
    let at = names.iter().position(|name| *name == now)?;
    let step = if direction < 0 { names.len() - 1 } else { 1 };
    names.get((at + step) % names.len()).copied()
}

/// A typed value as TOML: as it is where it is TOML, else as a text.
fn toml_value(text: &str) -> String {
    let as_it_is = toml::from_str::<toml::Table>(&format!("value = {text}")).is_ok();
    // `256` and `16` are names of colour depths, and numbers elsewhere; the reader takes both forms.
    if as_it_is { text.to_owned() } else { format!("{text:?}") }
}

/// A JSON value as TOML on one line; what is null is left out.
fn toml_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Number(number) if number.is_f64() => {
            format!("{:?}", number.as_f64().unwrap_or_default() as f32)
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let set = fields.iter().filter(|(_, value)| !value.is_null());
            let set: Vec<String> = set.map(|(key, value)| format!("{key} = {}", toml_text(value))).collect();
            format!("{{ {} }}", set.join(", "))
        }
        other => other.to_string(),
    }
}

/// The value of a look, inspector or engine setting.
fn value_of(config: &Config, setting: &str) -> Value {
    let (table, key) = setting.split_once('.').unwrap_or(("", setting));
    let values = match table {
        "engine" => json(&config.engine),
        "ui" => json(&config.ui),
        _ => json(&config.inspector),
    };
    values.get(key).cloned().unwrap_or_default()
}

/// The configuration with one look, inspector or engine setting changed; an empty value is none.
fn with_setting(config: &Config, setting: &str, value: &str) -> Result<Config, String> {
    let refused = || format!("{value} is not a value for {}", label(setting));
    let (section, key) = setting.split_once('.').ok_or_else(refused)?;
    let mut parsed = match value {
        "" => Value::Null,
        text => {
            let table = toml::from_str::<toml::Table>(&format!("value = {text}")).map_err(|_| refused())?;
            serde_json::to_value(&table["value"]).map_err(|_| refused())?
        }
    };
    check_range(&parsed, &label(setting), range(setting))?;
    let mut config = config.clone();
    let mut change = |mut fields: Value| -> Option<Value> {
        let old = fields.get(key)?;
        // A name that looks like a number stays a name.
        if old.is_string() && parsed.is_number() {
            parsed = Value::String(parsed.to_string());
        }
        fields.as_object_mut()?.insert(key.to_owned(), parsed.clone());
        Some(fields)
    };
    match section {
        "engine" => {
            let fields = change(json(&config.engine)).ok_or_else(refused)?;
            config.engine = serde_json::from_value(fields).map_err(|_| refused())?;
        }
        "ui" => {
            let fields = change(json(&config.ui)).ok_or_else(refused)?;
            config.ui = serde_json::from_value(fields).map_err(|_| refused())?;
        }
        "inspector" => {
            let fields = change(json(&config.inspector)).ok_or_else(refused)?;
            config.inspector = serde_json::from_value(fields).map_err(|_| refused())?;
        }
        _ => return Err(refused()),
    }
    Ok(config)
}

//! Settings: what can be set, from the overlay and by `/set`, `/preset`, `/system`, `/theme`.
//!
//! Invariants: sampler settings belong to the chat, the others to the configuration file. Rows of the
//! overlay are indices into [`keys`].

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{App, Edit, Effect, LineEdit, Overlay, fuzzy};
use crate::config::Config;
use crate::sampling::{SAMPLING_KEYS, Sampling, SamplingOverrides};

/// The keys of all settings, dotted, in the order of the configuration file.
#[must_use]
pub fn keys(app: &App) -> Vec<String> {
    let sections = [
        ("sampling", json(&app.config.sampling)),
        ("engine", json(&app.config.engine)),
        ("ui", json(&app.config.ui)),
        ("inspector", json(&app.config.inspector)),
    ];
    let mut all = Vec::new();
    for (section, values) in sections {
        if let serde_json::Value::Object(fields) = values {
            all.extend(fields.keys().map(|key| format!("{section}.{key}")));
        }
    }
    all
}

fn json(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("plain settings become JSON")
}

/// The values that a look setting steps through.
fn choices(key: &str) -> &'static [&'static str] {
    match key {
        "ui.color" => &["auto", "truecolor", "256", "16", "none"],
        "ui.symbols" => &["auto", "full", "plain", "ascii"],
        "ui.notify" => &["none", "title", "bell", "osc9"],
        "engine.overflow" => &["drop-oldest", "stop"],
        "engine.flash_attention" => &["auto", "on", "off"],
        _ => &[],
    }
}

/// How far one press of an arrow moves a sampler setting, and its limits.
fn step(key: &str) -> Option<(f64, f64, f64)> {
    Some(match key {
        "temperature" | "dynatemp_range" => (0.05, 0.0, 5.0),
        "top_p" | "min_p" | "typical_p" | "xtc_probability" | "xtc_threshold" => (0.05, 0.0, 1.0),
        "repeat_penalty" | "frequency_penalty" | "presence_penalty" | "dry_multiplier" => (0.05, -2.0, 10.0),
        "dry_base" | "top_n_sigma" | "dynatemp_exponent" | "mirostat_tau" | "mirostat_eta" => {
            (0.1, -1.0, 20.0)
        }
        "top_k" => (5.0, 0.0, 1e6),
        "penalty_last_n" | "dry_penalty_last_n" => (16.0, -1.0, 1e6),
        "max_tokens" => (64.0, 0.0, 1e6),
        "min_keep" | "dry_allowed_length" => (1.0, 0.0, 1e6),
        "mirostat" => (2.0, 0.0, 2.0),
        _ => return None,
    })
}

/// Puts one sampler setting into a layer; no value takes it out.
fn put(layer: &SamplingOverrides, key: &str, value: Option<&str>) -> Result<SamplingOverrides, String> {
    let mut table = toml::Table::try_from(layer).map_err(|error| error.to_string())?;
    table.remove(key);
    if let Some(value) = value {
        let text = format!("{key} = {value}");
        let parsed = toml::from_str::<toml::Table>(&text)
            .or_else(|_| toml::from_str(&format!("{key} = {value:?}")))
            .map_err(|_| format!("{value} is no value for {key}"))?;
        table.extend(parsed);
    }
    let layer: SamplingOverrides =
        table.try_into().map_err(|_| format!("{} is no value for {key}", value.unwrap_or_default()))?;
    let mut all = Sampling::default();
    layer.apply(&mut all);
    check(&all, key)?;
    Ok(layer)
}

/// Refuses numbers that no sampler can use.
fn check(all: &Sampling, key: &str) -> Result<(), String> {
    let serde_json::Value::Object(fields) = json(all) else { return Ok(()) };
    match (fields.get(key), step(key)) {
        (Some(serde_json::Value::Null), _) if key != "seed" => Err(format!("{key} must be a finite number")),
        (Some(serde_json::Value::Number(number)), Some((_, least, most))) => {
            let number = number.as_f64().unwrap_or_default();
            // Limits of 32-bit numbers are met with their rounding.
            let inside = (least - 1e-6..=most + 1e-6).contains(&number);
            if inside { Ok(()) } else { Err(format!("{key} goes from {least} to {most}")) }
        }
        _ => Ok(()),
    }
}

impl App {
    /// The sampler settings in use in the shown chat.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        match self.entry(&self.model.name) {
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

    /// Writes what the shown chat sets for itself; one without messages has no entry yet.
    pub(crate) fn settings_changed(&mut self) {
        if !self.chat.turns.is_empty() {
            self.put_conversation(self.chat.head.id);
        }
    }

    fn put_sampling(&mut self, key: &str, value: Option<&str>) -> bool {
        match put(&self.chat.settings.sampling, key, value) {
            Ok(layer) => {
                self.chat.settings.sampling = layer;
                self.settings_changed();
                true
            }
            Err(message) => {
                self.warn(message);
                false
            }
        }
    }

    /// `/set KEY VALUE`; `default` takes the chat's own value away.
    pub(crate) fn set_sampling(&mut self, pair: &str) -> bool {
        let (key, value) = pair.split_once([' ', '=']).unwrap_or((pair, ""));
        let (key, value) = (key.replace('-', "_"), value.trim_matches([' ', '=']));
        if !SAMPLING_KEYS.contains(&key.as_str()) {
            let near = fuzzy::nearest(&key, SAMPLING_KEYS.iter().copied());
            let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            self.warn(format!("there is no setting {key}{hint}"));
            return false;
        }
        if value.is_empty() {
            self.warn(format!("{key} is {}; /set {key} VALUE changes it", self.sampling_value(&key)));
            return false;
        }
        let value = (!matches!(value, "default" | "random")).then_some(value);
        let done = self.put_sampling(&key, value);
        if done {
            self.say(format!("{key} is {} in this chat", self.sampling_value(&key)));
        }
        done
    }

    /// `/preset NAME`; `none` takes it away.
    pub(crate) fn preset_named(&mut self, name: &str) -> bool {
        if name == "none" {
            self.chat.settings.preset = None;
            self.say("this chat has no preset");
        } else if self.config.presets.contains_key(name) {
            self.chat.settings.preset = Some(name.to_owned());
            self.say(format!("preset {name} in this chat"));
        } else {
            let names: Vec<&str> = self.config.presets.keys().map(String::as_str).collect();
            let there = if names.is_empty() { "none is configured".into() } else { names.join(", ") };
            self.warn(format!("there is no preset {name}; there are: {there}"));
            return false;
        }
        self.settings_changed();
        true
    }

    /// Sets the system prompt of the shown chat; an empty text is none.
    pub(crate) fn set_system(&mut self, text: &str) {
        self.chat.settings.system = Some(text.to_owned());
        self.settings_changed();
        self.say(if text.is_empty() { "no system prompt in this chat" } else { "system prompt set" });
    }

    /// `/theme NAME`.
    pub(crate) fn theme_named(&mut self, name: &str) -> bool {
        if self.themes.iter().any(|other| other == name) {
            self.set_theme(name);
            return true;
        }
        let near = fuzzy::nearest(name, self.themes.iter().map(String::as_str));
        let hint = near.map_or("Ctrl+P theme shows all".into(), |near| format!("did you mean {near}?"));
        self.warn(format!("there is no theme {name}; {hint}"));
        false
    }

    /// Uses a theme from now on.
    pub(crate) fn set_theme(&mut self, name: &str) {
        name.clone_into(&mut self.config.ui.theme);
        self.emit(Effect::WriteConfig { key: "ui.theme".into(), value: format!("{name:?}") });
    }

    fn selected_setting(&self) -> Option<String> {
        match self.top_overlay()? {
            Overlay::Settings(picker) => keys(self).get(*picker.rows.get(picker.selected)?).cloned(),
            _ => None,
        }
    }

    /// A key of the settings overlay that is not the list's own.
    pub(crate) fn settings_key(&mut self, key: KeyEvent) -> bool {
        let Some(setting) = self.selected_setting() else { return false };
        let Some(Overlay::Settings(picker)) = self.overlays.last_mut() else { return false };
        if let Some(value) = &mut picker.value {
            if key.code != KeyCode::Enter {
                return value.key(key) != Edit::Ignored;
            }
            let text = value.text.clone();
            picker.value = None;
            self.put_setting(&setting, Some(text.trim()));
            return true;
        }
        let filtered = !picker.filter.text.is_empty();
        let plain = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match key.code {
            KeyCode::Enter if plain => {
                let value = LineEdit::new(self.setting_value(&setting));
                if let Some(Overlay::Settings(picker)) = self.overlays.last_mut() {
                    picker.value = Some(value);
                }
            }
            KeyCode::Left if plain => self.step_setting(&setting, -1),
            KeyCode::Right if plain => self.step_setting(&setting, 1),
            KeyCode::Backspace if plain && !filtered => self.put_setting(&setting, None),
            _ => return false,
        }
        true
    }

    /// A setting in use, as a text that can be edited.
    fn setting_value(&self, setting: &str) -> String {
        let (section, key) = setting.split_once('.').unwrap_or(("", setting));
        let values = match section {
            "sampling" => json(&self.sampling()),
            "engine" => json(&self.config.engine),
            "ui" => json(&self.config.ui),
            _ => json(&self.config.inspector),
        };
        match values.get(key) {
            None | Some(serde_json::Value::Null) => String::new(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Number(number)) if number.is_f64() => {
                format!("{}", number.as_f64().unwrap_or_default() as f32)
            }
            Some(value) => value.to_string(),
        }
    }

    fn step_setting(&mut self, setting: &str, direction: i32) {
        let now = self.setting_value(setting);
        if setting == "ui.theme" {
            let themes = self.themes.clone();
            let names: Vec<&str> = themes.iter().map(String::as_str).collect();
            if let Some(next) = neighbour(&names, &now, direction) {
                self.set_theme(next);
            }
        } else if let Some(next) = neighbour(choices(setting), &now, direction) {
            self.put_setting(setting, Some(next));
        } else if let Some((by, least, most)) = setting.strip_prefix("sampling.").and_then(step) {
            let value = now.parse::<f64>().unwrap_or_default() + by * f64::from(direction);
            // Two decimals keep repeated steps from drifting.
            let value = (value.clamp(least, most) * 100.0).round() / 100.0;
            self.put_setting(setting, Some(&value.to_string()));
        } else if matches!(now.as_str(), "true" | "false") {
            self.put_setting(setting, Some(if now == "true" { "false" } else { "true" }));
        } else {
            self.say("Enter types a value");
        }
    }

    /// Sets a setting; no value is back to the default.
    fn put_setting(&mut self, setting: &str, value: Option<&str>) {
        if let Some(key) = setting.strip_prefix("sampling.") {
            let value = value.filter(|value| !matches!(*value, "" | "random" | "default"));
            self.put_sampling(key, value);
            return;
        }
        let default = default_of(setting);
        let value = value.map_or(default, toml_value);
        if value == "null" {
            self.warn(format!("{setting} has no value by default; take it out of the configuration file"));
            return;
        }
        match with_setting(&self.config, setting, &value) {
            Ok(config) => {
                let before = self.config.ui.mouse;
                self.config = config;
                if self.config.ui.mouse != before {
                    self.emit(Effect::Mouse(!before));
                }
                if setting.starts_with("engine.") {
                    self.say("used when the model is loaded next (F5)");
                }
                self.emit(Effect::WriteConfig { key: setting.to_owned(), value });
            }
            Err(message) => self.warn(message),
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

/// The built-in value of a look or engine setting, as TOML.
fn default_of(setting: &str) -> String {
    let (section, key) = setting.split_once('.').unwrap_or(("", setting));
    let values = match section {
        "engine" => json(&crate::config::EngineConfig::default()),
        "ui" => json(&crate::config::UiConfig::default()),
        _ => json(&crate::config::InspectorConfig::default()),
    };
    values.get(key).map(ToString::to_string).unwrap_or_default()
}

/// The configuration with one look or engine setting changed.
fn with_setting(config: &Config, setting: &str, value: &str) -> Result<Config, String> {
    let refused = || format!("{value} is no value for {setting}");
    let (section, key) = setting.split_once('.').ok_or_else(refused)?;
    let table = toml::from_str::<toml::Table>(&format!("value = {value}")).map_err(|_| refused())?;
    let mut parsed = serde_json::to_value(&table["value"]).map_err(|_| refused())?;
    let mut config = config.clone();
    let mut change = |fields: serde_json::Value| -> Option<serde_json::Value> {
        let mut fields = fields;
        let old = fields.get(key)?;
        // A name that looks like a number stays a name.
        if old.is_string() && parsed.is_number() {
            parsed = serde_json::Value::String(parsed.to_string());
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

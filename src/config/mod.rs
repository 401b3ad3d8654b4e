//! The configuration: every key with its default, read from TOML into a value and warnings.
//!
//! Invariant: a bad key is a warning that names file, line, key and the default it fell back to; never a
//! refusal to start. Layers: built-in, file, environment, flags.

pub mod keymap;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model_entry::{LoadParams, ModelEntry};
use crate::sampling::{Sampling, SamplingOverrides};

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Name of the model to start with.
    pub model: String,
    /// System prompt; empty is none.
    pub system: String,
    /// Models by name: the file's, then the built-in ones that it does not replace.
    pub models: Vec<ModelEntry>,
    /// How models are loaded.
    pub engine: EngineConfig,
    /// Sampler settings.
    pub sampling: Sampling,
    /// Named sets of sampler settings.
    pub presets: BTreeMap<String, SamplingOverrides>,
    /// How it looks.
    pub ui: UiConfig,
    /// The inspector.
    pub inspector: InspectorConfig,
    /// Keys by command name, e.g. `regenerate = ["ctrl+r"]`; an empty list unbinds.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// `[engine]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EngineConfig {
    /// How a model is loaded.
    #[serde(flatten)]
    pub load: LoadParams,
    /// Unload an idle model after this many minutes; 0 is never.
    pub unload_after_minutes: u32,
    /// When the context is full before the reply begins: leave out the oldest turns, or stop and say so.
    pub overflow: Overflow,
}

/// What happens when a chat outgrows the context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The oldest turns are left out of the prompt, and the notice row says how many.
    #[default]
    DropOldest,
    /// The reply is refused with a message.
    Stop,
}

/// `[ui]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UiConfig {
    /// Theme name, or `auto` (dark or light as the terminal's background).
    pub theme: String,
    /// `auto`, `truecolor`, `256`, `16`, `none`.
    pub color: ColorDepth,
    /// `full`, `plain`, `ascii`, or `auto`.
    pub symbols: SymbolSet,
    /// Mouse on: the terminal's own selection then needs Shift.
    pub mouse: bool,
    /// Whether the chats pane is shown at start, where there is room.
    pub chats: bool,
    /// Whether the inspector is shown at start, where there is room.
    pub inspector: bool,
    /// What announces a finished background reply: `none`, `title`, `bell`, `osc9`.
    pub notify: Notify,
    /// Frames a second at most.
    pub frame_rate: u32,
}

/// How many colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColorDepth {
    /// As the terminal says.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// 24 bits.
    #[serde(rename = "truecolor")]
    TrueColor,
    /// The 256-colour palette.
    #[serde(rename = "256")]
    C256,
    /// The 16 colours of the terminal.
    #[serde(rename = "16")]
    C16,
    /// None.
    #[serde(rename = "none")]
    None,
}

/// Which glyphs are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SymbolSet {
    /// Full, or ASCII where the locale is not UTF-8.
    #[default]
    Auto,
    /// All of them.
    Full,
    /// Without glyphs that have emoji twins.
    Plain,
    /// ASCII only.
    Ascii,
}

/// What announces a finished background reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notify {
    /// Nothing but the mark in the list.
    None,
    /// The window title.
    #[default]
    Title,
    /// The bell.
    Bell,
    /// OSC 9, a desktop notification in terminals that know it.
    Osc9,
}

/// `[inspector]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InspectorConfig {
    /// Candidates kept per token.
    pub candidates: u32,
    /// A live list is redrawn at most this often, ms.
    pub refresh_ms: u32,
    /// A token is uncertain from this surprise on, bits.
    pub uncertain_bits: f32,
    /// Texts of tokens whose probability is always shown.
    pub watch: Vec<String>,
    /// Whether the captions in plain words are shown.
    pub captions: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: "smollm2-135m-instruct".into(),
            system: String::new(),
            models: Vec::new(),
            engine: EngineConfig::default(),
            sampling: Sampling::default(),
            presets: BTreeMap::new(),
            ui: UiConfig::default(),
            inspector: InspectorConfig::default(),
            keys: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The model of that name.
    #[must_use]
    pub fn model_named(&self, name: &str) -> Option<ModelEntry> {
        self.models.iter().find(|model| model.name == name).cloned()
    }

    /// Sampler settings of a model and a chat.
    #[must_use]
    pub fn sampling_for(&self, entry: &ModelEntry, chat: &crate::chat::ChatSettings) -> Sampling {
        let mut sampling = self.sampling.clone();
        let preset = |name: &Option<String>| name.as_ref().and_then(|name| self.presets.get(name));
        let layers =
            [preset(&entry.preset), Some(&entry.sampling), preset(&chat.preset), Some(&chat.sampling)];
        for layer in layers.into_iter().flatten() {
            layer.apply(&mut sampling);
        }
        sampling
    }

    /// How a model is loaded.
    #[must_use]
    pub fn load_params_for(&self, entry: &ModelEntry) -> LoadParams {
        entry.load.over(&self.engine.load)
    }

    /// System prompt of a model and a chat; empty is none.
    #[must_use]
    pub fn system_for(&self, entry: &ModelEntry, chat: &crate::chat::ChatSettings) -> String {
        chat.system.as_ref().or(entry.system.as_ref()).unwrap_or(&self.system).clone()
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { load: LoadParams::default(), unload_after_minutes: 0, overflow: Overflow::DropOldest }
    }
}

impl Default for UiConfig {
    fn default() -> Self {
        Self {
            theme: "auto".into(),
            color: ColorDepth::Auto,
            symbols: SymbolSet::Auto,
            mouse: false,
            chats: true,
            inspector: true,
            notify: Notify::Title,
            frame_rate: 60,
        }
    }
}

impl Default for InspectorConfig {
    fn default() -> Self {
        Self { candidates: 20, refresh_ms: 150, uncertain_bits: 2.0, watch: Vec::new(), captions: true }
    }
}

/// Something wrong with a configuration or theme file that did not stop it from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file, as the user knows it.
    pub file: String,
    /// Line, from 1; 0 where it is about the whole file.
    pub line: usize,
    /// The key, dotted; empty where it is about the whole file.
    pub key: String,
    /// What is wrong and what is used instead.
    pub message: String,
}

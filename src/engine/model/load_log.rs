//! What llama.cpp says in its log while it loads: buffer sizes, layers on a GPU, whether flash attention is
//! on, and why something failed. It offers no other way to learn these.
//!
//! Invariant: lines that are not understood are ignored; a changed wording costs a figure, never a load.

use crate::engine::protocol::Memory;

/// Collected from the log of one load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadLog {
    /// Sizes of the buffers, bytes.
    pub memory: Memory,
    /// Layers on a GPU, and layers in all (the output counts as one).
    pub offloaded: Option<(u32, u32)>,
    /// What "automatic" flash attention came to.
    pub flash_attention: Option<bool>,
    /// The device of each layer, in order; the output is one behind the last.
    pub placed: Vec<(u32, String)>,
    /// Error lines, oldest first.
    pub errors: Vec<String>,
    /// Warnings that mean wrong tokens, oldest first, each once.
    pub doubts: Vec<String>,
    /// Whether the system refused to lock what was to be kept in memory.
    pub is_unlocked: bool,
}

/// How many warnings are told.
const TOLD: usize = 3;
/// Warnings of llama.cpp's vocabulary that mean wrong tokens, by words of theirs. What the file's header shows already
/// (`gguf::doubts`) is not among them, nor what llama.cpp puts right by itself.
const DOUBTFUL: &[&str] = &["dummy tokens", "out of vocab range", "is out of range (vocab size"];
/// Words of the warnings that `mlock` is not what it is asked to be, on each system.
const UNLOCKED: &[&str] = &["failed to mlock", "failed to VirtualLock", "mlock not supported"];

impl LoadLog {
    /// Nothing said yet.
    #[must_use]
    pub const fn new() -> Self {
        let memory = Memory { weights: 0, context: 0, compute: 0 };
        Self {
            memory,
            offloaded: None,
            flash_attention: None,
            placed: Vec::new(),
            errors: Vec::new(),
            doubts: Vec::new(),
            is_unlocked: false,
        }
    }

    /// Takes a line, without knowing which part of llama.cpp wrote it.
    pub fn read(&mut self, line: &str, is_error: bool) {
        let line = line.trim();
        if is_error && !line.is_empty() {
            self.errors.push(line.to_string());
        }
        if DOUBTFUL.iter().any(|words| line.contains(words)) {
            let said = without_function(line).trim_end_matches('.').to_string();
            if self.doubts.len() < TOLD && !self.doubts.contains(&said) {
                self.doubts.push(said);
            }
        } else if UNLOCKED.iter().any(|words| line.contains(words)) {
            self.is_unlocked = true;
        } else if let Some(bytes) = buffer_size(line) {
            *self.buffer(line) += bytes;
        } else if let Some((on_gpu, all)) = offloaded(line) {
            self.offloaded = Some((on_gpu, all));
        } else if let Some(placed) = placed(line) {
            self.placed.push(placed);
        } else if line.contains("Flash Attention enabled") {
            self.flash_attention = Some(true);
        } else if line.contains("Flash Attention not supported") {
            self.flash_attention = Some(false);
        }
    }

    /// How many of a model's layers lie on each device, in the order of the layers.
    #[must_use]
    pub fn layers(&self, layers: u32) -> Vec<(String, u32)> {
        let mut all: Vec<(String, u32)> = Vec::new();
        for (_, device) in self.placed.iter().filter(|(layer, _)| *layer < layers) {
            match all.iter_mut().find(|(known, _)| known == device) {
                Some((_, count)) => *count += 1,
                None => all.push((device.clone(), 1)),
            }
        }
        all
    }

    /// The most telling error: the first, without the name of the function that wrote it.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let text = without_function(self.errors.first()?);
        Some(text.trim_start_matches("error loading model: ").to_string())
    }

    /// What llama.cpp doubts of the vocabulary, in a sentence.
    #[must_use]
    pub fn vocabulary_doubt(&self) -> Option<String> {
        (!self.doubts.is_empty()).then(|| {
            format!("llama.cpp doubts the vocabulary ({}): tokens may be wrong.", self.doubts.join("; "))
        })
    }

    /// What became of `mlock` where the system did not allow it, in a sentence.
    #[must_use]
    pub fn unlocked(&self) -> Option<String> {
        let sentence = "mlock = true has no full effect: the system lets no more memory be locked (ulimit -l shows how \
                        much), so that parts of the model may be moved out of memory.";
        self.is_unlocked.then(|| sentence.to_owned())
    }

    /// Whether an error speaks of memory.
    #[must_use]
    pub fn out_of_memory(&self) -> bool {
        self.errors.iter().any(|line| {
            let line = line.to_lowercase();
            ["alloc", "out of memory", "outofdevicememory"].iter().any(|word| line.contains(word))
        })
    }

    fn buffer(&mut self, line: &str) -> &mut u64 {
        if line.contains("model buffer") {
            &mut self.memory.weights
        } else if line.contains("KV buffer") || line.contains("state buffer") || line.contains("RS buffer") {
            &mut self.memory.context
        } else {
            &mut self.memory.compute
        }
    }
}

/// A line without the name of the function that wrote it.
fn without_function(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, text)| text)
}

/// `… buffer size =   75.50 MiB` in bytes.
fn buffer_size(line: &str) -> Option<u64> {
    let (_, size) = line.split_once("buffer size = ")?;
    let mebibytes: f64 = size.trim().strip_suffix("MiB")?.trim().parse().ok()?;
    Some((mebibytes * 1024.0 * 1024.0) as u64)
}

/// `… offloaded 30/31 layers to GPU`.
fn offloaded(line: &str) -> Option<(u32, u32)> {
    let (_, rest) = line.split_once("offloaded ")?;
    let (on_gpu, all) = rest.strip_suffix(" layers to GPU")?.split_once('/')?;
    Some((on_gpu.parse().ok()?, all.parse().ok()?))
}

/// `load_tensors: layer   3 assigned to device RPC0, is_swa = 0`.
fn placed(line: &str) -> Option<(u32, String)> {
    let (layer, rest) = line.split_once("layer ")?.1.split_once(" assigned to device ")?;
    Some((layer.trim().parse().ok()?, rest.split(',').next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_counted_by_the_device_they_are_given_to() {
        let mut log = LoadLog::default();
        for (layer, device) in [(0, "CPU"), (1, "RPC0"), (2, "RPC0"), (3, "RPC1"), (4, "RPC1")] {
            log.read(
                &format!("load_tensors: layer {layer:3} assigned to device {device}, is_swa = 0"),
                false,
            );
        }
        assert_eq!(log.layers(4), [("CPU".into(), 1), ("RPC0".into(), 2), ("RPC1".into(), 1)]);
    }

    #[test]
    fn buffers_are_added_up_by_what_they_are_for() {
        let mut log = LoadLog::default();
        for line in [
            "load_tensors:   CPU_Mapped model buffer size =    93.62 MiB",
            "load_tensors:   CPU_REPACK model buffer size =     1.00 MiB",
            "llama_kv_cache:        CPU KV buffer size =   202.50 MiB",
            "llama_context:        CPU  output buffer size =     3.00 MiB",
            "sched_reserve:        CPU compute buffer size =   150.25 MiB",
        ] {
            log.read(line, false);
        }
        let mebibytes = |size: f64| (size * 1024.0 * 1024.0) as u64;
        assert_eq!(log.memory.weights, mebibytes(93.62) + mebibytes(1.0));
        assert_eq!(log.memory.context, mebibytes(202.5));
        assert_eq!(log.memory.compute, mebibytes(3.0) + mebibytes(150.25));
    }

    #[test]
    fn gpu_layers_and_flash_attention_are_read() {
        let mut log = LoadLog::default();
        log.read("load_tensors: offloaded 30/31 layers to GPU", false);
        log.read("sched_reserve: Flash Attention enabled", false);
        assert_eq!((log.offloaded, log.flash_attention), (Some((30, 31)), Some(true)));
    }

    #[test]
    fn warnings_that_mean_wrong_tokens_are_a_doubt() {
        let mut log = LoadLog::default();
        for line in [
            "load: control-looking token: 128247 '</s>' was not control-type; its type will be overridden",
            "load: special_eos_id is not in special_eog_ids - the tokenizer config may be incorrect",
            "load: missing pre-tokenizer type, using: 'default'",
            "load: empty token at index 7",
            "llama_context: n_ctx_seq (512) < n_ctx_train (8192) -- the full capacity will not be utilized",
        ] {
            log.read(line, false);
        }
        assert_eq!(log.vocabulary_doubt(), None, "what is put right, or known from the header, is not said");
        for _ in 0..2 {
            log.read("load: adding 32000 dummy tokens", false);
        }
        log.read(
            "load: default special token 'tokenizer.ggml.bos_token_id' = 11 out of vocab range, disabling",
            false,
        );
        let said = log.vocabulary_doubt().unwrap();
        assert!(said.contains("(adding 32000 dummy tokens; default special token"), "{said}");
    }

    #[test]
    fn memory_that_could_not_be_locked_is_said() {
        let mut log = LoadLog::default();
        assert_eq!(log.unlocked(), None);
        log.read(
            "warning: failed to mlock 98111488-byte buffer (after previously locking 0 bytes): Cannot allocate memory",
            false,
        );
        assert!(log.unlocked().unwrap().starts_with("mlock = true has no full effect"));
    }

    #[test]
    fn the_first_error_is_the_reason() {
        let mut log = LoadLog::default();
        log.read("llama_model_load: error loading model: unknown model architecture: 'nonsense'", true);
        log.read("llama_model_load_from_file_impl: failed to load model", true);
        assert_eq!(log.reason().as_deref(), Some("unknown model architecture: 'nonsense'"));
        assert!(!log.out_of_memory());
    }
}

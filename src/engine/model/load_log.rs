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
    /// Error lines, oldest first.
    pub errors: Vec<String>,
}

impl LoadLog {
    /// Nothing said yet.
    #[must_use]
    pub const fn new() -> Self {
        let memory = Memory { weights: 0, context: 0, compute: 0 };
        Self { memory, offloaded: None, flash_attention: None, errors: Vec::new() }
    }

    /// Takes a line, without knowing which part of llama.cpp wrote it.
    pub fn read(&mut self, line: &str, is_error: bool) {
        let line = line.trim();
        if is_error && !line.is_empty() {
            self.errors.push(line.to_string());
        }
        if let Some(bytes) = buffer_size(line) {
            *self.buffer(line) += bytes;
        } else if let Some((on_gpu, all)) = offloaded(line) {
            self.offloaded = Some((on_gpu, all));
        } else if line.contains("Flash Attention enabled") {
            self.flash_attention = Some(true);
        } else if line.contains("Flash Attention not supported") {
            self.flash_attention = Some(false);
        }
    }

    /// The most telling error: the first, without the name of the function that wrote it.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let line = self.errors.first()?;
        let text = line.split_once(": ").map_or(line.as_str(), |(_, text)| text);
        Some(text.trim_start_matches("error loading model: ").to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_first_error_is_the_reason() {
        let mut log = LoadLog::default();
        log.read("llama_model_load: error loading model: unknown model architecture: 'nonsense'", true);
        log.read("llama_model_load_from_file_impl: failed to load model", true);
        assert_eq!(log.reason().as_deref(), Some("unknown model architecture: 'nonsense'"));
        assert!(!log.out_of_memory());
    }
}

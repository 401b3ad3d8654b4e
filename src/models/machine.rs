//! What this machine can run: how much memory is free, and how fast it reads it.
//!
//! Invariant: a prediction is called one. A token is made by reading all weights once, so its time is the file's size
//! over the memory's speed, and never less.

use std::sync::OnceLock;
use std::time::Instant;

use crate::free_memory;

/// What decoding reaches of the memory's speed, by experience with llama.cpp on processors.
const REACHED: f64 = 0.7;
/// What a chat takes beside the weights, bytes: cache and buffers of a small model.
const BESIDE: u64 = 300 << 20;
const BUFFER: usize = 96 << 20;

/// How fast all cores together read memory, bytes a second; measured once, in a fifth of a second or so.
#[must_use]
pub fn bandwidth() -> f64 {
    static MEASURED: OnceLock<f64> = OnceLock::new();
    *MEASURED.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Written once, so that the pages are there, and larger than any cache.
        let buffer: Vec<u64> = (0..(BUFFER / 8) as u64).collect();
        let fastest = (0..3).map(|_| read_all(&buffer, cores)).fold(f64::INFINITY, f64::min);
        BUFFER as f64 / fastest.max(1e-6)
    })
}

/// Seconds to read a buffer with so many threads.
fn read_all(buffer: &[u64], threads: usize) -> f64 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for part in buffer.chunks(buffer.len().div_ceil(threads)) {
            scope.spawn(move || std::hint::black_box(part.iter().fold(0_u64, |sum, word| sum ^ word)));
        }
    });
    started.elapsed().as_secs_f64()
}

/// Tokens a second that a model of so many bytes can be expected to write, at most.
#[must_use]
pub fn predicted_speed(bytes: u64, bandwidth: f64) -> f64 {
    REACHED * bandwidth / (bytes.max(1) as f64)
}

/// Memory that a model of so many bytes needs, with a chat's context, bytes.
#[must_use]
pub fn needs(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 10).saturating_add(BESIDE)
}

/// Whether a model of so many bytes fits into so much free memory.
#[must_use]
pub fn fits(bytes: u64, free: u64) -> bool {
    needs(bytes) <= free
}

/// What of a machine matters to how a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// Free memory, bytes, where the system says.
    pub free: Option<u64>,
    /// How fast it reads memory, bytes a second.
    pub bandwidth: f64,
}

impl Machine {
    /// This one; takes a moment the first time.
    #[must_use]
    pub fn measured() -> Self {
        Self { free: free_memory::bytes(), bandwidth: bandwidth() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_speed_and_a_larger_model_is_slower() {
        let speed = bandwidth();
        // Between the slowest board that runs this and the fastest accelerator there is.
        assert!((1e8..1e14).contains(&speed), "{speed}");
        assert!(predicted_speed(1 << 30, speed) > 1.9 * predicted_speed(2 << 30, speed));
        assert!(fits(1 << 30, 2 << 30) && !fits(1 << 30, 1 << 30));
    }
}

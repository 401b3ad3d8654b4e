//! How far two ways of computing the same figure may differ, and what makes them differ.
//!
//! Two readings of one text come in batches of other sizes, in other cells of the cache, through other kernels (AVX2,
//! AVX-512, AMX …), so their sums are taken in another order. On dequantised weights with keys and values of 32 bits
//! that is all, and moves the last digits. In a chat llama.cpp also rounds the activations of each multiplication to 8
//! bits: a last digit that tips one value to the next step moves everything after it. On the default model that moves
//! log-probabilities by 0.05 to 0.1 nats (measured between an AVX2 and an AVX-512 machine and between batches of 1 and
//! 512).
//!
//! Of a log-probability's bound follow the others. A share p of a softmax, a probability or an attention weight, has
//! dp = p (1 − p) dz for the difference z of logits between it and the rest; two logits move apart by at most twice
//! what one moves by, so |dp| ≤ ¼ · 2 · bound. An entropy moves by no more than the log-probabilities it is the mean of.
//!
//! Invariant: where two readings are compared token by token (`assert_eq!` of ids), they rest on dequantised weights,
//! or are computed in the same batches and cells; a bound of the other kind is never used to compare tokens.

/// How far a log-probability or an entropy may lie from the same one read in another way, nats.
#[derive(Clone, Copy, Debug)]
pub struct Noise(f32);

/// Dequantised weights, keys and values of 32 bits: only sums are taken in another order.
pub const ORDER: Noise = Noise(0.01);
/// As in a chat: activations rounded to 8 bits, keys and values to 16.
pub const ROUNDING: Noise = Noise(0.1);

impl Noise {
    /// Of a log-probability or an entropy, nats.
    pub const fn nats(self) -> f32 {
        self.0
    }

    /// Of a probability or an attention weight.
    pub const fn share(self) -> f32 {
        self.0 / 2.0
    }

    /// Of the difference of two log-probabilities, nats.
    pub const fn margin(self) -> f32 {
        self.0 * 2.0
    }
}

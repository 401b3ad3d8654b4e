//! Arithmetic on long vectors: distributions, work shared between threads, products with the model's own matrices.
//!
//! Invariant: nothing here knows what the numbers mean or who asked for them.

#[cfg(feature = "llama")]
pub mod graph;
pub mod numbers;
#[cfg(feature = "llama")]
pub(crate) mod parallel;
#[cfg(all(feature = "llama", unix))]
pub mod trial;

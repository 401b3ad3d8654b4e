//! A model in memory: how its file becomes one, what is known of it, and the seams to native code.
//!
//! Invariant: nothing here decodes tokens; a [context](ffi) is made here and used elsewhere.

pub mod adapter_file;
pub mod ffi;
pub mod fit;
pub mod load_log;

#[cfg(feature = "llama")]
pub mod adapters;
#[cfg(feature = "dynamic-backends")]
pub mod backends;
#[cfg(feature = "llama")]
pub(crate) mod changes;
#[cfg(feature = "llama")]
pub(crate) mod dequantized;
#[cfg(feature = "llama")]
pub mod load;
#[cfg(feature = "llama")]
pub(crate) mod loaded;
#[cfg(feature = "llama")]
pub mod vocabulary;
#[cfg(feature = "llama")]
pub(crate) mod weight_error;
#[cfg(feature = "llama")]
pub mod weights;
#[cfg(feature = "llama")]
pub(crate) mod weights_delta;

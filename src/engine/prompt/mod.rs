//! From what is asked for to tokens, and where a reply ends.
//!
//! Invariant: what a person wrote never becomes a mark of the template.

#[cfg(feature = "llama")]
pub mod encode;
pub mod stop;
pub mod template;

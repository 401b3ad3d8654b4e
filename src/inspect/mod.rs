//! Arithmetic on numbers that the engine gave. No IO, no engine types.

pub mod chain;
pub mod contrast;
pub mod depth;
pub mod direction;
pub mod distribution;
pub mod embedding;
pub mod feed_forward;
pub(crate) mod floats;
pub mod lens;
pub(crate) mod merging;
pub mod pieces;
pub mod position;
pub mod reading;
pub(crate) mod rollout;
pub(crate) mod rotation;
pub mod scores;
pub mod stages;
pub mod trace;

//! Arithmetic on numbers that the engine gave. No IO, no engine types.

pub mod after;
pub mod chain;
pub mod distribution;
pub mod pieces;
pub mod stages;
pub mod trace;

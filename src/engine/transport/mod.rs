//! How requests reach an engine and events come back: the pipe to a child, a thread, and what is open on either.
//!
//! Invariant: nothing here knows a model; it moves what [`super::protocol`] defines.

pub mod child;
mod child_log;
pub(crate) mod frame;
mod greeting;
mod line;
pub mod open_requests;
mod questions;
pub(crate) mod serve;
pub mod thread;

//! How requests reach an engine and events come back: the pipe to a child, a thread, and what is open on either.
//!
//! Invariant: nothing here knows a model; it moves what [`super::protocol`] defines.

pub mod open_requests;
mod queue;

pub(super) use queue::Questions;

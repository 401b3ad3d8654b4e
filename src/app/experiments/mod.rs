//! Experiments on what was said: messages changed on trial, sentences weighed, and steering.
//!
//! Invariant: the chat stays as it is until a trial is sent or a direction is kept.

pub(super) mod microscope;
pub(super) mod reread;
pub(super) mod steer;
pub(super) mod vectors;

//! The engine that runs GGUF files: what the worker does, one file a request, and what it has in common with the thread
//! that reads requests.
//!
//! Invariant: a job reads through the [session](super::session) and leaves nothing of its own behind: no sequence, no
//! change of the network, no plan of the probe, however it ends.

pub(crate) mod attention_rows;
pub(crate) mod beam;
pub(crate) mod contrast;
pub(crate) mod control;
pub(crate) mod embeddings;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod layer_grid;
pub mod llama;
pub(crate) mod pieces;
pub(crate) mod replay;
pub(crate) mod rescore;
pub(crate) mod score;
pub mod shared;
pub(crate) mod steering;
pub mod worker;

use crate::engine::protocol::{Failure, FailureKind};

/// What is said of work that was stopped before it was begun.
fn cancelled_early() -> Failure {
    Failure { message: "It was stopped before it began.".to_string(), kind: FailureKind::Cancelled }
}

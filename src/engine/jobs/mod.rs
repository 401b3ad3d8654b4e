//! The engine that runs GGUF files: what the worker does, one file a request, and what it has in common with the thread
//! that reads requests.
//!
//! Invariant: a job reads through the [session](super::session) and leaves nothing of its own behind: no sequence, no
//! change of the network, no plan of the probe, however it ends.

pub mod attention_rows;
pub mod beam;
pub mod control;
pub mod embeddings;
pub mod generate;
pub mod inspect;
pub mod layer_grid;
pub mod llama;
pub mod pieces;
pub mod replay;
pub mod rescore;
pub mod score;
pub mod shared;
pub mod steering;
pub mod worker;

use crate::engine::protocol::{Failure, FailureKind};

/// What is said of work that was stopped before it was begun.
fn cancelled_early() -> Failure {
    Failure { message: "It was stopped before it began.".to_string(), kind: FailureKind::Cancelled }
}

//! The real engine on real models, and the real binary with them in a real pseudo-terminal.
//!
//! Invariant: a model is loaded once for all that ask the same of it, behind a lock (see [`kit`]); no test depends on
//! what another left in its cache.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "every function here is part of a test, and tells what it measured"
)]

mod adapters;
mod attention;
#[cfg(unix)]
mod bench;
mod changes;
mod chat;
mod contrast;
mod drafts;
#[cfg(target_os = "linux")]
mod endurance;
mod engine;
#[path = "../families/file.rs"]
mod file;
mod inspect;
mod inspect_more;
mod kit;
mod live;
mod noise;
mod panics;
mod probe;
mod reference;
#[cfg(unix)]
mod rpc;
mod sampler;
mod score;
mod snapshots;
mod threads;
mod tokenizer;
mod weights;

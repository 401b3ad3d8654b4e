//! The engine: what loads a model and runs it. One interface, several bodies (child process, thread,
//! scripted). It takes requests and gives events to a sink; only the caller knows channels.
//!
//! Invariant: everything that crosses is plain data of [`protocol`]; no type of llama-cpp-2 leaves here.

mod allowed;
pub mod containment;
pub mod model;
pub(crate) mod prompt;
pub mod protocol;
pub(crate) mod scripted;
#[cfg(feature = "remote")]
pub mod server;
pub mod snapshot;
#[cfg(test)]
mod testing;
pub mod tokenizer;
pub mod transport;
pub mod workers;

#[cfg(feature = "llama")]
pub mod analysis;
#[cfg(feature = "llama")]
pub mod bench;
pub mod compute;
#[cfg(feature = "llama")]
pub mod jobs;
#[cfg(feature = "llama")]
pub mod probe;
#[cfg(feature = "llama")]
pub(crate) mod sampler;
#[cfg(feature = "llama")]
pub mod session;
#[cfg(any(feature = "llama", test))]
pub(crate) mod threads;

use std::time::Instant;

pub use protocol::{Envelope, Event, Request, RequestId};

/// Milliseconds since then.
fn milliseconds(since: Instant) -> f32 {
    since.elapsed().as_secs_f32() * 1000.0
}

/// Where an engine's events go. Called from the engine's own thread; must not block for long.
pub type EventSink = Box<dyn Fn(Envelope) + Send + Sync + 'static>;

/// A running engine. Dropping it ends it.
pub trait Engine: Send {
    /// Hands a request over; the answers come to the sink under the same id.
    ///
    /// # Errors
    /// [`Gone`] when the engine has ended; its last event was [`Event::Exited`].
    fn send(&self, id: RequestId, request: Request) -> Result<(), Gone>;

    /// The operating system's id of the process that computes, where it is another one.
    fn pid(&self) -> Option<u32> {
        None
    }
}

/// The engine has ended.
#[derive(Debug, thiserror::Error)]
#[error("the engine has ended")]
pub struct Gone;

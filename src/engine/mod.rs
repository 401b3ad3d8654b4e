//! The engine: what loads a model and runs it. One interface, several bodies (child process, thread,
//! scripted). It takes requests and gives events to a sink; only the caller knows channels.
//!
//! Invariant: everything that crosses is plain data of [`protocol`]; no type of llama-cpp-2 leaves here.

pub mod fit;
pub mod frame;
pub mod handle;
pub mod load_log;
pub mod native;
pub mod numbers;
pub mod protocol;
pub mod scripted;
pub mod serve;
pub mod stop;
pub mod template;
#[cfg(test)]
mod testing;
pub mod thread;
pub mod tokenizer;

#[cfg(feature = "llama")]
pub mod ahead;
#[cfg(feature = "llama")]
pub mod aside;
#[cfg(feature = "llama")]
pub mod bench;
#[cfg(feature = "llama")]
pub mod beside;
#[cfg(feature = "llama")]
pub mod changes;
#[cfg(feature = "llama")]
pub mod control;
#[cfg(feature = "llama")]
pub mod decode;
#[cfg(feature = "llama")]
pub mod embed;
#[cfg(feature = "llama")]
pub mod exact;
#[cfg(feature = "llama")]
pub mod generate;
#[cfg(feature = "llama")]
pub mod graph;
#[cfg(feature = "llama")]
mod guard;
#[cfg(feature = "llama")]
pub mod inspect;
#[cfg(feature = "dynamic-backends")]
mod libraries;
#[cfg(feature = "llama")]
pub mod live;
#[cfg(feature = "llama")]
pub mod load;
#[cfg(feature = "llama")]
pub mod look;
#[cfg(feature = "llama")]
pub mod merges;
#[cfg(feature = "llama")]
pub mod probe;
#[cfg(feature = "llama")]
pub mod prompt;
#[cfg(feature = "llama")]
pub mod real;
#[cfg(feature = "llama")]
pub mod reins;
#[cfg(feature = "llama")]
pub mod reread;
#[cfg(feature = "llama")]
pub mod sampler;
#[cfg(feature = "llama")]
pub mod score;
#[cfg(feature = "llama")]
pub mod scratch;
#[cfg(feature = "llama")]
pub mod shared;
#[cfg(feature = "llama")]
mod side_by_side;
#[cfg(feature = "llama")]
pub mod twin;
#[cfg(feature = "llama")]
pub mod vocabulary;
#[cfg(feature = "llama")]
pub mod weight_error;
#[cfg(feature = "llama")]
pub mod weights;
#[cfg(feature = "llama")]
pub mod worker;

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

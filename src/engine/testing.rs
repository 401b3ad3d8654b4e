//! What the tests of the engines share.
//!
//! Invariant: every event that an engine gives comes out, in order, and the end of the engine ends them.

use std::sync::mpsc::{Receiver, channel};

use super::EventSink;
use super::protocol::Envelope;

/// A sink, and what was put into it.
pub fn events() -> (EventSink, Receiver<Envelope>) {
    let (out, events) = channel();
    let sink = move |envelope| {
        let _ = out.send(envelope); // the test may have seen enough
    };
    (Box::new(sink), events)
}

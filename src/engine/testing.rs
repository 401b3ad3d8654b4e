//! What the tests of the engines share.
//!
//! Invariant: every event that an engine gives comes out, in order, and the end of the engine ends them.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

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

/// Somewhere to write to, and what was written.
#[derive(Clone, Default)]
pub struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    /// All bytes so far.
    pub fn written(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

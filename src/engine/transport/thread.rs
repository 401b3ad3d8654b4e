//! An engine on threads of this process, for tests and benches: the same answers without a pipe.
//!
//! Invariant: the sink sees what it would see from a child, [`Event::Exited`] at the end included.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use super::open_requests::OpenRequests;
use super::serve::{self, Emit, Made};
use crate::engine::protocol::{Call, Envelope, Event, Exit, Request, RequestId};
use crate::engine::{Engine, EventSink, Gone};

/// An engine in this process. Native code that aborts takes the process with it.
#[derive(Debug)]
pub struct ThreadEngine {
    calls: Sender<Call>,
}

impl ThreadEngine {
    /// Starts an engine; `make` is called on its worker thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        sink: EventSink,
        make: impl FnOnce(Emit, Arc<OpenRequests>) -> Made + Send + 'static,
    ) -> std::io::Result<Self> {
        let (calls, received) = mpsc::channel();
        thread::Builder::new().name("engine".into()).spawn(move || {
            let emit: Emit = Arc::from(sink);
            emit(Envelope { id: RequestId(0), event: Event::ready() });
            serve::answer(received.into_iter(), &emit, make);
            let end = Exit { expected: true, how: "ended".into(), ..Exit::default() };
            emit(Envelope { id: RequestId(0), event: Event::Exited(end) });
        })?;
        Ok(Self { calls })
    }
}

impl Engine for ThreadEngine {
    fn send(&self, id: RequestId, request: Request) -> Result<(), Gone> {
        self.calls.send(Call { id, request }).map_err(|_| Gone)
    }
}

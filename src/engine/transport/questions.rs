//! Questions about the vocabulary or a file, which take too long for the thread that reads cancels: one helper thread
//! answers them in the order in which they came.
//!
//! Invariant: one thread, however many are asked; a question that was cancelled while it waited is not begun, so the
//! newest comes soon where the older ones are not wanted any more. At the end what waits is still answered.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use super::open_requests::OpenRequests;
use crate::engine::protocol::{Event, Failure, FailureKind, RequestId};

/// What works out an answer.
type Answer = Box<dyn FnOnce() -> Event + Send>;

/// The queue in front of the helper thread, which ends with it.
pub struct Questions {
    waiting: Sender<(RequestId, Answer)>,
}

impl Questions {
    /// Starts the thread; `emit` gets each answer, a final event. Fails where the system gives no thread.
    pub fn start(
        requests: Arc<OpenRequests>,
        emit: impl Fn(RequestId, Event) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (waiting, asked) = mpsc::channel::<(RequestId, Answer)>();
        thread::Builder::new().name("questions".into()).spawn(move || {
            for (id, answer) in asked {
                let event = if requests.is_cancelled(id) && !requests.is_ending() {
                    Event::Failed(cancelled())
                } else {
                    answer()
                };
                emit(id, event);
            }
        })?;
        Ok(Self { waiting })
    }

    /// Puts a question at the end of the queue. It has its answer even where the thread has ended, which only a
    /// panic outside `answer` could do: it is worked out at once then.
    pub fn ask(&self, id: RequestId, answer: impl FnOnce() -> Event + Send + 'static) -> Option<Event> {
        match self.waiting.send((id, Box::new(answer))) {
            Ok(()) => None,
            Err(mpsc::SendError((_, answer))) => Some(answer()),
        }
    }
}

fn cancelled() -> Failure {
    Failure { message: "It was stopped before it began.".to_owned(), kind: FailureKind::Cancelled }
}

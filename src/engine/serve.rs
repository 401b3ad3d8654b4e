//! The engine's side of the pipe: reads requests, answers the quick ones at once, queues the others to a
//! worker thread, and writes events.
//!
//! Invariants: every request that has an answer gets exactly one final event, whatever the worker does
//! (also when it panics or answers twice); when the input ends, [`serve`] returns within a second.

use std::any::Any;
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::frame::{self, FrameError};
use super::protocol::{
    Call, CapturePlan, Envelope, Event, Failure, FailureKind, Request, RequestId, VERSION,
};
use crate::inspect::pieces::Pieces;
use crate::model_entry::{ModelEntry, ModelFacts};
use crate::token::{TokenId, Vocabulary};

/// How long a worker may take to end after everything was cancelled. Below the promised second.
const FAREWELL: Duration = Duration::from_millis(900);

/// Takes events from any thread.
pub type Emit = Arc<dyn Fn(Envelope) + Send + Sync>;

/// The part of an engine that computes, one request after the other. It is made, used and dropped on the
/// worker thread, so it need not be `Send`.
pub trait Body {
    /// Does a request that needs the model's computation; its final event has been emitted when this
    /// returns.
    fn handle(&mut self, id: RequestId, request: Request);
}

/// The part of an engine that answers at once, also in the middle of a reply.
pub trait Desk: Send + Sync {
    /// Asks the request of that id to end. Not called for requests that have had their final event.
    fn cancel(&self, target: RequestId);

    /// The tokens of a text with their bytes; a control token's are its name.
    ///
    /// # Errors
    /// [`FailureKind::NoModel`] before a model is loaded.
    fn tokenize(&self, text: &str, special: bool, begin: bool) -> Result<Vec<(TokenId, Vec<u8>)>, Failure>;

    /// The loaded model's vocabulary.
    ///
    /// # Errors
    /// [`FailureKind::NoModel`] before a model is loaded.
    fn vocabulary(&self) -> Result<Arc<Vocabulary>, Failure>;

    /// What a model's file says about itself.
    ///
    /// # Errors
    /// When the file is not there or no model.
    fn describe(&self, entry: &ModelEntry) -> Result<ModelFacts, Failure>;

    /// What is recorded and copied at each token from now on, also in the middle of a reply.
    ///
    /// # Errors
    /// For what this engine cannot capture.
    fn set_capture(&self, plan: CapturePlan) -> Result<(), Failure>;

    /// Takes a request that is answered between the tokens of the reply that is being written; gives back what has
    /// to wait for its turn.
    fn beside(&self, id: RequestId, request: Request) -> Option<Request> {
        let _ = id;
        Some(request)
    }

    /// How the tokenizer cuts and merges a text, as [`Request::Pieces`]. Called on a thread of its own.
    ///
    /// # Errors
    /// Where no model is loaded, or its file cannot be read.
    fn merges(&self, text: &str, special: bool, inside: bool) -> Result<Pieces, Failure>;

    /// Lets a reply write so many more tokens before it waits; `None` lets it run.
    fn pace(&self, target: RequestId, allow: Option<u32>);

    /// Abort, hang or end, for fault tests.
    ///
    /// # Errors
    /// In engines that have no faults on request.
    fn fault(&self, name: &str) -> Result<(), Failure> {
        Err(Failure {
            message: format!("The fault \"{name}\" exists only in test builds."),
            kind: FailureKind::Other,
        })
    }
}

/// What makes an engine: called once, on the worker thread.
pub type Made = (Box<dyn Body>, Arc<dyn Desk>);

/// Runs an engine over a pair of streams until the input ends or [`Request::Shutdown`] comes. A worker that
/// is stuck then is left behind: the caller ends the process.
///
/// # Errors
/// When the input holds something that is no request.
pub fn serve(
    mut input: impl Read,
    output: impl Write + Send + 'static,
    make: impl FnOnce(Emit) -> Made + Send + 'static,
) -> io::Result<()> {
    let emit = frame_writer(output);
    emit(Envelope { id: RequestId(0), event: Event::Ready { version: VERSION } });
    let mut trouble = None;
    let calls = std::iter::from_fn(|| {
        frame::read::<Call>(&mut input).unwrap_or_else(|error| {
            trouble = Some(error);
            None
        })
    });
    answer(calls, &emit, make);
    match trouble {
        None => Ok(()),
        Some(FrameError::Io(error)) => Err(error),
        Some(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// Events to frames. One that does not fit into a frame becomes a failure of its request; once the app is
/// gone events are dropped, and the end of the input follows.
fn frame_writer(output: impl Write + Send + 'static) -> Emit {
    let output = Mutex::new(output);
    Arc::new(move |envelope| {
        let bytes = frame::encode(&envelope).or_else(|error| {
            let event =
                failed(format!("The engine's answer could not be sent: {error}."), FailureKind::Other);
            frame::encode(&Envelope { id: envelope.id, event })
        });
        let Ok(bytes) = bytes else { return };
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = output.write_all(&bytes).and_then(|()| output.flush()) {
            tracing::debug!(%error, "an event could not be written");
        }
    })
}

/// Answers calls until they end, then cancels what is open and waits for the worker, at most [`FAREWELL`].
pub(super) fn answer(
    calls: impl Iterator<Item = Call>,
    emit: &Emit,
    make: impl FnOnce(Emit) -> Made + Send + 'static,
) {
    let ledger = Arc::new(Ledger::default());
    let emit = ledger.guard(Arc::clone(emit));
    let (queue, requests) = mpsc::channel();
    let (desk_out, desk_in) = mpsc::sync_channel(1);
    let (ended_out, ended) = mpsc::sync_channel::<()>(1);
    let worker = thread::Builder::new().name("worker".into()).spawn({
        let (ledger, emit) = (Arc::clone(&ledger), Arc::clone(&emit));
        move || {
            let _ended = ended_out; // dropped when the worker ends, however it does
            let (mut body, desk) = make(Arc::clone(&emit));
            if desk_out.send(desk).is_ok() {
                work(body.as_mut(), &requests, &ledger, &emit);
            }
        }
    });
    let desk = worker.ok().and_then(|_| desk_in.recv().ok());
    let Some(desk) = desk else {
        let event = failed("The engine could not be started.".into(), FailureKind::Other);
        return emit(Envelope { id: RequestId(0), event });
    };
    for Call { id, request } in calls {
        let event = match request {
            Request::Shutdown => break,
            Request::Cancel { target } => {
                if ledger.is_open(target) {
                    desk.cancel(target);
                }
                continue;
            }
            Request::Load { .. }
            | Request::Generate(_)
            | Request::Score(_)
            | Request::Reread(_)
            | Request::Look(_)
            | Request::LookAhead(_)
            | Request::Inspect(_)
            | Request::Direction(_)
            | Request::Depths(_)
            | Request::Embed(_)
            | Request::Attend(_)
            | Request::Calibrate => {
                ledger.open(id);
                let Some(request) = desk.beside(id, request) else { continue };
                if queue.send((id, request)).is_ok() {
                    continue;
                }
                failed("The engine's worker has ended.".into(), FailureKind::Other)
            }
            Request::Pieces { text, special, inside } => {
                ledger.open(id);
                // The rules are read when first asked for, which takes too long for this thread.
                let (desk, emit) = (Arc::clone(&desk), Arc::clone(&emit));
                thread::spawn(move || {
                    let pieces =
                        || desk.merges(&text, special, inside).map(|pieces| Event::Pieces(Box::new(pieces)));
                    let event = catch_unwind(AssertUnwindSafe(pieces)).map_or_else(
                        |panic| panicked(panic.as_ref()),
                        |pieces| pieces.unwrap_or_else(Event::Failed),
                    );
                    emit(Envelope { id, event });
                });
                continue;
            }
            quick => {
                ledger.open(id);
                catch_unwind(AssertUnwindSafe(|| answer_at_once(desk.as_ref(), quick)))
                    .unwrap_or_else(|panic| panicked(panic.as_ref()))
            }
        };
        emit(Envelope { id, event });
    }
    ledger.ending.store(true, Ordering::Release);
    ledger.all_open().into_iter().for_each(|id| desk.cancel(id));
    drop(queue);
    let _ = ended.recv_timeout(FAREWELL);
}

fn answer_at_once(desk: &dyn Desk, request: Request) -> Event {
    let answer = match request {
        Request::Tokenize { text, special, begin } => desk.tokenize(&text, special, begin).map(|tokens| {
            let tokens = tokens.into_iter().map(|(id, bytes)| (id, bytes.into())).collect();
            Event::Tokenized { tokens }
        }),
        Request::Vocabulary => {
            desk.vocabulary().map(|vocabulary| Event::Vocabulary(Box::new(Vocabulary::clone(&vocabulary))))
        }
        Request::Describe { entry } => desk.describe(&entry).map(|facts| Event::Described(Box::new(facts))),
        Request::SetCapture(plan) => desk.set_capture(plan).map(|()| Event::Acknowledged),
        Request::Pace { target, allow } => {
            desk.pace(target, allow);
            Ok(Event::Acknowledged)
        }
        Request::Fault(name) => desk.fault(&name).map(|()| Event::Acknowledged),
        other => Err(Failure {
            message: format!("The engine does not answer {other:?} at once."),
            kind: FailureKind::Other,
        }),
    };
    answer.unwrap_or_else(Event::Failed)
}

fn work(body: &mut dyn Body, requests: &Receiver<(RequestId, Request)>, ledger: &Ledger, emit: &Emit) {
    for (id, request) in requests {
        let outcome = if ledger.ending.load(Ordering::Acquire) {
            Some(failed("The engine is ending.".into(), FailureKind::Cancelled))
        } else {
            catch_unwind(AssertUnwindSafe(|| body.handle(id, request)))
                .err()
                .map(|panic| panicked(panic.as_ref()))
        };
        let unanswered = || failed("The engine gave no answer.".into(), FailureKind::Other);
        // The ledger lets this through only where the request has had no final event.
        emit(Envelope { id, event: outcome.unwrap_or_else(unanswered) });
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Event {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason given");
    failed(
        format!("The engine failed inside ({text}). Reload the model before going on."),
        FailureKind::Other,
    )
}

fn failed(message: String, kind: FailureKind) -> Event {
    Event::Failed(Failure { message, kind })
}

/// The requests that have had no final event.
#[derive(Default)]
struct Ledger {
    open: Mutex<BTreeSet<RequestId>>,
    /// The input has ended: what is still queued is not begun.
    ending: AtomicBool,
}

impl Ledger {
    /// Lets events of open requests through, and closes a request with its first final one.
    fn guard(self: &Arc<Self>, emit: Emit) -> Emit {
        let ledger = Arc::clone(self);
        Arc::new(move |envelope| {
            let wanted = envelope.id == RequestId(0)
                || if envelope.event.is_final() {
                    ledger.lock().remove(&envelope.id)
                } else {
                    ledger.is_open(envelope.id)
                };
            if wanted {
                emit(envelope);
            }
        })
    }

    fn open(&self, id: RequestId) {
        self.lock().insert(id);
    }

    fn is_open(&self, id: RequestId) -> bool {
        self.lock().contains(&id)
    }

    fn all_open(&self) -> Vec<RequestId> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<RequestId>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! The engine's side of the pipe: reads requests, answers at once what only sets something, queues questions about the
//! vocabulary to a helper thread and the others to a worker thread, and writes events.
//!
//! Invariants: every request that has an answer gets exactly one final event, whatever the worker does
//! (also when it panics or answers twice); nothing that takes time runs on the thread that reads cancels; when the
//! input ends, [`serve`] returns within a second.

use std::any::Any;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::frame::{self, FrameError};
use super::greeting;
use super::line::Line;
use super::open_requests::OpenRequests;
use super::questions::Questions;
use crate::engine::protocol::{
    Call, CapturePlan, Containment, Envelope, Event, Failure, FailureKind, Immediate, Inspection, Job,
    Prompt, Rendered, Request, RequestId, VERSION,
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
pub trait Jobs {
    /// Does a job; its final event has been emitted when this returns.
    fn job(&mut self, id: RequestId, job: Job);

    /// Does an inspection, alike.
    fn inspection(&mut self, id: RequestId, inspection: Inspection);

    /// No request comes any more; the process ends within a second of the input's end, whether this is through or not.
    fn end(&mut self) {}
}

/// The part of an engine that answers also in the middle of a reply. Settings are taken on the thread that reads
/// requests and must not take long; questions are answered on a helper thread, one after the other.
pub trait Answers: Send + Sync {
    /// The request of that id is cancelled, as [`OpenRequests`] tells: wakes whoever computes it or waits for it.
    fn cancel(&self, target: RequestId);

    /// The tokens of a text with their bytes; a control token's are its name.
    ///
    /// # Errors
    /// [`FailureKind::NoModel`] before a model is loaded.
    fn tokenize(&self, text: &str, special: bool, begin: bool) -> Result<Vec<(TokenId, Vec<u8>)>, Failure>;

    /// The prompt as a reply would read it, template and control tokens included.
    ///
    /// # Errors
    /// [`FailureKind::NoModel`] before a model is loaded, and what the template fails with.
    fn render(&self, prompt: &Prompt) -> Result<Rendered, Failure> {
        let _ = prompt;
        Err(Failure { message: "This engine does not show its prompts.".into(), kind: FailureKind::Other })
    }

    /// The loaded model's vocabulary.
    ///
    /// # Errors
    /// [`FailureKind::NoModel`] before a model is loaded.
    fn vocabulary(&self) -> Result<Arc<Vocabulary>, Failure>;

    /// What a model's file says about itself. Fails when the file is not there or no model.
    fn describe(&self, entry: &ModelEntry) -> Result<ModelFacts, Failure>;

    /// The ids of the models of the server that an entry names.
    ///
    /// # Errors
    /// In engines that ask no server, and what the server refuses.
    fn served(&self, entry: &ModelEntry) -> Result<(Vec<String>, u32), Failure> {
        let message = format!("This engine asks no server, so the models of {} are not known.", entry.name);
        Err(Failure { message, kind: FailureKind::Other })
    }

    /// What is recorded and copied at each token from now on, also in the middle of a reply. Fails for what this engine
    /// cannot capture.
    fn set_capture(&self, plan: CapturePlan) -> Result<(), Failure>;

    /// Takes an inspection that is done between the tokens of the reply that is being written; gives back what has
    /// to wait for its turn.
    fn interleave(&self, id: RequestId, inspection: Inspection) -> Option<Inspection> {
        let _ = id;
        Some(inspection)
    }

    /// How the tokenizer cuts and merges a text, as [`Immediate::Pieces`]. Fails where no model is loaded, or its file
    /// cannot be read.
    fn merges(&self, text: &str, special: bool, inside: bool) -> Result<Pieces, Failure>;

    /// Lets a reply write so many more tokens before it waits; `None` lets it run.
    fn pace(&self, target: RequestId, allow: Option<u32>);

    /// Abort, hang or end, for fault tests. Fails in engines that have no faults on request.
    fn fault(&self, name: &str) -> Result<(), Failure> {
        Err(Failure {
            message: format!("The fault \"{name}\" exists only in test builds."),
            kind: FailureKind::Other,
        })
    }
}

/// What makes an engine: called once, on the worker thread.
pub type Made = (Box<dyn Jobs>, Arc<dyn Answers>);

/// Runs an engine over a pair of streams until the input ends or [`Immediate::Shutdown`] comes. A worker that
/// is stuck then is left behind: the caller ends the process. The first event says what the process is held to. Fails when the input holds something that is not a
/// request.
pub fn serve(
    mut input: impl Read,
    output: impl Write + Send + 'static,
    containment: Containment,
    make: impl FnOnce(Emit, Arc<OpenRequests>) -> Made + Send + 'static,
) -> io::Result<()> {
    let mut output = output;
    // Where the app is gone already, the end of the input says so.
    let _ = output.write_all(greeting::MARK);
    let emit = frame_writer(output);
    emit(Envelope { id: RequestId(0), event: Event::Ready { version: VERSION, containment } });
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
/// gone events are dropped, and the end of the input follows. Writing waits for a slow line, so nothing piles up here.
fn frame_writer(output: impl Write + Send + 'static) -> Emit {
    let output = Mutex::new((output, Line::default()));
    let began = Instant::now();
    Arc::new(move |envelope| {
        let bytes = frame::encode(&envelope).or_else(|error| {
            let event =
                failed(format!("The engine's answer could not be sent: {error}."), FailureKind::Other);
            frame::encode(&Envelope { id: envelope.id, event })
        });
        let Ok(bytes) = bytes else { return };
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        let (output, line) = &mut *output;
        let mut write = |bytes: &[u8]| {
            if let Err(error) = output.write_all(bytes).and_then(|()| output.flush()) {
                tracing::debug!(%error, "an event could not be written");
            }
        };
        let before = began.elapsed();
        write(&bytes);
        let now = began.elapsed();
        let told = line.wrote(now, now.saturating_sub(before), bytes.len());
        if let Some(Ok(told)) = told.map(|event| frame::encode(&Envelope { id: RequestId(0), event })) {
            write(&told);
        }
    })
}

/// Answers calls until they end, then cancels what is open and waits for the threads, at most [`FAREWELL`].
pub(super) fn answer(
    calls: impl Iterator<Item = Call>,
    emit: &Emit,
    make: impl FnOnce(Emit, Arc<OpenRequests>) -> Made + Send + 'static,
) {
    let open = Arc::new(OpenRequests::default());
    let emit = guard(&open, Arc::clone(emit));
    let Some(threads) = Threads::start(&open, &emit, make) else {
        let event = failed("The engine could not be started.".into(), FailureKind::Other);
        return emit(Envelope { id: RequestId(0), event });
    };
    for Call { id, request } in calls {
        match request {
            Request::Immediate(Immediate::Shutdown) => break,
            Request::Immediate(Immediate::Cancel { target }) => {
                if open.cancel(target) {
                    threads.answers.cancel(target);
                }
            }
            request => {
                open.open(id);
                if let Some(event) = threads.take(id, request, &open) {
                    emit(Envelope { id, event });
                }
            }
        }
    }
    let all = open.end();
    for id in all {
        threads.answers.cancel(id);
    }
    threads.farewell();
}

/// Lets events of open requests through, and closes a request with its first final one.
fn guard(open: &Arc<OpenRequests>, emit: Emit) -> Emit {
    let open = Arc::clone(open);
    Arc::new(move |envelope| {
        let (id, is_final) = (envelope.id, envelope.event.is_final());
        if id == RequestId(0) || if is_final { open.close(id) } else { open.is_open(id) } {
            emit(envelope);
        }
    })
}

/// What the worker does.
enum Work {
    Job(Job),
    Inspection(Inspection),
}

/// Who answers: the worker, the helper for questions, and the answers that both share with the reading thread.
struct Threads {
    answers: Arc<dyn Answers>,
    work: Sender<(RequestId, Work)>,
    questions: Questions,
    /// Ends when the worker and the helper have ended, however they do.
    ended: Receiver<()>,
}

impl Threads {
    fn start(
        open: &Arc<OpenRequests>,
        emit: &Emit,
        make: impl FnOnce(Emit, Arc<OpenRequests>) -> Made + Send + 'static,
    ) -> Option<Self> {
        let (work_out, work_in) = mpsc::channel();
        let (desk_out, desk_in) = mpsc::sync_channel(1);
        let (ended_out, ended) = mpsc::sync_channel::<()>(1);
        let questions = {
            let (emit, ended) = (Arc::clone(emit), ended_out.clone());
            Questions::start(Arc::clone(open), move |id, event| {
                let _ended = &ended;
                emit(Envelope { id, event });
            })
        };
        let worker = thread::Builder::new().name("worker".into()).spawn({
            let (open, emit) = (Arc::clone(open), Arc::clone(emit));
            move || {
                let _ended = ended_out;
                let (mut jobs, answers) = make(Arc::clone(&emit), Arc::clone(&open));
                if desk_out.send(answers).is_ok() {
                    work(jobs.as_mut(), &work_in, &open, &emit);
                    jobs.end();
                }
            }
        });
        let answers = worker.ok().and_then(|_| desk_in.recv().ok())?;
        Some(Self { answers, work: work_out, questions: questions.ok()?, ended })
    }

    /// Hands a request to whoever answers it; gives the answer where that is known at once.
    fn take(&self, id: RequestId, request: Request, open: &OpenRequests) -> Option<Event> {
        match request {
            Request::Immediate(request) => self.immediate(id, request, open),
            Request::Job(job) => self.hand_over(id, Work::Job(job)),
            Request::Inspection(inspection) => {
                let waiting = self.answers.interleave(id, inspection)?;
                self.hand_over(id, Work::Inspection(waiting))
            }
        }
    }

    fn hand_over(&self, id: RequestId, work: Work) -> Option<Event> {
        let sent = self.work.send((id, work));
        sent.is_err().then(|| failed("The engine's worker has ended.".into(), FailureKind::Other))
    }

    /// Settings are made at once, questions go to the helper.
    fn immediate(&self, id: RequestId, request: Immediate, open: &OpenRequests) -> Option<Event> {
        let answers = self.answers.as_ref();
        let set =
            |set: &dyn Fn() -> Result<(), Failure>| Some(guarded(|| set().map(|()| Event::Acknowledged)));
        match request {
            Immediate::SetCapture(plan) => set(&|| answers.set_capture(plan.clone())),
            Immediate::Fault(name) => set(&|| answers.fault(&name)),
            Immediate::Pace { target, allow } => set(&|| {
                if open.is_open(target) {
                    answers.pace(target, allow);
                }
                Ok(())
            }),
            Immediate::Tokenize { text, special, begin } => {
                self.ask(id, move |answers| answers.tokenize(&text, special, begin).map(tokenized))
            }
            Immediate::Render(prompt) => self.ask(id, move |answers| {
                answers.render(&prompt).map(|rendered| Event::Rendered(Box::new(rendered)))
            }),
            Immediate::Pieces { text, special, inside } => self.ask(id, move |answers| {
                answers.merges(&text, special, inside).map(|pieces| Event::Pieces(Box::new(pieces)))
            }),
            Immediate::Describe { entry } => self.ask(id, move |answers| {
                answers.describe(&entry).map(|facts| Event::Described(Box::new(facts)))
            }),
            Immediate::Served { entry } => self.ask(id, move |answers| {
                answers.served(&entry).map(|(ids, left_out)| Event::Served { ids, left_out })
            }),
            Immediate::Vocabulary => self.ask(id, |answers| {
                answers.vocabulary().map(|all| Event::Vocabulary(Box::new(Vocabulary::clone(&all))))
            }),
            // The loop that reads requests has seen to these.
            Immediate::Cancel { .. } | Immediate::Shutdown => Some(Event::Acknowledged),
        }
    }

    fn ask(
        &self,
        id: RequestId,
        answer: impl FnOnce(&dyn Answers) -> Result<Event, Failure> + Send + 'static,
    ) -> Option<Event> {
        let answers = Arc::clone(&self.answers);
        self.questions.ask(id, move || guarded(|| answer(answers.as_ref())))
    }

    /// Nothing more comes: waits until both threads have ended, at most [`FAREWELL`].
    fn farewell(self) {
        let Self { work, questions, ended, .. } = self;
        drop((work, questions));
        let _ = ended.recv_timeout(FAREWELL);
    }
}

fn tokenized(tokens: Vec<(TokenId, Vec<u8>)>) -> Event {
    Event::Tokenized { tokens: tokens.into_iter().map(|(id, bytes)| (id, bytes.into())).collect() }
}

/// What an answer is, also where working it out panics.
fn guarded(answer: impl FnOnce() -> Result<Event, Failure>) -> Event {
    match catch_unwind(AssertUnwindSafe(answer)) {
        Ok(answer) => answer.unwrap_or_else(Event::Failed),
        Err(panic) => panicked(panic.as_ref()),
    }
}

fn work(jobs: &mut dyn Jobs, queue: &Receiver<(RequestId, Work)>, open: &OpenRequests, emit: &Emit) {
    for (id, work) in queue {
        let outcome = if open.is_ending() {
            Some(failed("The engine is ending.".into(), FailureKind::Cancelled))
        } else {
            catch_unwind(AssertUnwindSafe(|| match work {
                Work::Job(job) => jobs.job(id, job),
                Work::Inspection(inspection) => jobs.inspection(id, inspection),
            }))
            .err()
            .map(|panic| panicked(panic.as_ref()))
        };
        let unanswered = || failed("The engine gave no answer.".into(), FailureKind::Other);
        // The guard lets this through only where the request has had no final event.
        emit(Envelope { id, event: outcome.unwrap_or_else(unanswered) });
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Event {
    Event::Failed(Failure::of_panic(panic, "Reload the model before going on."))
}

fn failed(message: String, kind: FailureKind) -> Event {
    Event::Failed(Failure { message, kind })
}

#[cfg(test)]
mod tests;

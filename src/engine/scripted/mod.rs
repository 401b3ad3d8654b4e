//! A made-up model that answers by a script, for tests and for trying the app without a model file.
//!
//! Invariant: everything it says follows from the request, the seed and [`ScriptedOptions`] alone, and its
//! numbers agree with each other as a real softmax's do.

mod draw;
mod hash;
mod inside;
mod model;
mod passes;
mod reading;
mod replies;
mod vocabulary;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::model::{Control, Model};
use super::allowed::{Allowed, Permit};
use super::prompt::template::{self, Encoded, Template};
use super::protocol::{
    CapturePlan, Envelope, Event, Failure, FailureKind, Generate, Inspection, Job, Prompt, Rendered,
    RequestId,
};
use super::transport::open_requests::OpenRequests;
use super::transport::serve::{Answers, Emit, Jobs, Made};
use crate::chat::{StopReason, Timings, Usage};
use crate::inspect::pieces::{Pieces, Word};
use crate::model_entry::{LoadParams, ModelEntry, ModelFacts};
use crate::token::{TokenId, Vocabulary};

/// What every question is said to take, ms.
const MS: f32 = 1.0;
/// How many of the likeliest tokens an opened pass lists.
const LISTED: usize = 20;

/// How the made-up model behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptedOptions {
    /// Milliseconds per written token.
    pub token_ms: u64,
    /// Milliseconds that loading takes.
    pub load_ms: u64,
    /// Milliseconds per slice of the prompt.
    pub slice_ms: u64,
    /// Milliseconds until the vocabulary is given.
    pub vocabulary_ms: u64,
    /// Context length that the made-up file claims, tokens.
    pub context: u32,
    /// Seed where the request names none; with it, every run is the same.
    pub seed: u32,
}

impl Default for ScriptedOptions {
    fn default() -> Self {
        Self { token_ms: 6, load_ms: 40, slice_ms: 4, vocabulary_ms: 0, context: 8192, seed: 42 }
    }
}

/// The scripted engine, for [`super::transport::serve::serve`] and [`super::transport::thread::ThreadEngine`].
pub fn make(options: ScriptedOptions) -> impl FnOnce(Emit, Arc<OpenRequests>) -> Made + Send + 'static {
    move |emit, requests| {
        let out = Arc::clone(&emit);
        let shared = Arc::new(Shared {
            options,
            emit: out,
            requests,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let body = Worker { shared: Arc::clone(&shared), emit, model: None };
        (Box::new(body), shared)
    }
}

/// `abort` and `exit` end the process at once, as a crash would; `panic` is caught, `hang` is the worker's. Fails for a
/// name that is not a fault.
pub fn fault(name: &str) -> Result<(), Failure> {
    #[cfg(feature = "testing")]
    if let Some(tried) = super::containment::faults::attempt(name) {
        return tried.map_err(|error| other(format!("{name}: {error}.")));
    }
    match name {
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        "panic" => panic!("a fault was asked for"),
        _ => {
            Err(other(format!("There is no fault called \"{name}\"; there are abort, exit, hang and panic.")))
        }
    }
}

struct Shared {
    options: ScriptedOptions,
    /// For what is answered beside a reply.
    emit: Emit,
    requests: Arc<OpenRequests>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    allowed: Allowed,
    plan: CapturePlan,
    /// The worker stops for ever at its next step.
    hanging: bool,
    vocabulary: Option<Arc<vocabulary::Pieces>>,
    template: Option<Arc<Template>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cancelled(&self, id: RequestId) -> bool {
        self.requests.is_cancelled(id)
    }

    /// Waits until `until`, or until the request is cancelled, which it tells.
    fn wait(&self, id: RequestId, until: Instant) -> bool {
        let mut state = self.lock();
        loop {
            if state.hanging {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            let cancelled = self.requests.is_cancelled(id);
            if cancelled || left.is_zero() {
                return cancelled;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes one of the allowed tokens; says when it waits for them. Whether the request was cancelled.
    fn permit(&self, id: RequestId, emit: &dyn Fn(Event)) -> bool {
        let mut state = self.lock();
        loop {
            if self.requests.is_cancelled(id) {
                return true;
            }
            match state.allowed.take(id) {
                Permit::Go => return false,
                Permit::Wait { say: true } => {
                    drop(state);
                    emit(Event::Paused);
                    state = self.lock();
                }
                Permit::Wait { say: false } => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn pieces(&self) -> Result<Arc<vocabulary::Pieces>, Failure> {
        self.lock().vocabulary.clone().ok_or_else(no_model)
    }
}

impl Answers for Shared {
    fn cancel(&self, _: RequestId) {
        // Under the lock, so not between a look at what is cancelled and the wait.
        let _state = self.lock();
        self.changed.notify_all();
    }

    fn tokenize(&self, text: &str, special: bool, begin: bool) -> Result<Vec<(TokenId, Vec<u8>)>, Failure> {
        let pieces = self.pieces()?;
        let mut ids = if begin { vec![vocabulary::BEGIN] } else { Vec::new() };
        ids.extend(pieces.tokenize(text.as_bytes(), special));
        let bytes = |id| pieces.vocabulary.bytes(id).unwrap_or_default().to_vec();
        Ok(ids.into_iter().map(|id| (id, bytes(id))).collect())
    }

    fn render(&self, prompt: &Prompt) -> Result<Rendered, Failure> {
        let pieces = self.pieces()?;
        let template = self.lock().template.clone().ok_or_else(no_model)?;
        let Encoded { ids, text, notes, .. } = model::encode(&pieces, &template, prompt)?;
        Ok(Rendered { ids, text, notes })
    }

    fn vocabulary(&self) -> Result<Arc<Vocabulary>, Failure> {
        std::thread::sleep(Duration::from_millis(self.options.vocabulary_ms));
        Ok(Arc::clone(&self.pieces()?.vocabulary))
    }

    fn describe(&self, entry: &ModelEntry) -> Result<ModelFacts, Failure> {
        model::facts(entry, &self.options)
    }

    fn set_capture(&self, plan: CapturePlan) -> Result<(), Failure> {
        self.lock().plan = plan;
        Ok(())
    }

    fn merges(&self, text: &str, special: bool, _: bool) -> Result<Pieces, Failure> {
        let pieces = self.pieces()?;
        let mut start = 0;
        let words = pieces.tokenize(text.as_bytes(), special).into_iter().map(|id| {
            let end = start + pieces.vocabulary.bytes(id).map_or(0, |bytes| bytes.len() as u32);
            let span = (start, end);
            start = end;
            Word { span, start: vec![span], merges: Vec::new(), tokens: vec![(id, span)] }
        });
        let vocabulary = pieces.vocabulary.len() as u32;
        Ok(Pieces { vocabulary, words: words.collect(), ..Pieces::default() })
    }

    fn interleave(&self, id: RequestId, inspection: Inspection) -> Option<Inspection> {
        let Ok(pieces) = self.pieces() else { return Some(inspection) };
        let event = inside::inspected(&pieces, &inspection);
        (self.emit)(Envelope { id, event });
        None
    }

    fn pace(&self, target: RequestId, allow: Option<u32>) {
        self.lock().allowed.set(target, allow);
        self.changed.notify_all();
    }

    fn fault(&self, name: &str) -> Result<(), Failure> {
        if name == "hang" {
            self.lock().hanging = true;
            self.changed.notify_all();
            return Ok(());
        }
        fault(name)
    }
}

struct Worker {
    shared: Arc<Shared>,
    emit: Emit,
    model: Option<Model>,
}

impl Jobs for Worker {
    fn job(&mut self, id: RequestId, job: Job) {
        let answer = match job {
            Job::Load { entry, params } => self.load(id, &entry, &params),
            Job::Generate(generate) => self.generate(id, &generate),
            Job::Score(score) => self.with_model(id, &|model, control| model.score(&score, control)),
            Job::Rescore(rescore) => self.with_model(id, &|model, control| model.rescore(&rescore, control)),
            Job::Replay(replay) => self.with_model(id, &|model, control| model.replay(&replay, control)),
            Job::Beam(beam) => self.with_model(id, &|model, control| model.beam(&beam, control)),
            Job::Depths(depths) => self.with_model(id, &|model, control| model.depths(&depths, control)),
            Job::Direction(_) => Err(other("The scripted engine has no directions to steer by.".into())),
            Job::Attend(attend) => self.with_model(id, &|model, control| model.attend(&attend, control)),
            Job::Calibrate => self.with_model(id, &|model, _| Ok(model.calibrate())),
            Job::Contrast(request) => {
                self.with_model(id, &|model, control| model.contrast(&request, control))
            }
            Job::Chat(_) | Job::Forget(_) => Ok(Event::Acknowledged),
        };
        self.answered(id, answer);
    }

    fn inspection(&mut self, id: RequestId, inspection: Inspection) {
        let answer = self.shared.pieces().map(|pieces| inside::inspected(&pieces, &inspection));
        self.answered(id, answer);
    }
}

impl Worker {
    fn answered(&self, id: RequestId, answer: Result<Event, Failure>) {
        (self.emit)(Envelope { id, event: answer.unwrap_or_else(Event::Failed) });
        let requests = &self.shared.requests;
        self.shared.lock().allowed.retain(|other| other != id && requests.is_open(other));
    }

    fn load(&mut self, id: RequestId, entry: &ModelEntry, params: &LoadParams) -> Result<Event, Failure> {
        const PARTS: u16 = 20;
        self.model = None;
        self.shared.lock().vocabulary = None;
        let begun = Instant::now();
        let mut facts = model::facts(entry, &self.shared.options)?;
        let note = template::replace(entry, &mut facts);
        for part in 0..PARTS {
            (self.emit)(Envelope { id, event: Event::LoadProgress(f32::from(part) / f32::from(PARTS)) });
            let until = begun
                + Duration::from_millis(self.shared.options.load_ms) * u32::from(part + 1) / u32::from(PARTS);
            if self.shared.wait(id, until) {
                return Err(cancelled());
            }
        }
        (self.emit)(Envelope { id, event: Event::LoadProgress(1.0) });
        let mut model = Model::new(facts, params, begun.elapsed());
        model.loaded.template_notes.extend(note);
        let mut state = self.shared.lock();
        state.vocabulary = Some(Arc::clone(&model.pieces));
        state.template = Some(Arc::clone(&model.template));
        drop(state);
        let (loaded, hash) = (model.loaded.clone(), model.file_hash());
        self.model = Some(model);
        (self.emit)(Envelope { id: RequestId(0), event: Event::ModelHash(hash) });
        Ok(Event::Loaded(Box::new(loaded)))
    }

    fn generate(&mut self, id: RequestId, generate: &Generate) -> Result<Event, Failure> {
        if self.model.is_some() && self.shared.is_cancelled(id) {
            let (usage, timings) = (Usage::default(), Timings::default());
            return Ok(Event::Done { stop: StopReason::Cancelled, usage, timings });
        }
        // A word on the pace may have come while the request waited for its turn; it counts.
        self.shared.lock().allowed.begin(id, generate.allow);
        self.with_model(id, &|model, control| model.generate(generate, control))
    }

    fn with_model(&mut self, id: RequestId, work: &Work<'_>) -> Result<Event, Failure> {
        let model = self.model.as_mut().ok_or_else(no_model)?;
        let (shared, out) = (&self.shared, &self.emit);
        let emit = |event| out(Envelope { id, event });
        let control = Control {
            emit: &emit,
            pause: &|until| shared.wait(id, until),
            permit: &|| shared.permit(id, &emit),
            plan: &|| shared.lock().plan.clone(),
            options: &shared.options,
        };
        work(model, &control)
    }
}

/// What the worker does with the loaded model.
type Work<'a> = dyn Fn(&mut Model, &Control<'_>) -> Result<Event, Failure> + 'a;

fn no_model() -> Failure {
    Failure { message: "No model is loaded.".into(), kind: FailureKind::NoModel }
}

fn cancelled() -> Failure {
    Failure { message: "Cancelled before anything was made.".into(), kind: FailureKind::Cancelled }
}

fn no_token(id: TokenId) -> Failure {
    other(format!("This model has no token {}.", id.0))
}

fn other(message: String) -> Failure {
    Failure { message, kind: FailureKind::Other }
}

#[cfg(test)]
mod tests;

//! The worker: loads a model, owns its context, and answers one request after the other.
//!
//! Invariant: each request gets exactly one final event, last of all its events, also when it was cancelled
//! before it began.

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::engine::shared::Shared;

use super::beam;
use super::cancelled_early;
use super::generate::interleave::{Beside, Opener};
use super::generate::{self, Conditions};
use super::replay;
use super::rescore;
use super::score;
use super::{attention_rows, embeddings, inspect, layer_grid, steering};
use crate::chat::{Intervention, StopReason, Timings, Usage};
use crate::engine::analysis::Inside;
use crate::engine::model::changes;
use crate::engine::protocol::{Envelope, Event, Failure, FailureKind, Generate, Request, RequestId};
use crate::engine::session::Session;
use crate::engine::shared::no_model;
use crate::model_entry::{LoadParams, ModelEntry, ModelFacts, ModelFile};

/// From a model's entry to its local file and what the header says; fetches nothing.
pub type Resolve = Box<dyn Fn(&ModelEntry) -> Result<(PathBuf, ModelFacts), Failure> + Send + Sync>;

/// From a local file to what can be read of it beside llama.cpp.
pub type Open = Box<dyn Fn(&Path) -> Result<Arc<dyn ModelFile>, Failure> + Send + Sync>;

/// What the worker is given because the engine may not name the modules that have it.
pub struct Hooks {
    /// Finds a model's file.
    pub resolve: Resolve,
    /// Opens it beside llama.cpp, for single weights and the tokenizer's rules.
    pub open: Open,
}

/// One model, one context, one loop.
pub struct Worker {
    hooks: Arc<Hooks>,
    shared: Arc<Shared>,
    emit: Arc<dyn Fn(Envelope) + Send + Sync>,
    session: Option<Session>,
    load_ms: f32,
    opener: Opener,
}

impl Worker {
    /// A worker without a model.
    pub fn new(hooks: Arc<Hooks>, shared: Arc<Shared>, emit: Arc<dyn Fn(Envelope) + Send + Sync>) -> Self {
        Self { hooks, shared, emit, session: None, load_ms: 0.0, opener: Opener::default() }
    }

    /// Answers a request; returns when its final event is out.
    pub fn handle(&mut self, id: RequestId, request: Request) {
        let cancelled = self.shared.begin(id);
        if !matches!(request, Request::Inspect(_) | Request::Look(_) | Request::Embed(_))
            && let Some(session) = &mut self.session
        {
            session.forget_beside();
        }
        let event = match request {
            Request::Load { entry, params } => self.load(id, &entry, &params),
            Request::Generate(_) if cancelled => nothing_written(),
            Request::Generate(request) => self.generate(id, &request),
            Request::Score(_)
            | Request::LookAhead(_)
            | Request::Inspect(_)
            | Request::Embed(_)
            | Request::Depths(_)
            | Request::Direction(_)
            | Request::Reread(_)
            | Request::Attend(_)
            | Request::Calibrate
                if cancelled =>
            {
                Event::Failed(cancelled_early())
            }
            Request::Score(request) => self
                .changed(id, &request.interventions, |session, emit| score::score(session, &request, emit)),
            Request::Reread(request) => self.changed(id, &request.interventions, |session, emit| {
                rescore::reread(session, &request, emit)
            }),
            Request::LookAhead(request) => self.changed(id, &request.interventions, |session, emit| {
                beam::look_ahead(session, &request, emit)
            }),
            Request::Look(_) if cancelled => Event::Failed(replay::cancelled()),
            Request::Look(request) => self
                .changed(id, &request.interventions, |session, emit| replay::look(session, &request, emit)),
            Request::Inspect(request) => self
                .with_inside(id, |session, inside, emit| inspect::inspect(session, inside, &request, emit)),
            Request::Depths(request) => self
                .with_inside(id, |session, inside, emit| layer_grid::depths(session, inside, &request, emit)),
            Request::Direction(request) => {
                self.answer(id, |session, emit| steering::direct(session, &request, emit))
            }
            Request::Embed(request) => {
                self.with_inside(id, |session, inside, _| embeddings::embed(session, inside, &request))
            }
            Request::Attend(request) => {
                self.answer(id, |session, emit| attention_rows::attend(session, &request, emit))
            }
            Request::Calibrate => self.answer(id, |session, _| attention_rows::calibrate(session)),
            other => Event::Failed(Failure {
                message: format!("The worker was given a request that is not its own: {}.", name(&other)),
                kind: FailureKind::Other,
            }),
        };
        self.shared.end(id);
        (self.emit)(Envelope { id, event });
        for (id, request) in self.shared.control().close_beside() {
            self.handle(id, request);
        }
    }

    fn load(&mut self, id: RequestId, entry: &ModelEntry, params: &LoadParams) -> Event {
        // The old model goes first: two do not always fit.
        self.opener.clear();
        self.session = None;
        self.shared.set_model(None);
        let progress = {
            let emit = Arc::clone(&self.emit);
            let shown = std::cell::Cell::new(-1.0_f32);
            let shown = std::rc::Rc::new(shown);
            move |part: f32| {
                if part - shown.get() >= 0.01 || part >= 1.0 {
                    shown.set(part);
                    emit(Envelope { id, event: Event::LoadProgress(part) });
                }
            }
        };
        let loaded = (self.hooks.resolve)(entry).and_then(|(path, facts)| {
            let (session, loaded) = Session::load(&path, &facts, params, self.shared.stop_flag(), progress)?;
            match (self.hooks.open)(&path) {
                Ok(file) => drop(session.model().file.set(file)),
                Err(failure) => tracing::warn!(%failure, "the file cannot be read beside llama.cpp"),
            }
            Ok((session, loaded))
        });
        match loaded {
            Ok((session, loaded)) => {
                self.shared.set_model(Some(Arc::clone(session.model())));
                self.session = Some(session);
                self.load_ms = loaded.load_ms;
                self.opener.threads = loaded.threads;
                Event::Loaded(Box::new(loaded))
            }
            Err(failure) => Event::Failed(failure),
        }
    }

    fn generate(&mut self, id: RequestId, request: &Generate) -> Event {
        let Some(session) = &mut self.session else { return Event::Failed(no_model()) };
        if let Err(failure) = changes::check(session.model(), &request.interventions) {
            return Event::Failed(failure);
        }
        let (shared, emit) = (&*self.shared, &*self.emit);
        let conditions = Conditions { id, control: shared.control(), load_ms: self.load_ms };
        let interventions = &request.interventions;
        let mut beside = Beside { opener: &mut self.opener, shared, emit, interventions };
        session.probe().change(interventions);
        shared.control().open_beside();
        let tell = |event| emit(Envelope { id, event });
        let event = generate::generate(session, request, &conditions, &mut beside, &tell);
        session.probe().change(&[]);
        event
    }

    /// What `make` gives of a session whose network is changed while it runs.
    fn changed(
        &mut self,
        id: RequestId,
        interventions: &[Intervention],
        make: impl FnOnce(&mut Session, &dyn Fn(Event)) -> Event,
    ) -> Event {
        self.answer(id, |session, emit| {
            if let Err(failure) = changes::check(session.model(), interventions) {
                return Event::Failed(failure);
            }
            session.probe().change(interventions);
            let event = make(session, emit);
            session.probe().change(&[]);
            event
        })
    }

    /// What `make` gives of the session and of what opening passes needs, which is made when first asked for.
    fn with_inside(
        &mut self,
        id: RequestId,
        make: impl FnOnce(&mut Session, &mut Inside, &dyn Fn(Event)) -> Event,
    ) -> Event {
        let emit = Arc::clone(&self.emit);
        let Some(session) = &mut self.session else { return Event::Failed(no_model()) };
        let inside = match self.opener.inside(session) {
            Ok(inside) => inside,
            Err(failure) => return Event::Failed(failure),
        };
        make(session, inside, &|event| emit(Envelope { id, event }))
    }

    /// What `make` gives of the loaded model's session, or that there is none.
    fn answer(&mut self, id: RequestId, make: impl FnOnce(&mut Session, &dyn Fn(Event)) -> Event) -> Event {
        let emit = Arc::clone(&self.emit);
        match &mut self.session {
            Some(session) => make(session, &|event| emit(Envelope { id, event })),
            None => Event::Failed(no_model()),
        }
    }
}

fn nothing_written() -> Event {
    Event::Done { stop: StopReason::Cancelled, usage: Usage::default(), timings: Timings::default() }
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::Describe { .. } => "Describe",
        Request::Load { .. } => "Load",
        Request::Vocabulary => "Vocabulary",
        Request::Tokenize { .. } => "Tokenize",
        Request::Generate(_) => "Generate",
        Request::Score(_) => "Score",
        Request::Reread(_) => "Reread",
        Request::Look(_) => "Look",
        Request::LookAhead(_) => "LookAhead",
        Request::Inspect(_) => "Inspect",
        Request::Depths(_) => "Depths",
        Request::Direction(_) => "Direction",
        Request::Embed(_) => "Embed",
        Request::Attend(_) => "Attend",
        Request::Calibrate => "Calibrate",
        Request::Pieces { .. } => "Pieces",
        Request::SetCapture(_) => "SetCapture",
        Request::Pace { .. } => "Pace",
        Request::Cancel { .. } => "Cancel",
        Request::Shutdown => "Shutdown",
        Request::Fault(_) => "Fault",
    }
}

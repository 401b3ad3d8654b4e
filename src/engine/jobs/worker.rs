//! The worker: loads a model, owns its context, and answers one request after the other.
//!
//! Invariant: each request gets exactly one final event, last of all its events, also when it was cancelled
//! before it began.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use super::shared::Shared;

use super::beam;
use super::cancelled_early;
use super::contrast;
use super::generate::interleave::{Interleaved, ModelInternals};
use super::generate::{self, Conditions};
use super::replay;
use super::rescore;
use super::score;
use super::shared::no_model;
use super::{attention_rows, embeddings, inspect, layer_grid, steering};
use crate::chat::{Adapter, Intervention, StopReason, Timings, Usage};
use crate::engine::analysis::Inside;
use crate::engine::model::load;
use crate::engine::prompt::template;
use crate::engine::protocol::{
    Capabilities, Capability, Envelope, Event, Failure, FailureKind, Generate, Inspection, Job, Loaded,
    RequestId,
};
use crate::engine::session::recall::Keeping;
use crate::engine::session::{DraftModel, Session};
use crate::engine::snapshot::Folder;
use crate::model_entry::{LoadParams, ModelEntry, ModelFacts, ModelFile, Speculative};

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
    /// Where states of chats are kept, and how the hash of a model's files is found; `None` keeps none.
    pub states: Option<States>,
}

/// Finds the hash of a model's files; without leave to compute it only where it is known already.
pub type FindHash = dyn Fn(&[PathBuf], bool) -> Option<String> + Send + Sync;

/// See [`Hooks::states`].
pub struct States {
    /// The folder of all snapshots.
    pub folder: PathBuf,
    /// The hash of a model's files; without leave to compute it only where it is known already.
    pub hash: Arc<FindHash>,
}

/// What cannot be done where the model's file cannot be read beside llama.cpp.
const NEED_THE_FILE: [Capability; 3] =
    [Capability::OpensPasses, Capability::LayerGrid, Capability::Embeddings];

/// One model, one context, one loop.
pub struct Worker {
    hooks: Arc<Hooks>,
    shared: Arc<Shared>,
    emit: Arc<dyn Fn(Envelope) + Send + Sync>,
    session: Option<Session>,
    load_ms: f32,
    internals: ModelInternals,
}

impl Worker {
    /// A worker without a model.
    pub fn new(hooks: Arc<Hooks>, shared: Arc<Shared>, emit: Arc<dyn Fn(Envelope) + Send + Sync>) -> Self {
        Self { hooks, shared, emit, session: None, load_ms: 0.0, internals: ModelInternals::default() }
    }

    /// Does a job, then what waited beside it; returns when the final events are out.
    pub fn job(&mut self, id: RequestId, job: Job) {
        self.begin(
            id,
            |worker, cancelled| {
                if cancelled { worker.refuse(id, &job) } else { worker.answer(id, job) }
            },
        );
        for (id, inspection) in self.shared.control().close_interleaved() {
            self.inspection(id, inspection);
        }
    }

    /// No request comes any more: what was read of the chat is kept, if the disk is quick enough.
    pub fn end(&mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.session.iter_mut().for_each(Session::end)));
        if ended.is_err() {
            tracing::warn!("the state of the chat was not kept");
        }
    }

    /// Does an inspection while no reply is written; returns when its final event is out.
    pub fn inspection(&mut self, id: RequestId, inspection: Inspection) {
        self.begin(id, |worker, cancelled| match inspection {
            _ if cancelled => Event::Failed(cancelled_early()),
            Inspection::Inspect(request) => {
                worker.with_inside(id, &request.interventions, |session, inside, emit| {
                    inspect::inspect(session, inside, &request, emit)
                })
            }
            Inspection::Embed(request) => {
                worker.with_inside(id, &[], |session, inside, _| embeddings::embed(session, inside, &request))
            }
        });
    }

    /// Gives a request its final event, also where `answer` panics; it is told whether the request was cancelled before.
    fn begin(&mut self, id: RequestId, answer: impl FnOnce(&mut Self, bool) -> Event) {
        let cancelled = self.shared.begin(id);
        let answered = catch_unwind(AssertUnwindSafe(|| answer(self, cancelled)));
        let event = answered.unwrap_or_else(|panic| Event::Failed(self.recover(panic.as_ref())));
        self.shared.end(id);
        (self.emit)(Envelope { id, event });
    }

    /// Whatever was being done is not known: the cache is emptied, and what was learnt of the model is learnt again.
    fn recover(&mut self, panic: &(dyn Any + Send)) -> Failure {
        self.internals.clear();
        if let Some(session) = &mut self.session {
            session.reset();
        }
        Failure::of_panic(panic, "Ask again: what the model had read is forgotten.")
    }

    /// What a job gives that was cancelled before it began.
    fn refuse(&mut self, id: RequestId, job: &Job) -> Event {
        match job {
            Job::Load { entry, params } => self.load(id, entry, params),
            Job::Generate(_) => nothing_written(),
            Job::Replay(_) => Event::Failed(replay::cancelled()),
            _ => Event::Failed(cancelled_early()),
        }
    }

    /// The final event of a job.
    fn answer(&mut self, id: RequestId, job: Job) -> Event {
        match job {
            Job::Load { entry, params } => self.load(id, &entry, &params),
            Job::Generate(request) => self.generate(id, &request),
            Job::Score(request) => self
                .checked(id, &request.interventions, |session, emit| score::score(session, &request, emit)),
            Job::Rescore(request) => self.checked(id, &request.interventions, |session, emit| {
                rescore::rescore(session, &request, emit)
            }),
            Job::Beam(request) => {
                self.checked(id, &request.interventions, |session, emit| beam::beam(session, &request, emit))
            }
            Job::Replay(request) => self
                .checked(id, &request.interventions, |session, emit| replay::replay(session, &request, emit)),
            Job::Depths(request) => self.with_inside(id, &request.interventions, |session, inside, emit| {
                layer_grid::depths(session, inside, &request, emit)
            }),
            Job::Direction(request) => {
                self.with_session(id, |session, emit| steering::direct(session, &request, emit))
            }
            Job::Attend(request) => {
                self.with_session(id, |session, emit| attention_rows::attend(session, &request, emit))
            }
            Job::Calibrate => self.with_session(id, |session, _| attention_rows::calibrate(session)),
            Job::Contrast(request) => {
                let (hooks, stop) = (Arc::clone(&self.hooks), self.shared.stop_flag());
                let load = |entry: &ModelEntry, params: &LoadParams| {
                    let (mut other, loaded) = load_beside(&hooks, Arc::clone(&stop), entry, params)?;
                    let open = Arc::clone(&hooks);
                    other.open_adapters_with(Box::new(move |path| (open.open)(path)));
                    Ok((other, loaded.notes))
                };
                self.checked(id, &request.interventions, |session, emit| {
                    contrast::contrast(session, &load, &request, emit)
                })
            }
            Job::Chat(chat) => self.with_session(id, |session, _| {
                session.goes_on(chat);
                Event::Acknowledged
            }),
            Job::Forget(chat) => self.with_session(id, |session, _| {
                session.forget_chat(chat);
                Event::Acknowledged
            }),
        }
    }

    fn load(&mut self, id: RequestId, entry: &ModelEntry, params: &LoadParams) -> Event {
        // The old model goes first: two do not always fit.
        self.internals.clear();
        self.end();
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
        let loaded = load::use_workers(&entry.rpc).and_then(|()| (self.hooks.resolve)(entry)).and_then(
            |(path, mut facts)| {
                let template_note = template::replace(entry, &mut facts);
                #[cfg_attr(
                    not(feature = "testing"),
                    allow(unused_mut, reason = "only tests set it to panic")
                )]
                let (mut session, mut loaded) =
                    Session::load(&path, &facts, params, self.shared.stop_flag(), progress)?;
                #[cfg(feature = "testing")]
                session.panic_when(self.shared.panics());
                match (self.hooks.open)(&path) {
                    Ok(file) => drop(session.model().file.set(file)),
                    Err(failure) => {
                        tracing::warn!(%failure, "the file cannot be read beside llama.cpp");
                        let all = loaded.capabilities;
                        loaded.capabilities = NEED_THE_FILE.into_iter().fold(all, Capabilities::without);
                    }
                }
                loaded.template_notes.extend(template_note);
                self.keep_states(&mut session, params, &mut loaded);
                if let Some(draft) = &entry.draft_model
                    && let Err(why) = self.draft_with(&mut session, draft, params)
                {
                    loaded.notes.push(format!(
                        "Nothing is drafted by {}: {}.",
                        draft.name,
                        why.message.trim_end_matches('.')
                    ));
                }
                let hooks = Arc::clone(&self.hooks);
                session.open_adapters_with(Box::new(move |path| (hooks.open)(path)));
                let adapters: Vec<_> = entry.adapters.iter().cloned().map(Intervention::Adapter).collect();
                let (_, left_out) = usable(&mut session, &adapters);
                let (left_out, why): (Vec<_>, Vec<_>) = left_out.into_iter().unzip();
                loaded.notes.extend(why);
                loaded.left_out = left_out;
                Ok((session, loaded))
            },
        );
        match loaded {
            Ok((session, loaded)) => {
                self.shared.set_model(Some(Arc::clone(session.model())));
                self.session = Some(session);
                self.load_ms = loaded.load_ms;
                self.internals.threads = loaded.threads;
                Event::Loaded(Box::new(loaded))
            }
            Err(failure) => Event::Failed(failure),
        }
    }

    /// Has replies drafted by a smaller model, which is loaded beside this one.
    fn draft_with(
        &self,
        session: &mut Session,
        draft: &ModelEntry,
        params: &LoadParams,
    ) -> Result<(), Failure> {
        if params.reproducible {
            let message = "a reply is not reproducible that is decoded several tokens at once".to_owned();
            return Err(Failure { message, kind: FailureKind::Other });
        }
        let params = LoadParams {
            context: session.limit() as u32,
            gpu_layers: draft.load.gpu_layers,
            rope: draft.load.rope.unwrap_or_default(),
            speculative: Speculative::Off,
            snapshot_mib: 0,
            ..params.clone()
        };
        let (other, _) = load_beside(&self.hooks, self.shared.stop_flag(), draft, &params)?;
        session.draft_with(DraftModel::new(other, session)?);
        Ok(())
    }

    /// What chats were read is kept, where that is wanted; exact arithmetic is for measuring.
    fn keep_states(&self, session: &mut Session, params: &LoadParams, loaded: &mut Loaded) {
        let most = u64::from(params.snapshot_mib) << 20;
        let Some(states) = self.hooks.states.as_ref().filter(|_| most > 0 && !params.exact) else { return };
        let (find, files) = (Arc::clone(&states.hash), loaded.facts.files.clone());
        let hash = Arc::new(move |patient| find(&files, patient));
        let folder = Folder::new(states.folder.clone(), most);
        session.keep_states(Keeping::new(folder, hash, params, loaded));
        loaded.keeps_states = session.keeps_states();
    }

    fn generate(&mut self, id: RequestId, request: &Generate) -> Event {
        let Some(session) = &mut self.session else { return Event::Failed(no_model()) };
        let (interventions, left_out) = usable(session, &request.interventions);
        if let Err(failure) = session.check(&interventions) {
            return Event::Failed(failure);
        }
        let request = &Generate { interventions, ..request.clone() };
        let (shared, emit) = (&*self.shared, &*self.emit);
        let conditions = Conditions { id, control: shared.control(), load_ms: self.load_ms, left_out };
        let mut interleaved = Interleaved { internals: &mut self.internals, shared, emit };
        session.forget_branch();
        let mut session = session.under(&request.interventions);
        shared.control().open_interleaved();
        let tell = |event| emit(Envelope { id, event });
        generate::generate(&mut session, request, &conditions, &mut interleaved, &tell)
    }

    /// What `make` gives of the session, if this model has what is to be changed in it.
    fn checked(
        &mut self,
        id: RequestId,
        interventions: &[Intervention],
        make: impl FnOnce(&mut Session, &dyn Fn(Event)) -> Event,
    ) -> Event {
        self.with_session(id, |session, emit| match session.check(interventions) {
            Ok(()) => make(session, emit),
            Err(failure) => Event::Failed(failure),
        })
    }

    /// What `make` gives of the session and of what opening passes needs, which is made when first asked for.
    fn with_inside(
        &mut self,
        id: RequestId,
        changes: &[Intervention],
        make: impl FnOnce(&mut Session, &mut Inside, &dyn Fn(Event)) -> Event,
    ) -> Event {
        let emit = Arc::clone(&self.emit);
        let Some(session) = &mut self.session else { return Event::Failed(no_model()) };
        let inside = session.check(changes).and_then(|()| self.internals.inside(session, changes));
        let inside = match inside {
            Ok(inside) => inside,
            Err(failure) => return Event::Failed(failure),
        };
        make(session, inside, &|event| emit(Envelope { id, event }))
    }

    /// What `make` gives of the loaded model's session, or that there is none.
    fn with_session(
        &mut self,
        id: RequestId,
        make: impl FnOnce(&mut Session, &dyn Fn(Event)) -> Event,
    ) -> Event {
        let emit = Arc::clone(&self.emit);
        match &mut self.session {
            Some(session) => make(session, &|event| emit(Envelope { id, event })),
            None => Event::Failed(no_model()),
        }
    }
}

/// A second model beside the loaded one, which stays what chats are held with.
fn load_beside(
    hooks: &Hooks,
    stop: Arc<AtomicBool>,
    entry: &ModelEntry,
    params: &LoadParams,
) -> Result<(Session, Loaded), Failure> {
    let (path, facts) = (hooks.resolve)(entry)?;
    Session::load(&path, &facts, params, stop, |_| {})
}

/// The changes without adapters that cannot be used, and those with why: an adapter that is gone costs no reply.
fn usable(session: &mut Session, changes: &[Intervention]) -> (Vec<Intervention>, Vec<(Adapter, String)>) {
    let (mut kept, mut left_out) = (Vec::with_capacity(changes.len()), Vec::new());
    for change in changes {
        match change.adapter().map(|adapter| (adapter, session.check(std::slice::from_ref(change)))) {
            Some((adapter, Err(failure))) => left_out.push((adapter.clone(), failure.message)),
            _ => kept.push(change.clone()),
        }
    }
    (kept, left_out)
}

fn nothing_written() -> Event {
    Event::Done { stop: StopReason::Cancelled, usage: Usage::default(), timings: Timings::default() }
}

//! A model loaded by the program's own worker, and how tests ask it: in the test's thread, or as an engine beside it.
//!
//! Invariant: no event is lost: what is not of the request that is heard fails the test where nothing else can be
//! running, and waits where it can. A test that holds two of the shared models took the smaller one first.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use glassbox::chat::Intervention;
use glassbox::engine::Engine;
use glassbox::engine::jobs::llama;
use glassbox::engine::jobs::shared::Shared;
use glassbox::engine::jobs::worker::{Hooks, States, Worker};
use glassbox::engine::protocol::{
    Embed, Envelope, Event, Failure, FailureKind, Inspect, Inspected, Inspection, Job, Loaded, Request,
    RequestId, Score, Want,
};
use glassbox::engine::transport::child::ChildEngine;
use glassbox::engine::transport::open_requests::OpenRequests;
use glassbox::engine::transport::thread::ThreadEngine;
use glassbox::inspect::trace::EmbeddingFacts;
use glassbox::model_entry::{CacheType, FlashAttention, LoadParams, ModelEntry, ModelFile, Source};
use glassbox::models::gguf::{Header, SharedHeader};
use glassbox::token::TokenId;
use serde_json::Value;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// Names the default model's file.
pub const SMOLLM: &str = "GLASSBOX_TEST_MODEL";
/// Names the file of the model with sliding windows.
pub const GEMMA: &str = "GLASSBOX_TEST_GEMMA";

/// The file that a variable of the environment names.
pub fn file(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} must name a model file; run the tests with `make test`"));
    PathBuf::from(path)
}

/// A request that loads it, whatever the entry says. To try a GPU, `GLASSBOX_TEST_GPU_LAYERS` sets how many layers go
/// there, those of exact arithmetic too, and `GLASSBOX_TEST_FLASH=off` switches flash attention off where it is
/// automatic.
pub fn load(mut params: LoadParams) -> Request {
    if let Ok(layers) = std::env::var("GLASSBOX_TEST_GPU_LAYERS") {
        params.gpu_layers = Some(layers.parse().unwrap());
    }
    if std::env::var("GLASSBOX_TEST_FLASH").as_deref() == Ok("off")
        && params.flash_attention == FlashAttention::Auto
    {
        params.flash_attention = FlashAttention::Off;
    }
    Request::Job(Job::Load { entry: Box::new(ModelEntry::new("test", Source::Path(PathBuf::new()))), params })
}

/// The one fixture of a process behind its lock, made when first asked for.
pub fn locked<T>(cell: &'static OnceLock<Mutex<T>>, make: impl FnOnce() -> T) -> MutexGuard<'static, T> {
    cell.get_or_init(|| Mutex::new(make())).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held while a model is loaded: llama.cpp's log of loads is one for the process.
pub fn loading() -> MutexGuard<'static, ()> {
    static LOADING: Mutex<()> = Mutex::new(());
    LOADING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As a chat has it, for 2,048 tokens.
pub fn plain() -> LoadParams {
    LoadParams { context: 2048, ..LoadParams::default() }
}

/// Without the rounding of activations to 8 bits and of keys and values to 16, which a batch's size tips one way or
/// the other: what two ways of reading differ by is then the code's.
pub fn dequantized() -> LoadParams {
    let (cache_type_k, cache_type_v) = (CacheType::F32, CacheType::F32);
    LoadParams { exact: true, cache_type_k, cache_type_v, ..plain() }
}

/// The default model as a chat has it.
pub fn smollm() -> MutexGuard<'static, Model> {
    static MODEL: OnceLock<Mutex<Model>> = OnceLock::new();
    locked(&MODEL, || Model::load(SMOLLM, plain()))
}

/// The model with sliding windows as a chat has it.
pub fn gemma() -> MutexGuard<'static, Model> {
    static MODEL: OnceLock<Mutex<Model>> = OnceLock::new();
    locked(&MODEL, || Model::load(GEMMA, plain()))
}

/// The default model, [`dequantized`].
pub fn exact_smollm() -> MutexGuard<'static, Model> {
    static MODEL: OnceLock<Mutex<Model>> = OnceLock::new();
    locked(&MODEL, || Model::load(SMOLLM, dequantized()))
}

/// The model with sliding windows, [`dequantized`].
pub fn exact_gemma() -> MutexGuard<'static, Model> {
    static MODEL: OnceLock<Mutex<Model>> = OnceLock::new();
    locked(&MODEL, || Model::load(GEMMA, dequantized()))
}

fn hooks(path: PathBuf, folder: Option<&Path>) -> Hooks {
    let facts = Header::read(&path).unwrap().facts().clone();
    let resolve = Box::new(move |_: &ModelEntry| Ok((path.clone(), facts.clone())));
    let open = |path: &Path| -> Result<Arc<dyn ModelFile>, _> { Ok(Arc::new(open_file(path)?)) };
    let states = folder.map(|folder| States {
        folder: folder.to_owned(),
        hash: Arc::new(|files: &[PathBuf], _: bool| Some(format!("hash of {files:?}"))),
    });
    Hooks { resolve, open: Box::new(open), states }
}

fn open_file(path: &Path) -> Result<SharedHeader, Failure> {
    SharedHeader::open(path)
        .map_err(|error| Failure { message: error.to_string(), kind: FailureKind::BadModel })
}

/// Has a worker answer what is not answered by whoever reads requests.
pub fn work(worker: &mut Worker, id: RequestId, request: Request) {
    match request {
        Request::Job(job) => worker.job(id, job),
        Request::Inspection(inspection) => worker.inspection(id, inspection),
        Request::Immediate(request) => panic!("the worker does not answer {request:?}"),
    }
}

/// A model with its worker, which works in the test's thread.
pub struct Model {
    pub shared: Arc<Shared>,
    /// What it said of itself.
    pub loaded: Loaded,
    /// Number of the next request.
    pub next: u64,
    /// What is changed in passes that are opened without changes of their own.
    pub interventions: Vec<Intervention>,
    requests: Arc<OpenRequests>,
    worker: Worker,
    events: Receiver<Envelope>,
    heard: Arc<Mutex<Option<Sender<Event>>>>,
}

impl Model {
    /// Loads the file that a variable names.
    pub fn load(variable: &str, params: LoadParams) -> Self {
        Self::open(&file(variable), params)
    }

    pub fn open(path: &Path, params: LoadParams) -> Self {
        Self::keeping(path, params, None)
    }

    /// Loads a file, and itself once more for the smaller model that drafts.
    pub fn drafted_by_itself(variable: &str, params: LoadParams) -> Self {
        let Request::Job(Job::Load { mut entry, params }) = load(params) else { unreachable!() };
        entry.draft_model = Some(entry.clone());
        Self::asked(&file(variable), Job::Load { entry, params }, None)
    }

    /// Loads a file and keeps what chats were read in a folder.
    pub fn keeping(path: &Path, params: LoadParams, folder: Option<&Path>) -> Self {
        let Request::Job(load) = load(params) else { unreachable!() };
        Self::asked(path, load, folder)
    }

    fn asked(path: &Path, load: Job, folder: Option<&Path>) -> Self {
        let (sender, events) = channel();
        let heard: Arc<Mutex<Option<Sender<Event>>>> = Arc::default();
        let listening = Arc::clone(&heard);
        let emit = move |envelope: Envelope| {
            if let Some(listener) = &*listening.lock().unwrap() {
                let _ = listener.send(envelope.event.clone());
            }
            let _ = sender.send(envelope);
        };
        let requests = Arc::new(OpenRequests::default());
        let shared = Shared::over(Arc::clone(&requests));
        let mut worker =
            Worker::new(Arc::new(hooks(path.to_owned(), folder)), Arc::clone(&shared), Arc::new(emit));
        let exact = matches!(&load, Job::Load { params, .. } if params.exact);
        let alone = loading();
        work(&mut worker, RequestId(1), Request::Job(load));
        drop(alone);
        let mut said: Vec<Event> = events.try_iter().map(|envelope| envelope.event).collect();
        let loaded = match said.pop() {
            Some(Event::Loaded(loaded)) => loaded,
            other => panic!("{}: {other:?} after {said:?}", path.display()),
        };
        assert_eq!(loaded.dequantized, exact, "{:?}", loaded.notes);
        let parts = said.iter().map(|event| match event {
            Event::LoadProgress(part) => *part,
            other => panic!("{other:?}"),
        });
        let parts: Vec<f32> = parts.collect();
        assert!(parts.is_sorted() && parts.last() == Some(&1.0), "{parts:?}");
        let interventions = Vec::new();
        Self { shared, loaded: *loaded, next: 2, interventions, requests, worker, events, heard }
    }

    /// Cancels the next request as if it waited after another.
    pub fn cancel_next(&self) {
        let id = RequestId(self.next);
        self.requests.open(id);
        self.shared.cancel(id);
    }

    /// All events of a request; the last is the only final one.
    pub fn handle(&mut self, request: Request) -> Vec<Event> {
        let id = RequestId(self.next);
        self.next += 1;
        work(&mut self.worker, id, request);
        let own = |envelope: Envelope| {
            assert_eq!(envelope.id, id, "{:?}", envelope.event);
            envelope.event
        };
        let events: Vec<Event> = self.events.try_iter().map(own).collect();
        assert_eq!(events.iter().position(Event::is_final), Some(events.len() - 1), "{events:?}");
        events
    }

    /// Ends the worker as the engine's end does; it can be asked on.
    pub fn end(&mut self) {
        self.worker.end();
    }

    /// The final event of a request.
    pub fn answer(&mut self, request: Request) -> Event {
        self.handle(request).pop().unwrap()
    }

    /// A text's tokens, what spells a control token taken as text, with what the model wants in front.
    pub fn ids(&self, text: &str) -> Vec<TokenId> {
        self.shared.tokenize(text, false, true).unwrap().into_iter().map(|(id, _)| id).collect()
    }

    pub fn try_inspect(&mut self, mut request: Inspect) -> Result<Inspected, Failure> {
        if request.interventions.is_empty() {
            request.interventions.clone_from(&self.interventions);
        }
        match self.answer(Request::Inspection(Inspection::Inspect(Box::new(request)))) {
            Event::Inspected(seen) => Ok(*seen),
            Event::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    /// The pass at the last of these, opened.
    pub fn inspect(&mut self, ids: &[TokenId], want: Want) -> Inspected {
        self.try_inspect(Inspect { ids: ids.to_vec(), want, ..Inspect::default() }).unwrap()
    }

    pub fn embed(&mut self, embed: Embed) -> EmbeddingFacts {
        match self.answer(Request::Inspection(Inspection::Embed(Box::new(embed)))) {
            Event::Embedded(facts) => *facts,
            other => panic!("{other:?}"),
        }
    }

    /// Log-probability of each token but the first.
    pub fn logprobs(&mut self, ids: &[TokenId]) -> Vec<f32> {
        let score = Score { ids: ids.to_vec(), from: 1, top_logprobs: 0, interventions: Vec::new() };
        let scores =
            self.handle(Request::Job(Job::Score(Box::new(score)))).into_iter().filter_map(
                |event| match event {
                    Event::Scores { steps, .. } => Some(steps),
                    _ => None,
                },
            );
        scores.flatten().map(|step| step.logprob).collect()
    }

    /// Cancels at the first event that `when` picks, from another thread as an engine's reader does; gives the answer
    /// and how long it took to come.
    pub fn cancelled<T>(
        &mut self,
        when: fn(&Event) -> bool,
        ask: impl FnOnce(&mut Self) -> T,
    ) -> (T, Duration) {
        let (sender, announced) = channel();
        *self.heard.lock().unwrap() = Some(sender);
        let (shared, target) = (Arc::clone(&self.shared), RequestId(self.next));
        let reader = std::thread::spawn(move || {
            announced.iter().find(when).unwrap();
            let at = Instant::now();
            shared.cancel(target);
            announced.iter().find(Event::is_final).unwrap();
            at.elapsed()
        });
        let answer = ask(self);
        let took = reader.join().unwrap();
        *self.heard.lock().unwrap() = None;
        (answer, took)
    }
}

/// A model, and what stands beside it: the figures it is held against, or the folder that its file is in.
pub struct With<M, T> {
    pub model: M,
    pub with: T,
}

impl<M: Deref<Target = Model>, T> Deref for With<M, T> {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

impl<M: DerefMut<Target = Model>, T> DerefMut for With<M, T> {
    fn deref_mut(&mut self) -> &mut Model {
        &mut self.model
    }
}

/// A shared model and figures from outside.
pub type WithFigures = With<MutexGuard<'static, Model>, Value>;

impl WithFigures {
    /// With the figures in a file.
    pub fn figures(model: MutexGuard<'static, Model>, figures: &Path) -> Self {
        let with = serde_json::from_str(&std::fs::read_to_string(figures).unwrap()).unwrap();
        Self { model, with }
    }

    pub fn prompts(&self) -> Vec<Value> {
        self.with["prompts"].as_array().unwrap().clone()
    }
}

/// The project's own copy of the outside reference.
pub fn references() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/reference")
}

/// A model with an engine of its own thread or process, so that requests come in between.
pub struct Beside {
    engine: Box<dyn Engine>,
    events: Receiver<Envelope>,
    /// What was said and not yet asked for.
    waiting: VecDeque<Envelope>,
    next: u64,
}

impl Beside {
    /// Loads the file that a variable names.
    pub fn load(variable: &str, params: LoadParams) -> Self {
        let (sender, events) = channel();
        let sink = Box::new(move |envelope| drop(sender.send(envelope)));
        let engine = ThreadEngine::start(sink, llama::make(hooks(file(variable), None))).unwrap();
        let mut model = Self { engine: Box::new(engine), events, waiting: VecDeque::new(), next: 1 };
        let alone = loading();
        let loaded = model.answer(load(params));
        drop(alone);
        assert!(matches!(loaded, Event::Loaded(_)), "{loaded:?}");
        model
    }

    /// Loads a file in a process of its own, whose folders lie under `home`.
    #[cfg(unix)]
    pub fn child(home: &Path, path: &Path, params: LoadParams) -> Self {
        let entry = ModelEntry::new("test", Source::Path(path.to_owned()));
        let (model, loaded) = Self::child_of(home, entry, params, &[]);
        assert!(matches!(loaded, Event::Loaded(_)), "{loaded:?}");
        model
    }

    /// The same for an entry, with arguments of the engine's; and what came of loading it.
    #[cfg(unix)]
    pub fn child_of(home: &Path, entry: ModelEntry, params: LoadParams, more: &[&str]) -> (Self, Event) {
        let (sender, events) = channel();
        let sink = Box::new(move |envelope| drop(sender.send(envelope)));
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_glassbox"));
        command.args(["engine", "--engine", "llama"]).args(more).env("GLASSBOX_HOME", home);
        let engine = Box::new(ChildEngine::spawn(command, sink, None).unwrap());
        let mut model = Self { engine, events, waiting: VecDeque::new(), next: 1 };
        let loaded = model.answer(Request::Job(Job::Load { entry: Box::new(entry), params }));
        (model, loaded)
    }

    /// The engine's process.
    pub fn pid(&self) -> u32 {
        self.engine.pid().expect("it has a process of its own")
    }

    pub fn send(&mut self, request: Request) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        self.engine.send(id, request).unwrap();
        id
    }

    /// The next of what is said that `wanted` picks; the rest waits.
    pub fn hear(&mut self, wanted: impl Fn(&Envelope) -> bool) -> Envelope {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at).unwrap();
        }
        loop {
            let envelope = self.events.recv_timeout(PATIENCE).expect("an answer comes");
            if wanted(&envelope) {
                return envelope;
            }
            self.waiting.push_back(envelope);
        }
    }

    /// The events of a request up to the first that `until` picks.
    pub fn until(&mut self, id: RequestId, until: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            events.push(self.hear(|envelope| envelope.id == id).event);
            if events.last().is_some_and(&until) {
                return events;
            }
        }
    }

    /// The final event of a request that was sent.
    pub fn final_of(&mut self, id: RequestId) -> Event {
        self.until(id, Event::is_final).pop().unwrap()
    }

    /// All events of a request.
    pub fn ask(&mut self, request: Request) -> Vec<Event> {
        let id = self.send(request);
        self.until(id, Event::is_final)
    }

    /// The final event of a request.
    pub fn answer(&mut self, request: Request) -> Event {
        self.ask(request).pop().unwrap()
    }
}

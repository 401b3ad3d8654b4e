//! Models that a server runs: the engine's side of a chat with llama.cpp's server, vLLM, SGLang, Ollama and all that
//! speak `OpenAI`'s API.
//!
//! What a server sends is read by this child process, which is contained as one is that loads a model, but for the
//! network; the app speaks the same protocol as ever. `http` and `sse` are the way there, `detect` finds out what a server
//! is, a file for each kind (`openai`, `llama`, `vllm`, `sglang`) knows its requests and answers, and `generate` and
//! `score` make events of what came.
//!
//! Invariant: what a server does not say is not known (NaN, 0, a stand-in), never guessed.

mod begun;
mod detect;
mod generate;
mod held;
mod http;
mod key;
mod llama;
mod mend;
mod model;
mod names;
mod openai;
mod prompt;
mod refusal;
mod room;
mod score;
mod settings;
mod sglang;
mod spelling;
mod sse;
mod steps;
mod told;
mod vllm;
mod watched;
mod words;

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use http::{Connect, Limits};

use self::http::{Http, other};
use self::model::Model;
use super::allowed::{Allowed, Permit};
use super::protocol::{
    CapturePlan, Envelope, Event, Failure, FailureKind, Inspection, Job, Prompt, Rendered, RequestId,
};
use super::transport::open_requests::OpenRequests;
use super::transport::serve::{Answers, Emit, Jobs, Made};
use crate::inspect::pieces::Pieces;
use crate::model_entry::{ModelEntry, ModelFacts, Server};
use crate::token::{TokenId, Vocabulary};

/// The engine that asks a server, for `transport::serve`.
pub fn make(
    connect: Connect,
    limits: Limits,
) -> impl FnOnce(Emit, Arc<OpenRequests>) -> Made + Send + 'static {
    move |emit, requests| {
        // One thread keeps the connections going and reads what comes over them, so that a token wakes one thread and not
        // two: beside a server on this machine each of those halts one of the model's. The worker waits for it. While the
        // app takes no events, that thread stands still, and questions with it, whose answers would go the same way.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let shared = Arc::new(Shared {
            runtime: runtime.expect("the system gives one thread more"),
            connect,
            limits,
            emit,
            requests,
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        });
        (Box::new(Worker { shared: Arc::clone(&shared) }), shared)
    }
}

/// What the worker, the questions and a running reply have in common.
struct Shared {
    runtime: Runtime,
    connect: Connect,
    limits: Limits,
    emit: Emit,
    requests: Arc<OpenRequests>,
    state: Mutex<State>,
    /// Something was cancelled, or the pace has changed.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    allowed: Allowed,
    /// What ends a request that is being worked on.
    running: BTreeMap<RequestId, CancellationToken>,
    plan: CapturePlan,
    model: Option<Arc<Model>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, id: RequestId, event: Event) {
        (self.emit)(Envelope { id, event });
    }

    fn model(&self) -> Result<Arc<Model>, Failure> {
        self.lock().model.clone().ok_or_else(no_model)
    }

    /// The way to the server of an entry.
    fn http<'e>(&self, entry: &'e ModelEntry) -> Result<(&'e Server, Http), Failure> {
        let server = entry.server().ok_or_else(|| no_server(entry))?;
        Ok((server, Http::new(server, &self.connect, self.limits)?))
    }

    /// Tokens whose odds are wanted at every step.
    fn watched(&self) -> Vec<TokenId> {
        self.lock().plan.watch.clone()
    }

    /// Tells words that were met since the last time.
    fn words(&self, id: RequestId, model: &Model) {
        let mut words = model.words();
        let entries = words.take_new();
        if !entries.is_empty() {
            let vocabulary = words.vocabulary().hash.clone();
            drop(words);
            self.emit(id, Event::Words { vocabulary, entries });
        }
    }

    /// Takes one of the allowed tokens; says when it waits for them. Whether the request was cancelled.
    async fn permit(&self, id: RequestId, cancel: &CancellationToken) -> bool {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let permit = self.lock().allowed.take(id);
            match permit {
                Permit::Go => return cancel.is_cancelled(),
                Permit::Wait { say: true } => self.emit(id, Event::Paused),
                Permit::Wait { say: false } => {}
            }
            tokio::select! {
                () = cancel.cancelled() => return true,
                _ = changed.changed() => {}
            }
        }
    }
}

impl Answers for Shared {
    fn cancel(&self, target: RequestId) {
        if let Some(running) = self.lock().running.get(&target) {
            running.cancel();
        }
    }

    fn tokenize(&self, text: &str, special: bool, begin: bool) -> Result<Vec<(TokenId, Vec<u8>)>, Failure> {
        let model = self.model()?;
        let tokens =
            self.runtime.block_on(model.tokenize(text, special, begin, &CancellationToken::new()))?;
        self.words(RequestId(0), &model);
        Ok(tokens)
    }

    fn render(&self, prompt: &Prompt) -> Result<Rendered, Failure> {
        let model = self.model()?;
        let prepared = self.runtime.block_on(prompt::prepare(&model, prompt, &CancellationToken::new()))?;
        self.words(RequestId(0), &model);
        if prepared.ids.is_empty() {
            return Err(other(format!("{} does not show the prompt that a chat becomes.", model.http.host)));
        }
        Ok(Rendered { ids: prepared.given().to_vec(), text: prepared.text, notes: Vec::new() })
    }

    fn vocabulary(&self) -> Result<Arc<Vocabulary>, Failure> {
        let model = self.model()?;
        let met = model.words().vocabulary().clone();
        Ok(Arc::new(met))
    }

    fn describe(&self, entry: &ModelEntry) -> Result<ModelFacts, Failure> {
        let server = entry.server().ok_or_else(|| no_server(entry))?;
        Ok(ModelFacts { name: server.title().to_owned(), ..ModelFacts::default() })
    }

    fn served(&self, entry: &ModelEntry) -> Result<(Vec<String>, u32), Failure> {
        let (_, http) = self.http(entry)?;
        self.runtime.block_on(detect::models(&http, &CancellationToken::new()))
    }

    fn set_capture(&self, plan: CapturePlan) -> Result<(), Failure> {
        self.lock().plan = plan;
        Ok(())
    }

    fn merges(&self, _: &str, _: bool, _: bool) -> Result<Pieces, Failure> {
        Err(other("A server does not tell how its tokenizer cut a text."))
    }

    fn pace(&self, target: RequestId, allow: Option<u32>) {
        self.lock().allowed.set(target, allow);
        self.changed.send_replace(());
    }

    #[cfg(feature = "testing")]
    fn fault(&self, name: &str) -> Result<(), Failure> {
        super::scripted::fault(name)
    }
}

struct Worker {
    shared: Arc<Shared>,
}

impl Jobs for Worker {
    fn job(&mut self, id: RequestId, job: Job) {
        let cancel = CancellationToken::new();
        self.shared.lock().running.insert(id, cancel.clone());
        // A cancel that came before counts too.
        if self.shared.requests.is_cancelled(id) {
            cancel.cancel();
        }
        let shared = Arc::clone(&self.shared);
        let work = shared.runtime.spawn({
            let shared = Arc::clone(&shared);
            async move { shared.answer(id, job, &cancel).await }
        });
        match shared.runtime.block_on(work) {
            Ok(answer) => shared.emit(id, answer.unwrap_or_else(Event::Failed)),
            Err(ended) => resume_unwind(ended.into_panic()),
        }
        let mut state = shared.lock();
        state.running.remove(&id);
        state.allowed.retain(|other| other != id && shared.requests.is_open(other));
    }

    fn inspection(&mut self, id: RequestId, _: Inspection) {
        self.shared.emit(id, Event::Failed(other("What happens inside a model, a server does not show.")));
    }
}

/// The jobs.
impl Shared {
    async fn answer(&self, id: RequestId, job: Job, cancel: &CancellationToken) -> Result<Event, Failure> {
        match job {
            Job::Load { entry, .. } => self.load(id, &entry, cancel).await,
            Job::Generate(generate) => {
                let model = self.model()?;
                // A word on the pace may have come while the request waited for its turn; it counts.
                self.lock().allowed.begin(id, generate.allow);
                generate::generate(self, id, &model, &generate, cancel).await
            }
            Job::Score(score) => score::score(self, id, self.model()?.as_ref(), &score, cancel).await,
            Job::Rescore(rescore) => score::rescore(self, id, self.model()?.as_ref(), &rescore, cancel).await,
            Job::Chat(_) | Job::Forget(_) => Ok(Event::Acknowledged),
            Job::Replay(_)
            | Job::Beam(_)
            | Job::Depths(_)
            | Job::Direction(_)
            | Job::Attend(_)
            | Job::Contrast(_)
            | Job::Calibrate => Err(other("What happens inside a model, a server does not show.")),
        }
    }

    async fn load(
        &self,
        id: RequestId,
        entry: &ModelEntry,
        cancel: &CancellationToken,
    ) -> Result<Event, Failure> {
        let begun = Instant::now();
        self.lock().model = None;
        self.emit(id, Event::LoadProgress(0.0));
        let (server, http) = self.http(entry)?;
        let (found, note) = detect::detect(&http, server.api, server.id.as_deref(), cancel).await?;
        let mut model = Model::new(http, found, &entry.name, begun, cancel).await;
        model.loaded.notes.extend(note);
        tracing::info!("{}: {}", model.loaded.device, model.loaded.facts.name);
        let loaded = model.loaded.clone();
        self.lock().model = Some(Arc::new(model));
        Ok(Event::Loaded(Box::new(loaded)))
    }
}

fn no_model() -> Failure {
    Failure { message: "No model is loaded.".into(), kind: FailureKind::NoModel }
}

fn no_server(entry: &ModelEntry) -> Failure {
    Failure { message: format!("{} names no server.", entry.name), kind: FailureKind::BadModel }
}

#[cfg(test)]
mod tests;

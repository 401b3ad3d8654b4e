//! The real worker behind the interface that `transport::serve` drives.
//!
//! Invariant: nothing is decided here; every call is passed on.

use std::sync::Arc;

use super::shared::Shared;
use super::worker::{Hooks, Worker};
use crate::engine::prompt::encode;
use crate::engine::protocol::{CapturePlan, Failure, Inspection, Job, Prompt, Rendered, RequestId};
use crate::engine::transport::open_requests::OpenRequests;
use crate::engine::transport::serve::{Answers, Emit, Jobs, Made};
use crate::inspect::pieces::Pieces;
use crate::model_entry::{ModelEntry, ModelFacts};
use crate::token::{TokenId, Vocabulary};

/// The engine that runs GGUF files through llama.cpp, for `transport::serve`.
pub fn make(hooks: Hooks) -> impl FnOnce(Emit, Arc<OpenRequests>) -> Made + Send + 'static {
    move |emit, requests| {
        let hooks = Arc::new(hooks);
        let shared = Shared::over(requests);
        let answers = Arc::new(Immediately { hooks: Arc::clone(&hooks), shared: Arc::clone(&shared) });
        (Box::new(Worker::new(hooks, shared, emit)), answers)
    }
}

impl Jobs for Worker {
    fn job(&mut self, id: RequestId, job: Job) {
        Worker::job(self, id, job);
    }

    fn inspection(&mut self, id: RequestId, inspection: Inspection) {
        Worker::inspection(self, id, inspection);
    }

    fn end(&mut self) {
        Worker::end(self);
    }
}

struct Immediately {
    hooks: Arc<Hooks>,
    shared: Arc<Shared>,
}

impl Answers for Immediately {
    fn cancel(&self, target: RequestId) {
        self.shared.cancel(target);
    }

    fn tokenize(&self, text: &str, special: bool, begin: bool) -> Result<Vec<(TokenId, Vec<u8>)>, Failure> {
        self.shared.tokenize(text, special, begin)
    }

    fn render(&self, prompt: &Prompt) -> Result<Rendered, Failure> {
        let encode::Encoded { ids, text, notes, .. } =
            encode::prompt(&*self.shared.model()?, prompt, usize::MAX)?;
        Ok(Rendered { ids, text, notes })
    }

    fn vocabulary(&self) -> Result<Arc<Vocabulary>, Failure> {
        self.shared.vocabulary()
    }

    fn describe(&self, entry: &ModelEntry) -> Result<ModelFacts, Failure> {
        (self.hooks.resolve)(entry).map(|(_, facts)| facts)
    }

    fn set_capture(&self, plan: CapturePlan) -> Result<(), Failure> {
        self.shared.control().set_capture(plan);
        Ok(())
    }

    fn interleave(&self, id: RequestId, inspection: Inspection) -> Option<Inspection> {
        self.shared.control().put_interleaved(id, inspection)
    }

    fn merges(&self, text: &str, special: bool, inside: bool) -> Result<Pieces, Failure> {
        self.shared.pieces(text, special, inside)
    }

    fn pace(&self, target: RequestId, allow: Option<u32>) {
        self.shared.control().set_pace(target, allow);
    }

    #[cfg(feature = "testing")]
    fn fault(&self, name: &str) -> Result<(), Failure> {
        if name == "panic in a job" {
            self.shared.panics().store(true, std::sync::atomic::Ordering::Relaxed);
            return Ok(());
        }
        crate::engine::scripted::fault(name)
    }
}

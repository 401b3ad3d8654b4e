//! The real worker behind the interface that [`super::serve`] drives.
//!
//! Invariant: nothing is decided here; every call is passed on.

use std::sync::Arc;

use super::jobs::worker::{Hooks, Worker};
use super::protocol::{CapturePlan, Failure, Request, RequestId};
use super::serve::{Body, Desk, Emit, Made};
use super::shared::Shared;
use super::transport::open_requests::OpenRequests;
use crate::inspect::pieces::Pieces;
use crate::model_entry::{ModelEntry, ModelFacts};
use crate::token::{TokenId, Vocabulary};

/// The engine that runs GGUF files through llama.cpp, for [`super::serve::serve`].
pub fn make(hooks: Hooks) -> impl FnOnce(Emit, Arc<OpenRequests>) -> Made + Send + 'static {
    move |emit, requests| {
        let hooks = Arc::new(hooks);
        let shared = Shared::over(requests);
        let desk = Arc::new(Counter { hooks: Arc::clone(&hooks), shared: Arc::clone(&shared) });
        (Box::new(Worker::new(hooks, shared, emit)), desk)
    }
}

impl Body for Worker {
    fn handle(&mut self, id: RequestId, request: Request) {
        Worker::handle(self, id, request);
    }
}

struct Counter {
    hooks: Arc<Hooks>,
    shared: Arc<Shared>,
}

impl Desk for Counter {
    fn cancel(&self, target: RequestId) {
        self.shared.cancel(target);
    }

    fn tokenize(&self, text: &str, special: bool, begin: bool) -> Result<Vec<(TokenId, Vec<u8>)>, Failure> {
        self.shared.tokenize(text, special, begin)
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

    fn beside(&self, id: RequestId, request: Request) -> Option<Request> {
        self.shared.control().put_beside(id, request)
    }

    fn merges(&self, text: &str, special: bool, inside: bool) -> Result<Pieces, Failure> {
        super::merges::merges(&*self.shared.model()?, text, special, inside)
    }

    fn pace(&self, target: RequestId, allow: Option<u32>) {
        self.shared.control().set_pace(target, allow);
    }

    #[cfg(feature = "testing")]
    fn fault(&self, name: &str) -> Result<(), Failure> {
        super::scripted::fault(name)
    }
}

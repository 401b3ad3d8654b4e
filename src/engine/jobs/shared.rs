//! What the reader thread may use while the worker is busy: the loaded model's vocabulary, which is
//! read-only, and the flags that stop requests.
//!
//! Invariant: a cancel is never lost, whether it comes before its request starts, while it runs or, without
//! effect, after it ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::control::Control;
use super::pieces;
use crate::engine::model::loaded::LoadedModel;
use crate::engine::protocol::{Failure, FailureKind, RequestId};
use crate::engine::transport::open_requests::OpenRequests;
use crate::inspect::pieces::Pieces;
use crate::token::{TokenId, Vocabulary};

/// Shared between the worker and the reader thread.
#[derive(Default)]
pub struct Shared {
    model: Mutex<Option<Arc<LoadedModel>>>,
    requests: Arc<OpenRequests>,
    running: Mutex<Running>,
    stop: Arc<AtomicBool>,
    control: Control,
    /// Whether a job panics at its next batch, for fault tests.
    #[cfg(feature = "testing")]
    panics: Arc<AtomicBool>,
}

#[derive(Default)]
struct Running {
    request: Option<RequestId>,
    /// The reply beside which the running request is answered.
    reply: Option<RequestId>,
}

impl Shared {
    /// Nothing loaded, nothing cancelled.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Nothing loaded; what is open and cancelled is told by `requests`.
    #[must_use]
    pub fn over(requests: Arc<OpenRequests>) -> Arc<Self> {
        Arc::new(Self { requests, ..Self::default() })
    }

    /// Stops a request: the running one within a node of its graph, a later one as it starts.
    pub fn cancel(&self, target: RequestId) {
        self.requests.cancel(target);
        let running = locked(&self.running);
        if [running.request, running.reply].contains(&Some(target)) {
            self.stop.store(true, Ordering::Relaxed);
            self.control.wake();
        }
    }

    /// What is recorded, and how far replies may go.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The text's tokens with their bytes; a control token's bytes are its name. With `begin`, the
    /// begin-of-sequence token comes first where the model wants it.
    ///
    /// # Errors
    /// When no model is loaded.
    pub fn tokenize(
        &self,
        text: &str,
        special: bool,
        begin: bool,
    ) -> Result<Vec<(TokenId, Vec<u8>)>, Failure> {
        let model = self.model()?;
        let mut ids = model.tokenize(text, special);
        if begin {
            model.begin(&mut ids);
        }
        Ok(ids.into_iter().map(|id| (id, model.vocabulary.bytes(id).unwrap_or_default().to_vec())).collect())
    }

    /// How the loaded model's tokenizer cuts and merges a text.
    ///
    /// # Errors
    /// When no model is loaded, or the text is too long to be looked at.
    pub fn pieces(&self, text: &str, special: bool, inside: bool) -> Result<Pieces, Failure> {
        pieces::pieces(&*self.model()?, text, special, inside)
    }

    /// The loaded model's vocabulary.
    ///
    /// # Errors
    /// When no model is loaded.
    pub fn vocabulary(&self) -> Result<Arc<Vocabulary>, Failure> {
        Ok(Arc::clone(&self.model()?.vocabulary))
    }

    /// Set while the running request is to stop.
    pub(in crate::engine) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub(in crate::engine) fn set_model(&self, model: Option<Arc<LoadedModel>>) {
        *locked(&self.model) = model;
    }

    /// The request runs from now on; whether it was cancelled before.
    pub(in crate::engine) fn begin(&self, id: RequestId) -> bool {
        self.requests.open(id);
        let mut running = locked(&self.running);
        running.request = Some(id);
        let cancelled = self.requests.is_cancelled(id);
        self.stop.store(cancelled, Ordering::Relaxed);
        cancelled
    }

    /// The running request has ended.
    pub(in crate::engine) fn end(&self, id: RequestId) {
        let mut running = locked(&self.running);
        running.request = None;
        self.control.end(id, |other| self.requests.is_open(other));
        self.stop.store(false, Ordering::Relaxed);
    }

    /// A request is answered beside the reply that runs; whether either was cancelled before.
    pub(in crate::engine) fn begin_interleaved(&self, id: RequestId) -> bool {
        self.requests.open(id);
        let mut running = locked(&self.running);
        running.reply = running.request.replace(id);
        let is_cancelled = |id| self.requests.is_cancelled(id);
        let cancelled = is_cancelled(id) || running.reply.is_some_and(is_cancelled);
        self.stop.store(cancelled, Ordering::Relaxed);
        cancelled
    }

    /// That request has ended, and the reply goes on unless it was cancelled meanwhile.
    pub(in crate::engine) fn end_interleaved(&self) {
        let mut running = locked(&self.running);
        running.request = running.reply.take();
        let cancelled = running.request.is_some_and(|reply| self.requests.is_cancelled(reply));
        self.stop.store(cancelled, Ordering::Relaxed);
    }

    /// Set while the next batch is to panic.
    #[cfg(feature = "testing")]
    pub(in crate::engine) fn panics(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.panics)
    }

    /// The loaded model.
    pub(in crate::engine) fn model(&self) -> Result<Arc<LoadedModel>, Failure> {
        locked(&self.model).clone().ok_or_else(no_model)
    }
}

/// What is answered while no model is loaded.
pub(in crate::engine) fn no_model() -> Failure {
    Failure { message: "No model is loaded. Choose one first.".to_string(), kind: FailureKind::NoModel }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With requests that wait for their turn.
    fn waiting<const N: usize>(ids: [u64; N]) -> Arc<Shared> {
        let shared = Shared::new();
        for id in ids {
            shared.requests.open(RequestId(id));
        }
        shared
    }

    #[test]
    fn a_cancel_before_the_request_starts_counts() {
        let shared = waiting([7]);
        shared.cancel(RequestId(7));
        assert!(shared.begin(RequestId(7)));
        assert!(shared.stop_flag().load(Ordering::Relaxed));
    }

    #[test]
    fn a_cancel_of_a_waiting_request_leaves_the_running_one_alone() {
        let shared = waiting([1, 2]);
        assert!(!shared.begin(RequestId(1)));
        shared.cancel(RequestId(2));
        assert!(!shared.stop_flag().load(Ordering::Relaxed));
        shared.end(RequestId(1));
        assert!(shared.begin(RequestId(2)));
    }

    #[test]
    fn a_cancel_of_an_ended_request_is_forgotten() {
        let shared = Shared::new();
        shared.begin(RequestId(3));
        shared.cancel(RequestId(3));
        shared.end(RequestId(3));
        shared.requests.close(RequestId(3));
        assert!(!shared.requests.is_cancelled(RequestId(3)));
        shared.cancel(RequestId(3));
        assert!(!shared.requests.is_cancelled(RequestId(3)) && !shared.begin(RequestId(4)));
    }

    #[test]
    fn a_cancel_of_a_waiting_request_outlives_later_ones_that_run_first() {
        let shared = waiting([1, 2, 3]);
        shared.begin(RequestId(1));
        shared.cancel(RequestId(2));
        shared.end(RequestId(1));
        // 3 waited beside the reply and is answered when that ends, before 2.
        shared.begin(RequestId(3));
        shared.end(RequestId(3));
        assert!(shared.begin(RequestId(2)), "2 was cancelled while it waited");
    }

    #[test]
    fn what_is_answered_beside_a_reply_is_cancelled_alone_and_ends_with_it() {
        let shared = Shared::new();
        let stopped = || shared.stop_flag().load(Ordering::Relaxed);
        shared.begin(RequestId(1));
        assert!(!shared.begin_interleaved(RequestId(2)));
        shared.cancel(RequestId(2));
        assert!(stopped());
        shared.end_interleaved();
        assert!(!stopped(), "the reply goes on");
        assert!(!shared.begin_interleaved(RequestId(3)));
        shared.cancel(RequestId(1));
        assert!(stopped(), "a reply that is stopped does not wait");
        shared.end_interleaved();
        assert!(stopped() && shared.requests.is_cancelled(RequestId(1)));
    }

    #[test]
    fn without_a_model_there_are_no_tokens() {
        assert_eq!(Shared::new().tokenize("a", false, true), Err(no_model()));
    }
}

//! Which requests are open, and which of those are cancelled.
//!
//! Invariant: a request is here from the moment it is taken until its final event, and no other; requests end in any
//! order, so what is known of one never depends on another's id. What is not open cannot be cancelled.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::protocol::RequestId;

/// Shared between the thread that reads requests and those that answer them.
#[derive(Debug, Default)]
pub struct OpenRequests {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Each open request, and whether it was cancelled.
    open: BTreeMap<RequestId, bool>,
    /// The input has ended: what still waits is not begun.
    ending: bool,
}

impl OpenRequests {
    /// A request was taken. One that is open already stays as it is.
    pub fn open(&self, id: RequestId) {
        self.locked().open.entry(id).or_default();
    }

    /// A request has had its final event; whether it was open.
    pub fn close(&self, id: RequestId) -> bool {
        self.locked().open.remove(&id).is_some()
    }

    /// Marks an open request as cancelled; whether it is open.
    pub fn cancel(&self, id: RequestId) -> bool {
        let mut state = self.locked();
        let request = state.open.get_mut(&id);
        request.map(|cancelled| *cancelled = true).is_some()
    }

    /// Whether a request has not had its final event.
    pub(crate) fn is_open(&self, id: RequestId) -> bool {
        self.locked().open.contains_key(&id)
    }

    /// Whether an open request was cancelled.
    pub(crate) fn is_cancelled(&self, id: RequestId) -> bool {
        self.locked().open.get(&id) == Some(&true)
    }

    /// Nothing more comes: everything that is open is cancelled. Gives what that is.
    pub fn end(&self) -> Vec<RequestId> {
        let mut state = self.locked();
        state.ending = true;
        state.open.values_mut().for_each(|cancelled| *cancelled = true);
        state.open.keys().copied().collect()
    }

    /// Whether nothing more comes.
    pub(crate) fn is_ending(&self) -> bool {
        self.locked().ending
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_outlives_later_requests_that_end_first() {
        let requests = OpenRequests::default();
        for id in 1..=3 {
            requests.open(RequestId(id));
        }
        assert!(requests.cancel(RequestId(2)));
        assert!(requests.close(RequestId(1)) && requests.close(RequestId(3)));
        assert!(requests.is_cancelled(RequestId(2)), "2 still waits");
        assert!(requests.close(RequestId(2)) && !requests.is_cancelled(RequestId(2)));
    }

    #[test]
    fn what_is_not_open_is_not_cancelled() {
        let requests = OpenRequests::default();
        assert!(!requests.cancel(RequestId(7)));
        requests.open(RequestId(7));
        assert!(!requests.is_cancelled(RequestId(7)));
        assert!(requests.close(RequestId(7)) && !requests.close(RequestId(7)));
        assert!(!requests.cancel(RequestId(7)));
    }

    #[test]
    fn at_the_end_all_that_waits_is_cancelled() {
        let requests = OpenRequests::default();
        requests.open(RequestId(4));
        requests.open(RequestId(9));
        assert_eq!(requests.end(), [RequestId(4), RequestId(9)]);
        assert!(requests.is_ending() && requests.is_cancelled(RequestId(9)));
    }
}

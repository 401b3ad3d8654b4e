//! What changes a running reply from outside: what is recorded, and how far it may go.
//!
//! Invariant: while nothing changes, a token costs one relaxed load of [`Control::changes`]. A wait ends with
//! a new pace or with the stop flag, whichever comes first, and neither is missed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::protocol::{CapturePlan, Inspection, RequestId};

/// How many more tokens a reply may write before it waits; `None` lets it run.
pub type Allowance = Option<u32>;

/// Set by the reader thread, read by the token loop.
#[derive(Default)]
pub struct Control {
    state: Mutex<State>,
    changes: AtomicU64,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    capture: CapturePlan,
    /// Paces that their replies have not taken up yet.
    paces: BTreeMap<RequestId, Allowance>,
    /// What is to be answered between the tokens of the reply that is being written; `None` while there is none.
    interleaved: Option<VecDeque<(RequestId, Inspection)>>,
}

/// What ended a wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Woken {
    /// A new pace.
    Pace(Allowance),
    /// Something is to be answered beside the reply.
    Interleaved,
    /// The reply was cancelled.
    Stopped,
}

impl Control {
    /// Replaces the plan for every token from now on.
    pub fn set_capture(&self, plan: CapturePlan) {
        self.locked().capture = plan;
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// The plan.
    pub fn capture(&self) -> CapturePlan {
        self.locked().capture.clone()
    }

    /// Sets how far a reply may go; the newest counts.
    pub fn set_pace(&self, target: RequestId, allow: Allowance) {
        self.locked().paces.insert(target, allow);
        self.changes.fetch_add(1, Ordering::Release);
        self.changed.notify_all();
    }

    /// A number that is another one after every change.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The pace that came for this reply since it was last asked for.
    pub fn take_pace(&self, id: RequestId) -> Option<Allowance> {
        self.locked().paces.remove(&id)
    }

    /// Waits for a pace of this reply, or for something to answer beside it. Who sets `stop` calls [`Control::wake`].
    pub fn wait_for_pace(&self, id: RequestId, stop: &AtomicBool) -> Woken {
        let mut state = self.locked();
        loop {
            if stop.load(Ordering::Relaxed) {
                return Woken::Stopped;
            }
            if let Some(pace) = state.paces.remove(&id) {
                return Woken::Pace(pace);
            }
            if state.interleaved.as_ref().is_some_and(|waiting| !waiting.is_empty()) {
                return Woken::Interleaved;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A reply is being written: requests may wait for the end of its tokens.
    pub fn open_interleaved(&self) {
        self.locked().interleaved.get_or_insert_default();
    }

    /// The reply has ended; gives what still waits.
    pub fn close_interleaved(&self) -> VecDeque<(RequestId, Inspection)> {
        self.locked().interleaved.take().unwrap_or_default()
    }

    /// Puts an inspection beside the reply that is being written; gives it back where there is none.
    pub fn put_interleaved(&self, id: RequestId, inspection: Inspection) -> Option<Inspection> {
        let mut state = self.locked();
        let Some(waiting) = state.interleaved.as_mut() else { return Some(inspection) };
        waiting.push_back((id, inspection));
        self.changes.fetch_add(1, Ordering::Release);
        self.changed.notify_all();
        None
    }

    /// The next request to answer beside the reply.
    pub fn next_interleaved(&self) -> Option<(RequestId, Inspection)> {
        self.locked().interleaved.as_mut()?.pop_front()
    }

    /// Makes whoever waits look at its stop flag again.
    pub fn wake(&self) {
        // Under the lock, so not between a look at the flag and the wait.
        let _state = self.locked();
        self.changed.notify_all();
    }

    /// A request has ended: what is left are the paces of others that are open.
    pub fn end(&self, id: RequestId, is_open: impl Fn(RequestId) -> bool) {
        self.locked().paces.retain(|other, _| *other != id && is_open(*other));
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_pace_that_came_before_the_wait_is_not_missed() {
        let control = Control::default();
        control.set_pace(RequestId(3), Some(2));
        control.set_pace(RequestId(3), None);
        assert_eq!(control.wait_for_pace(RequestId(3), &AtomicBool::new(false)), Woken::Pace(None));
        assert_eq!(control.take_pace(RequestId(3)), None);
    }

    #[test]
    fn a_waiting_reply_wakes_for_its_own_pace_and_for_the_stop_flag() {
        let (control, stop) = (Arc::new(Control::default()), Arc::new(AtomicBool::new(false)));
        let waiting = {
            let (control, stop) = (Arc::clone(&control), Arc::clone(&stop));
            std::thread::spawn(move || {
                let first = control.wait_for_pace(RequestId(1), &stop);
                (first, control.wait_for_pace(RequestId(1), &stop))
            })
        };
        control.set_pace(RequestId(2), Some(9));
        control.set_pace(RequestId(1), Some(4));
        while control.locked().paces.contains_key(&RequestId(1)) {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        control.wake();
        assert_eq!(waiting.join().unwrap(), (Woken::Pace(Some(4)), Woken::Stopped));
    }

    #[test]
    fn an_ended_reply_leaves_no_pace_behind() {
        let control = Control::default();
        control.set_pace(RequestId(1), Some(1));
        control.set_pace(RequestId(2), Some(2));
        control.set_pace(RequestId(5), Some(5));
        control.end(RequestId(2), |other| other != RequestId(1));
        let left = [1, 2, 5].map(|id| control.take_pace(RequestId(id)));
        assert_eq!(left, [None, None, Some(Some(5))]);
    }

    #[test]
    fn a_pace_of_a_waiting_reply_outlives_later_requests_that_run_first() {
        let control = Control::default();
        control.set_pace(RequestId(2), Some(5));
        control.end(RequestId(1), |_| true);
        control.end(RequestId(3), |_| true);
        assert_eq!(control.take_pace(RequestId(2)), Some(Some(5)));
    }

    #[test]
    fn every_change_is_seen() {
        let control = Control::default();
        let before = control.changes();
        control.set_capture(CapturePlan { stages: 20, ..CapturePlan::default() });
        assert_ne!(control.changes(), before);
        assert_eq!(control.capture().stages, 20);
    }

    #[test]
    fn requests_wait_only_while_a_reply_is_written_and_none_is_lost() {
        let control = Control::default();
        let pass = || Inspection::Inspect(Box::default());
        assert!(control.put_interleaved(RequestId(1), pass()).is_some(), "no reply is written");
        control.open_interleaved();
        assert!(control.put_interleaved(RequestId(2), pass()).is_none());
        assert!(control.put_interleaved(RequestId(3), pass()).is_none());
        assert_eq!(control.next_interleaved().map(|(id, _)| id), Some(RequestId(2)));
        let left: Vec<RequestId> = control.close_interleaved().into_iter().map(|(id, _)| id).collect();
        assert_eq!(left, [RequestId(3)]);
        assert!(control.put_interleaved(RequestId(4), pass()).is_some());
    }
}

//! What the store's own two threads and its handle tell each other.
//!
//! Invariant: nothing here is shown; the user interface only gets events.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::InterruptHandle;

use super::{Command, Event};

/// Where events go.
pub(super) type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// To the writer.
#[expect(clippy::large_enum_variant, reason = "moved once, and nearly all are writes")]
pub(super) enum Message {
    /// Write this.
    Write(Command),
    /// A read waits for what was sent before it.
    Flush,
    /// Write what waits and end.
    Close,
}

/// To the reader: what is asked, and how many writes were sent before.
#[expect(clippy::large_enum_variant, reason = "moved once, and nearly all are reads")]
pub(super) enum Request {
    /// Answer this once those writes are on disk, or soon in any case.
    Read(Command, u64),
    /// End.
    Stop,
}

/// How far the writer is.
#[derive(Clone, Copy, Default)]
struct Progress {
    written: u64,
    stuck: bool,
}

/// The common state.
#[derive(Default)]
pub(super) struct Shared {
    progress: Mutex<Progress>,
    moved: Condvar,
    searching: Mutex<Option<InterruptHandle>>,
    damaged: AtomicBool,
    given_up: AtomicBool,
}

impl Shared {
    /// The writer has dealt with this many writes, or cannot write now.
    pub(super) fn publish(&self, written: u64, stuck: bool) {
        *held(&self.progress) = Progress { written, stuck };
        self.moved.notify_all();
    }

    /// Waits until that many writes are on disk; not when the writer is stuck, and never longer than given.
    pub(super) fn wait_for(&self, writes: u64, at_most: Duration) {
        let progress = held(&self.progress);
        let _ = self.moved.wait_timeout_while(progress, at_most, |now| now.written < writes && !now.stuck);
    }

    /// The search that runs now can be ended through this handle; `None` when it is over.
    pub(super) fn set_searching(&self, handle: Option<InterruptHandle>) {
        *held(&self.searching) = handle;
    }

    /// Ends a running search: something newer is asked.
    pub(super) fn interrupt_search(&self) {
        if let Some(handle) = &*held(&self.searching) {
            handle.interrupt();
        }
    }

    /// A damaged page was met: the next start must check the file.
    pub(super) fn set_damaged(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    /// Whether one was met.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Nobody waits any longer for what could not be written by the end.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether nobody does.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}

/// A panic elsewhere leaves these plain values whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

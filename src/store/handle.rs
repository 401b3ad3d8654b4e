//! The handle by which everything outside uses the store.
//!
//! Invariant: sending never blocks and never fails; after the end it does nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::shared::{Message, Request, Shared, Sink};
use super::{Command, Event, writer};

/// How long [`Store::close`] waits.
const CLOSING: Duration = Duration::from_secs(2);

/// A running store. Dropped without [`Store::close`], it still writes what waits if the process lives on.
pub struct Store {
    messages: Sender<Message>,
    requests: Sender<Request>,
    /// Writes sent so far.
    sent: AtomicU64,
    shared: Arc<Shared>,
    closed: Mutex<Receiver<bool>>,
}

impl Store {
    /// Starts the store on a database file, which is made if there is none. The first events are
    /// [`Event::Ready`], or [`Event::Trouble`] with `lost` and then a `Ready` when nothing can be saved.
    /// The sink is called from the store's threads and must not block.
    #[must_use]
    pub fn open(path: &Path, sink: Box<dyn Fn(Event) + Send + Sync>) -> Self {
        Self::start(Some(path.to_owned()), sink)
    }

    /// Starts a store that keeps everything in memory, for "nothing is saved" by choice, and for tests.
    #[must_use]
    pub fn in_memory(sink: Box<dyn Fn(Event) + Send + Sync>) -> Self {
        Self::start(None, sink)
    }

    fn start(path: Option<PathBuf>, sink: Box<dyn Fn(Event) + Send + Sync>) -> Self {
        let sink: Sink = Arc::from(sink);
        let (messages, inbox) = channel();
        let (requests, asked) = channel();
        let (ended, closed) = channel();
        let shared = Arc::new(Shared::default());
        let ends = writer::Ends {
            messages: inbox,
            requests: asked,
            stop: requests.clone(),
            shared: Arc::clone(&shared),
            sink: Arc::clone(&sink),
        };
        let spawned = std::thread::Builder::new().name("store writer".to_owned()).spawn(move || {
            let saved = writer::run(path.as_deref(), ends);
            let _ = ended.send(saved);
        });
        if let Err(error) = spawned {
            sink(Event::Trouble {
                message: format!("Nothing is saved: no thread can be started: {error}."),
                lost: true,
            });
            sink(Event::Ready { interrupted: 0, draft: String::new(), notes: Vec::new() });
        }
        Self { messages, requests, sent: AtomicU64::new(0), shared, closed: Mutex::new(closed) }
    }

    /// Asks for something; answers come to the sink. A read sees every write sent before it, unless the
    /// database cannot be written for now.
    pub fn send(&self, command: Command) {
        // A send fails only when the thread has ended, after which there is nothing left to do.
        match command {
            Command::Close => drop(self.messages.send(Message::Close)),
            Command::List
            | Command::Open(_)
            | Command::History
            | Command::Vocabulary(_)
            | Command::Scores(_)
            | Command::Search(_) => {
                let _ = self.messages.send(Message::Flush);
                let _ = self.requests.send(Request::Read(command, self.sent.load(Ordering::SeqCst)));
                self.shared.interrupt_search();
            }
            write => {
                self.sent.fetch_add(1, Ordering::SeqCst);
                let _ = self.messages.send(Message::Write(write));
            }
        }
    }

    /// Writes what waits and ends. Whether everything was saved; waits at most two seconds.
    #[must_use = "when it is false, something was not saved"]
    pub fn close(self) -> bool {
        self.send(Command::Close);
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.recv_timeout(CLOSING).unwrap_or(false)
    }
}

/// The version of SQLite in this build.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

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

/// How long an end waits where nobody can wait for it any longer, and again that long for what is said at last.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long the end waits for a disk or a lock where somebody can be told that it does.
const PATIENCE: Duration = Duration::from_mins(1);
/// What is said then.
pub const STILL_SAVING: &str = "saving what is left; the disk is slow, or another program holds the database";

/// A running store. Dropped without [`Store::close`], it still writes what waits if the process lives on.
pub struct Store {
    messages: Sender<Message>,
    requests: Sender<Request>,
    /// Writes sent so far.
    sent: AtomicU64,
    shared: Arc<Shared>,
    closed: Mutex<Receiver<Result<(), String>>>,
}

/// The end of a store, which writes what waits as long as this is there.
pub struct Closing {
    shared: Arc<Shared>,
    closed: Receiver<Result<(), String>>,
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

    /// Writes what waits and ends; waits at most two seconds.
    ///
    /// # Errors
    /// When something was not saved; in words: what, and why.
    pub fn close(self) -> Result<(), String> {
        let closing = self.closing();
        closing.wait(AT_ONCE).unwrap_or_else(|| closing.give_up())
    }

    /// Writes what waits and ends; `say` is called where that takes a while, after which it waits up to a minute.
    ///
    /// # Errors
    /// As [`Self::close`].
    pub fn close_patiently(self, say: impl FnOnce()) -> Result<(), String> {
        let closing = self.closing();
        let soon = closing.wait(2 * AT_ONCE).or_else(|| {
            say();
            closing.wait(PATIENCE)
        });
        soon.unwrap_or_else(|| closing.give_up())
    }

    /// Begins the end.
    #[must_use = "dropped, it gives up what is not written yet"]
    pub fn closing(self) -> Closing {
        self.send(Command::Close);
        let closed = self.closed.into_inner().unwrap_or_else(PoisonError::into_inner);
        Closing { shared: self.shared, closed }
    }
}

impl Closing {
    /// Whether all was saved, once that is known; an error says what was not, and why. Waits at most so long.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> Option<Result<(), String>> {
        self.closed.recv_timeout(at_most).ok()
    }

    /// Has the store give up what it could not write so far; waits for a second at most.
    ///
    /// # Errors
    /// As [`Store::close`].
    pub fn give_up(&self) -> Result<(), String> {
        self.shared.give_up();
        self.wait(AT_ONCE).unwrap_or_else(|| Err("the disk has not taken the last changes".to_owned()))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.shared.give_up();
    }
}

/// The version of SQLite in this build.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

//! The writing thread: one queue, one connection, one transaction for what came together.
//!
//! Invariant: a command leaves the queue only when its transaction is on disk (or when it can never be
//! written), and commands reach the disk in the order they were sent.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::instance::Instance;
use super::open::{self, Opened, Refusal};
use super::pending::Pending;
use super::schema::LADDER;
use super::shared::{Message, Request, Shared, Sink};
use super::{Command, Event, reader, write};

/// How long steps and drafts may wait for others to share their transaction. The app holds them back before that, and
/// both together are less than the half second that may be lost.
pub(crate) const BEHIND: Duration = Duration::from_millis(250);
/// How long writing may fail before the user is told.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// How long to wait before trying again, and for a lock while trying.
const RETRY: Duration = Duration::from_millis(500);
/// How long the end waits for a lock at a time, before it looks whether anybody still waits for it.
const LAST_TRY: Duration = Duration::from_millis(200);
/// How often a database held by another program is tried at start, [`open::BUSY`] each.
const OPENINGS: usize = 6;

/// The ends that the threads work with.
pub(super) struct Ends {
    /// To the writer.
    pub(super) messages: Receiver<Message>,
    /// To the reader; the writer starts it once the database is open.
    pub(super) requests: Receiver<Request>,
    /// The reader's other end, to stop it.
    pub(super) stop: Sender<Request>,
    /// Common state.
    pub(super) shared: Arc<Shared>,
    /// Where events go.
    pub(super) sink: Sink,
}

/// Opens the database (`None`: in memory), says that it is ready, and writes until closed. `Err` says what
/// was not saved, and why.
pub(super) fn run(path: Option<&Path>, ends: Ends) -> Result<(), String> {
    let Ends { messages, requests, stop, shared, sink } = ends;
    let opened = match path {
        Some(path) => open_or_do_without(path, &sink),
        None => open::memory(),
    };
    let Ok(Opened { conn, place, instance, interrupted, draft, notes }) = opened else {
        sink(Event::Trouble {
            message: "Nothing is saved: SQLite does not work here.".to_owned(),
            lost: true,
        });
        sink(Event::Ready { interrupted: 0, draft: String::new(), notes: Vec::new() });
        return Err("SQLite does not work here".to_owned());
    };
    sink(Event::Ready { interrupted, draft, notes });
    let reading = {
        let (shared, sink) = (Arc::clone(&shared), Arc::clone(&sink));
        std::thread::Builder::new()
            .name("store reader".to_owned())
            .spawn(move || reader::run(&place, &requests, &shared, &sink))
    };
    // Waiting for a lock happens in short turns, so that what is sent meanwhile joins the queue.
    let _ = conn.busy_timeout(RETRY);
    let writer = Writer {
        conn,
        instance,
        shared: Arc::clone(&shared),
        sink: Arc::clone(&sink),
        pending: Pending::default(),
        taken: 0,
        due: None,
        stuck: None,
    };
    let saved = writer.run(&messages, || {
        let _ = stop.send(Request::Stop);
        shared.interrupt_search();
        if let Ok(reading) = reading {
            let _ = reading.join();
        }
    });
    sink(Event::Closed);
    saved
}

fn open_or_do_without(path: &Path, sink: &Sink) -> Result<Opened, Refusal> {
    let mut reason = "another program holds it".to_owned();
    for attempt in 0..OPENINGS {
        match open::file(path, None, LADDER) {
            Ok(opened) => return Ok(opened),
            Err(Refusal::Busy) if attempt == 0 => sink(Event::Trouble {
                message: format!("{} is held by another program; waiting for it.", path.display()),
                lost: false,
            }),
            Err(Refusal::Busy) => {}
            Err(Refusal::Lasting(why)) => {
                reason = why;
                break;
            }
        }
    }
    let message = format!("Nothing is saved: {reason} ({}).", path.display());
    sink(Event::Trouble { message, lost: true });
    open::copy_in_memory(path).or_else(|_| open::memory())
}

/// Since when writing fails.
struct Stuck {
    since: Instant,
    retry: Instant,
    told: bool,
    reason: String,
}

struct Writer {
    conn: Connection,
    instance: Instance,
    shared: Arc<Shared>,
    sink: Sink,
    pending: Pending,
    /// Writes received.
    taken: u64,
    /// When what waits must be written.
    due: Option<Instant>,
    stuck: Option<Stuck>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Message>, stop_reader: impl FnOnce()) -> Result<(), String> {
        loop {
            let deadline = self.stuck.as_ref().map(|stuck| stuck.retry).or(self.due);
            let first = match deadline {
                None => inbox.recv().unwrap_or(Message::Close),
                Some(at) => match inbox.recv_timeout(at.saturating_duration_since(Instant::now())) {
                    Ok(message) => message,
                    Err(RecvTimeoutError::Disconnected) => Message::Close,
                    Err(RecvTimeoutError::Timeout) => {
                        self.flush();
                        continue;
                    }
                },
            };
            for message in std::iter::once(first).chain(inbox.try_iter()) {
                match message {
                    Message::Write(command) => self.take(command),
                    Message::Flush => self.due = Some(Instant::now()),
                    Message::Close => return self.close(stop_reader),
                }
            }
            if self.stuck.is_none() && self.due.is_some_and(|due| due <= Instant::now()) {
                self.flush();
            }
        }
    }

    fn take(&mut self, command: Command) {
        self.taken += 1;
        let may_wait = matches!(command, Command::AppendSteps(..) | Command::PutDraft(..));
        let due = Instant::now() + if may_wait { BEHIND } else { Duration::ZERO };
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        self.pending.push(command);
    }

    fn flush(&mut self) {
        self.due = None;
        if self.pending.is_empty() {
            return self.shared.publish(self.taken, false);
        }
        match write::batch(&mut self.conn, self.instance.id, self.pending.iter()) {
            Ok(left_out) => {
                self.pending.clear();
                self.shared.publish(self.taken, false);
                if self.stuck.take().is_some_and(|stuck| stuck.told) {
                    (self.sink)(Event::Recovered);
                }
                for reason in left_out {
                    let message = format!("A change could not be saved: {reason}.");
                    (self.sink)(Event::Trouble { message, lost: false });
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &write::WriteError) {
        let now = Instant::now();
        // A lock was already waited for; a full disk is given time.
        let retry = if error.is_busy() { now } else { now + RETRY };
        let stuck = self.stuck.get_or_insert(Stuck { since: now, retry, told: false, reason: String::new() });
        stuck.retry = retry;
        stuck.reason = error.reason();
        self.shared.publish(0, true);
        if !stuck.told && stuck.since.elapsed() >= TELL_AFTER {
            stuck.told = true;
            let message =
                format!("Not saved yet: {}. Everything is kept in memory and tried again.", error.reason());
            (self.sink)(Event::Trouble { message, lost: false });
        }
    }

    /// Writes what waits, as long as anybody waits for it.
    fn close(mut self, stop_reader: impl FnOnce()) -> Result<(), String> {
        let _ = self.conn.busy_timeout(LAST_TRY);
        self.flush();
        while !self.pending.is_empty() && !self.shared.is_given_up() {
            std::thread::sleep(Duration::from_millis(50));
            self.flush();
        }
        stop_reader();
        let saved = if self.pending.is_empty() {
            Ok(())
        } else {
            let why = self.stuck.as_ref().map(|stuck| format!(": {}", stuck.reason)).unwrap_or_default();
            let changes = match self.pending.len() {
                1 => "one change".to_owned(),
                more => format!("{more} changes"),
            };
            Err(format!("{changes} could not be saved{why}"))
        };
        // Without this, the next start takes the end for a crash: it checks the file and does it then.
        if saved.is_ok() && !self.shared.is_damaged() {
            let _ = end_cleanly(&mut self.conn, self.instance.id);
        }
        if let Err(why) = &saved {
            (self.sink)(Event::Trouble { message: format!("At the end {why}."), lost: true });
        }
        drop(self.conn);
        self.instance.end();
        saved
    }
}

fn end_cleanly(conn: &mut Connection, instance: i64) -> rusqlite::Result<()> {
    let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute("DELETE FROM instances WHERE id = ?1", [instance])?;
    transaction.commit()
}

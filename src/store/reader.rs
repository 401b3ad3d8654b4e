//! The reading thread: lists, conversations and searches on a connection that cannot write.
//!
//! Invariant: reads are answered in the order asked, except searches: they come after everything else, any
//! newer request ends the one that runs, and only the newest is sure of an answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::open::Place;
use super::shared::{Request, Shared, Sink};
use super::{Command, Event, read, search, write};

/// How long a read waits for the writes sent before it. They go into a file beside it, so what is there can be read
/// meanwhile; a database in memory is held by its writer until the end, and no other program can make that long.
fn patience(place: &Place) -> Duration {
    match place {
        Place::File(..) => Duration::from_millis(300),
        Place::Memory(_) => Duration::from_mins(1),
    }
}

/// Answers requests until told to stop.
pub(super) fn run(place: &Place, inbox: &Receiver<Request>, shared: &Arc<Shared>, sink: &Sink) {
    let mut reader = Reader { place, shared, sink, conn: None, waiting: VecDeque::new(), newest: None };
    loop {
        let idle = reader.waiting.is_empty() && reader.newest.is_none();
        let first = if idle { inbox.recv().ok().or(Some(Request::Stop)) } else { None };
        for request in first.into_iter().chain(inbox.try_iter()) {
            match request {
                Request::Stop => return,
                Request::Read(Command::Search(query), after) => reader.newest = Some((query, after)),
                Request::Read(command, after) => reader.waiting.push_back((command, after)),
            }
        }
        if let Some((command, after)) = reader.waiting.pop_front() {
            shared.wait_for(after, patience(place));
            reader.answer(&command);
        } else if let Some((query, after)) = reader.newest.take() {
            shared.wait_for(after, patience(place));
            reader.search(query, after);
        }
    }
}

/// Tries again what a commit under way got in the way of. The index is a virtual table, and one that cannot be
/// read at that moment fails as a whole, past the connection's own patience.
fn patiently<T>(read: impl Fn() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    for pause_ms in [2, 5, 10, 20, 50, 100, 200] {
        match read() {
            Err(error) if is_passing(&error) => std::thread::sleep(Duration::from_millis(pause_ms)),
            result => return result,
        }
    }
    read()
}

fn is_passing(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
        || error.to_string().contains("vtable constructor failed")
}

struct Reader<'a> {
    place: &'a Place,
    shared: &'a Shared,
    sink: &'a Sink,
    conn: Option<Connection>,
    waiting: VecDeque<(Command, u64)>,
    newest: Option<(String, u64)>,
}

impl Reader<'_> {
    /// A read that fails is answered as if nothing were there, after the reason: no one waits for ever.
    fn answer(&mut self, command: &Command) {
        match command {
            Command::List => {
                let listed = self.read(read::list).unwrap_or_default();
                (self.sink)(Event::Listed(listed));
            }
            Command::Open(id) => match self.read(|conn| read::conversation(conn, *id)).flatten() {
                Some((conversation, runs)) => {
                    (self.sink)(Event::Opened(*id, Some(Box::new(conversation))));
                    (self.sink)(Event::Runs(*id, runs));
                }
                None => (self.sink)(Event::Opened(*id, None)),
            },
            Command::History => {
                let messages = self.read(read::history).unwrap_or_default();
                (self.sink)(Event::History(messages));
            }
            Command::Vocabulary(hash) => {
                let kept = self.read(|conn| read::vocabulary(conn, hash)).flatten();
                (self.sink)(Event::Vocabulary(hash.clone(), kept.map(Box::new)));
            }
            Command::Scores(id) => {
                let kept = self.read(|conn| read::scores(conn, *id)).unwrap_or_default();
                (self.sink)(Event::Scores(*id, kept));
            }
            _ => {} // `Store::send` gives the rest to the writer
        }
    }

    fn search(&mut self, query: String, after: u64) {
        let Some(conn) = self.connection() else {
            return (self.sink)(Event::Found { query, hits: Vec::new() });
        };
        let handle = conn.get_interrupt_handle();
        self.shared.set_searching(Some(handle));
        let found = self.connection().map(|conn| patiently(|| search::search(conn, &query)));
        self.shared.set_searching(None);
        match found {
            Some(Err(error)) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                self.newest = Some((query, after)); // unless a newer one is in the queue
            }
            Some(Err(error)) => {
                self.report(&error);
                (self.sink)(Event::Found { query, hits: Vec::new() });
            }
            Some(Ok(hits)) => (self.sink)(Event::Found { query, hits }),
            None => {}
        }
    }

    fn read<T>(&mut self, query: impl Fn(&Connection) -> rusqlite::Result<T>) -> Option<T> {
        let conn = self.connection()?;
        let mut result = patiently(|| query(conn));
        // An interrupt meant for the search before may come late.
        if matches!(&result, Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted))
        {
            result = patiently(|| query(conn));
        }
        result.map_err(|error| self.report(&error)).ok()
    }

    fn connection(&mut self) -> Option<&Connection> {
        if self.conn.is_none() {
            match self.place.connect(OpenFlags::SQLITE_OPEN_READ_ONLY) {
                Ok(conn) => self.conn = Some(conn),
                Err(error) => self.report(&error),
            }
        }
        self.conn.as_ref()
    }

    fn report(&self, error: &rusqlite::Error) {
        if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) {
            self.shared.set_damaged();
        }
        let reason = write::sqlite_reason(error);
        (self.sink)(Event::Trouble { message: format!("Chats could not be read: {reason}."), lost: false });
    }
}

//! What goes to the terminal, written by a thread of its own.
//!
//! Invariant: nobody waits for a terminal that takes nothing (Ctrl+S, a stalled connection). What is written goes out whole
//! and in order; the next frame is drawn once everything before it is out, so that no more than a frame waits.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::native;

/// What may wait at most, bytes; a frame of a large screen is a tenth of it.
const MOST: usize = 8 << 20;

/// How often is looked whether the terminal takes anything while it is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// How long a machine is waited for that has no time to write.
const STARVED: Duration = Duration::from_secs(3);

struct Queue {
    /// Waits to be written.
    bytes: Vec<u8>,
    /// The thread is there.
    runs: bool,
    /// It is writing now.
    writes: bool,
    /// What comes is let go: the terminal was given back on a fault.
    closed: bool,
    /// The terminal cannot be written to any more.
    gone: bool,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.writes
    }
}

static QUEUE: Mutex<Queue> =
    Mutex::new(Queue { bytes: Vec::new(), runs: false, writes: false, closed: false, gone: false });
static MOVED: Condvar = Condvar::new();
static EMPTIED: Notify = Notify::const_new();

/// A panic elsewhere leaves these plain values whole.
fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes to the terminal: what was gathered goes its way at each flush.
#[derive(Debug, Default)]
pub struct Output {
    gathered: Vec<u8>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut queue = queue();
        if !queue.runs {
            drop(queue);
            let mut out = io::stdout().lock();
            return out.write_all(&std::mem::take(&mut self.gathered)).and_then(|()| out.flush());
        }
        if !queue.closed && !queue.gone && queue.bytes.len() + self.gathered.len() <= MOST {
            queue.bytes.append(&mut self.gathered);
            MOVED.notify_all();
        }
        self.gathered.clear();
        Ok(())
    }
}

impl Drop for Output {
    /// crossterm's `execute!` names its writer twice: what one value gathered is not flushed by the other.
    fn drop(&mut self) {
        if !self.gathered.is_empty() {
            let _ = self.flush(); // a terminal that is gone is noticed by the thread
        }
    }
}

/// Begins to write beside the loop; until then, writing waits for the terminal. What comes is taken again.
///
/// # Errors
/// When there can be no thread.
pub fn open() -> io::Result<()> {
    let mut queue = queue();
    queue.closed = false;
    if !queue.runs {
        std::thread::Builder::new().name("terminal".to_owned()).spawn(write_on)?;
        queue.runs = true;
    }
    Ok(())
}

fn write_on() {
    let mut next = Vec::new();
    loop {
        let mut queue = queue();
        queue.writes = false;
        if queue.bytes.is_empty() {
            EMPTIED.notify_one();
            MOVED.notify_all();
        }
        while queue.bytes.is_empty() {
            queue = MOVED.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        next.clear();
        std::mem::swap(&mut next, &mut queue.bytes);
        queue.writes = true;
        drop(queue);
        let mut out = io::stdout().lock();
        if out.write_all(&next).and_then(|()| out.flush()).is_err() {
            drop(out);
            return give_up();
        }
    }
}

fn give_up() {
    let mut queue = queue();
    (queue.gone, queue.writes) = (true, false);
    queue.bytes.clear();
    EMPTIED.notify_one();
    MOVED.notify_all();
}

/// Whether everything is out.
pub fn is_empty() -> bool {
    queue().is_empty()
}

/// Whether the terminal cannot be written to any more.
pub fn is_gone() -> bool {
    queue().gone
}

/// Waits until everything is out, or the terminal gone.
pub async fn emptied() {
    EMPTIED.notified().await;
}

/// Waits for that; where the terminal takes nothing, not longer than so, and what is not written by then is let go. Whether
/// everything went out.
pub fn drain(at_most: Duration) -> bool {
    let begun = Instant::now();
    let mut queue = queue();
    loop {
        queue = MOVED
            .wait_timeout_while(queue, LOOK, |queue| !queue.is_empty())
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        if queue.is_empty() {
            return true;
        }
        // On a busy machine it may be the thread that waits, and not the terminal.
        let patience = if native::terminal_takes() { STARVED } else { at_most };
        if begun.elapsed() >= patience {
            queue.bytes.clear();
            return false;
        }
    }
}

/// From now on what comes is let go: the terminal is somebody else's.
pub fn close() {
    queue().closed = true;
}

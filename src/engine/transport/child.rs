//! An engine in a child process, as the app holds it: requests in, events to the sink.
//!
//! Invariants: no call here waits for the child; the sink gets exactly one [`Event::Exited`], after
//! everything else, however the child ends; the child is always waited for, so no zombie stays, and dropping
//! the handle ends it within a second.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::child_log::LogReader;
use super::frame;
use crate::engine::protocol::{Call, Envelope, Event, Exit, Immediate, Request, RequestId, VERSION};
use crate::engine::{Engine, EventSink, Gone};

/// How long a child may take to end once it was asked to, or once it has closed its output.
const GRACE: Duration = Duration::from_secs(1);

/// How often an ending child is looked at. Only while it ends: a running one is not polled.
const LOOK: Duration = Duration::from_millis(5);

/// A running engine process.
#[derive(Debug)]
pub struct ChildEngine {
    calls: Option<Sender<Call>>,
    process: Arc<Process>,
    pid: u32,
}

impl ChildEngine {
    /// Starts `command` with its input and output as the pipe, and what it writes to standard error into
    /// `log`. The child opens its own session, so that keys pressed in the terminal never reach it.
    ///
    /// # Errors
    /// When the command cannot be started; the child is gone then.
    pub fn spawn(
        mut command: Command,
        sink: EventSink,
        log: Option<Box<dyn Write + Send>>,
    ) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let pid = child.id();
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Arc::new(Process {
            child: Mutex::new(child),
            asked_to_end: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let (calls, received) = mpsc::channel();
        let started = (|| {
            let input = input.ok_or_else(no_pipe)?;
            let output = output.ok_or_else(no_pipe)?;
            let log = LogReader::start(errors.ok_or_else(no_pipe)?, log)?;
            named("engine-write", move || write_calls(&received, input))?;
            let process = Arc::clone(&process);
            named("engine-read", move || read_events(output, &sink, &process, log))
        })();
        if let Err(error) = started {
            process.kill();
            let _ = process.child().wait();
            return Err(error);
        }
        Ok(Self { calls: Some(calls), process, pid })
    }
}

impl Engine for ChildEngine {
    fn send(&self, id: RequestId, request: Request) -> Result<(), Gone> {
        if self.process.ended.load(Ordering::Acquire) {
            return Err(Gone);
        }
        if request == Request::Immediate(Immediate::Shutdown) {
            self.process.asked_to_end.store(true, Ordering::Release);
        }
        self.calls.as_ref().ok_or(Gone)?.send(Call { id, request }).map_err(|_| Gone)
    }

    fn pid(&self) -> Option<u32> {
        Some(self.pid)
    }
}

impl Drop for ChildEngine {
    fn drop(&mut self) {
        self.process.asked_to_end.store(true, Ordering::Release);
        if let Some(calls) = self.calls.take() {
            let _ = calls.send(Call { id: RequestId(0), request: Request::Immediate(Immediate::Shutdown) });
        }
        if self.process.ended.load(Ordering::Acquire) {
            return;
        }
        let process = Arc::clone(&self.process);
        let reaper = named("engine-end", move || {
            if process.wait(GRACE).is_none() {
                process.kill();
                process.wait(GRACE);
            }
        });
        if reaper.is_err() {
            self.process.kill();
        }
    }
}

/// The child, shared by the handle, the reader and the one who ends it.
#[derive(Debug)]
struct Process {
    child: Mutex<Child>,
    asked_to_end: AtomicBool,
    ended: AtomicBool,
}

impl Process {
    /// How the child ended, if it does within `limit`.
    fn wait(&self, limit: Duration) -> Option<io::Result<ExitStatus>> {
        let begun = Instant::now();
        loop {
            match self.child().try_wait() {
                Ok(Some(status)) => return Some(Ok(status)),
                Err(error) => return Some(Err(error)),
                Ok(None) if begun.elapsed() >= limit => return None,
                Ok(None) => thread::sleep(LOOK),
            }
        }
    }

    fn kill(&self) {
        if let Err(error) = self.child().kill() {
            tracing::warn!(%error, "the engine process could not be killed");
        }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends, and closes the child's input, when the handle is dropped or the child no longer reads.
fn write_calls(calls: &Receiver<Call>, mut input: ChildStdin) {
    for call in calls {
        let last = call.request == Request::Immediate(Immediate::Shutdown);
        if let Err(error) = frame::write(&mut input, &call) {
            tracing::debug!(%error, "a request could not be written");
            return;
        }
        if last {
            return;
        }
    }
}

fn read_events(mut output: impl Read, sink: &EventSink, process: &Process, log: LogReader) {
    let trouble = pass_events_on(&mut output, sink).err();
    if trouble.is_some() {
        process.kill();
    }
    drop(output);
    let status = process.wait(GRACE).or_else(|| {
        process.kill();
        process.wait(GRACE)
    });
    let log_tail = log.finish();
    let how = match (trouble, status) {
        (Some(trouble), _) => trouble,
        (None, Some(Ok(status))) => in_words(status),
        (None, Some(Err(error))) => format!("lost: {error}"),
        (None, None) => "stuck in the system, and left behind".into(),
    };
    let expected = process.asked_to_end.load(Ordering::Acquire);
    process.ended.store(true, Ordering::Release);
    sink(Envelope { id: RequestId(0), event: Event::Exited(Exit { expected, how, log_tail }) });
}

/// Until the output ends; an error is a sentence's end for [`Exit::how`].
fn pass_events_on(output: &mut impl Read, sink: &EventSink) -> Result<(), String> {
    let mut greeted = false;
    loop {
        let envelope = match frame::read::<Envelope>(output) {
            Ok(Some(envelope)) => envelope,
            Ok(None) | Err(frame::FrameError::Cut | frame::FrameError::Io(_)) => return Ok(()),
            Err(_) if !greeted => return Err("did not answer as a glassbox engine, and was ended".into()),
            Err(error) => return Err(format!("sent something unreadable ({error}), and was ended")),
        };
        match envelope.event {
            Event::Ready { version: VERSION, .. } => greeted = true,
            Event::Ready { version, .. } => {
                return Err(format!(
                    "speaks version {version} of the protocol, this glassbox version {VERSION}: install the \
                     same glassbox on both sides"
                ));
            }
            Event::Exited(_) => continue, // only the handle says so
            _ if !greeted => return Err("did not say its protocol's version, and was ended".into()),
            _ => {}
        }
        sink(envelope);
    }
}

/// `ended by signal 9 (killed)`, `exit code 1`.
fn in_words(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = match signal {
            1 => "hung up",
            2 => "interrupted",
            4 => "illegal instruction",
            6 => "aborted",
            7 => "bus error",
            8 => "arithmetic error",
            9 => "killed",
            11 => "segmentation fault",
            15 => "terminated",
            _ => return format!("ended by signal {signal}"),
        };
        return format!("ended by signal {signal} ({name})");
    }
    status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
}

fn no_pipe() -> io::Error {
    io::Error::other("the child has no pipe")
}

fn named(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(body).map(drop)
}

#[cfg(test)]
#[cfg(unix)]
mod tests;

//! An engine in a child process, as the app holds it: requests in, events to the sink.
//!
//! Invariants: no call here waits for the child, and what waits for a child or a line that takes nothing is bounded; the
//! sink gets exactly one [`Event::Exited`], after everything else, however the child ends; the child is always waited for,
//! so no zombie stays, and dropping the handle ends it within a second. What it started ends with it (see `leader`).

mod leader;

use std::io::{self, BufReader, PipeReader, PipeWriter, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use self::leader::Leader;
use super::child_log::LogReader;
use super::frame;
use super::greeting::{self, NoGreeting};
use crate::elsewhere::{Elsewhere, Ended};
use crate::engine::protocol::{Call, Envelope, Event, Exit, Immediate, Request, RequestId, VERSION};
use crate::engine::{Engine, EventSink, Gone};

/// How long a child may take to end once it was asked to, or once it has closed its output.
const GRACE: Duration = Duration::from_secs(1);

/// How often an ending child is looked at. Only while it ends: a running one is not polled.
const LOOK: Duration = Duration::from_millis(5);

/// How long an engine on another machine may take to say anything: ssh has its own limits for what comes before.
const PATIENCE: Duration = Duration::from_mins(1);

/// What may wait for a child that takes nothing, bytes. A prompt is some hundred KB at most.
const WAITING: usize = 256 << 20;

/// The children of this process, those that have ended too until the next one is started; `None` once it is about to end,
/// so that none is started any more.
static CHILDREN: Mutex<Option<Vec<Weak<Process>>>> = Mutex::new(Some(Vec::new()));

/// Ends every child that still runs, since this process is about to end itself, and so is nobody's any more: one that has
/// not greeted at once, another within a second.
pub fn end_all() {
    let children = locked(&CHILDREN).take().unwrap_or_default();
    let running: Vec<_> =
        children.iter().filter_map(Weak::upgrade).filter(|child| !child.has_ended()).collect();
    for child in &running {
        child.ask_to_end();
        if !child.greeted.load(Ordering::Acquire) {
            child.kill();
        }
    }
    let begun = Instant::now();
    for child in running {
        if child.wait(GRACE.saturating_sub(begun.elapsed())).is_none() {
            child.kill();
        }
    }
}

/// A running engine process.
#[derive(Debug)]
pub struct ChildEngine {
    process: Arc<Process>,
    pid: u32,
}

impl ChildEngine {
    /// Starts `command` with its input and output as the pipe, and what it writes to standard error into
    /// `log`. The child opens its own session, so that keys pressed in the terminal never reach it, and what it starts
    /// there ends with it.
    ///
    /// # Errors
    /// When the command cannot be started; the child is gone then.
    pub fn spawn(command: Command, sink: EventSink, log: Option<Box<dyn Write + Send>>) -> io::Result<Self> {
        Self::spawn_at(command, None, sink, log)
    }

    /// The same for an engine that may run elsewhere, whose end is told in the terms of that machine.
    ///
    /// # Errors
    /// As [`ChildEngine::spawn`].
    pub fn spawn_at(
        command: Command,
        place: Option<Elsewhere>,
        sink: EventSink,
        log: Option<Box<dyn Write + Send>>,
    ) -> io::Result<Self> {
        let patience = place.as_ref().map(|_| PATIENCE);
        Self::start(command, Expected { place, patience }, sink, log)
    }

    fn start(
        mut command: Command,
        expected: Expected,
        sink: EventSink,
        log: Option<Box<dyn Write + Send>>,
    ) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (ended, end) = io::pipe()?;
        // Held until the child is counted: whoever ends all of them ends this one too.
        let mut children = locked(&CHILDREN);
        let children = children.as_mut().ok_or_else(|| io::Error::other("this program is ending"))?;
        let mut child = command.spawn()?;
        let pid = child.id();
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (calls, received) = mpsc::channel();
        let process = Arc::new(Process {
            leader: Mutex::new(Leader::new(child)),
            calls: Mutex::new(Some(calls)),
            end: Mutex::new(Some(end)),
            asked_to_end: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            greeted: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        });
        let started = (|| {
            let input = input.ok_or_else(no_pipe)?;
            let output = Output { pipe: output.ok_or_else(no_pipe)?, ended };
            let log = LogReader::start(errors.ok_or_else(no_pipe)?, log)?;
            let writer = Arc::clone(&process);
            named("engine-write", move || write_calls(&received, input, &writer))?;
            if let Some(patience) = expected.patience {
                let process = Arc::clone(&process);
                named("engine-wait", move || process.end_if_silent(patience))?;
            }
            let process = Arc::clone(&process);
            named("engine-read", move || read_events(output, &sink, &process, log, expected.place.as_ref()))
        })();
        if let Err(error) = started {
            drop(locked(&process.calls).take());
            process.kill();
            let _ = process.wait(GRACE);
            return Err(error);
        }
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(&process));
        Ok(Self { process, pid })
    }
}

/// What is expected of a child.
struct Expected {
    place: Option<Elsewhere>,
    /// How long it may take to greet; `None` is for ever.
    patience: Option<Duration>,
}

impl Engine for ChildEngine {
    fn send(&self, id: RequestId, request: Request) -> Result<(), Gone> {
        if self.process.has_ended() {
            return Err(Gone);
        }
        if request == Request::Immediate(Immediate::Shutdown) {
            self.process.asked_to_end.store(true, Ordering::Release);
        }
        self.process.put(id, request)
    }

    fn pid(&self) -> Option<u32> {
        Some(self.pid)
    }
}

impl Drop for ChildEngine {
    fn drop(&mut self) {
        self.process.ask_to_end();
        if self.process.has_ended() {
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
    leader: Mutex<Leader>,
    /// Requests on their way to the child; once this is gone and they are written, its input is closed.
    calls: Mutex<Option<Sender<Vec<u8>>>>,
    /// Dropped when the child is killed, so that nothing more is read of it.
    end: Mutex<Option<PipeWriter>>,
    asked_to_end: AtomicBool,
    ended: AtomicBool,
    greeted: AtomicBool,
    /// Whether it was ended since it did not greet in time.
    silent: AtomicBool,
    /// Bytes of requests that wait to be written.
    waiting: AtomicUsize,
}

impl Process {
    /// How the child ended, if it does within `limit`.
    fn wait(&self, limit: Duration) -> Option<io::Result<ExitStatus>> {
        let begun = Instant::now();
        loop {
            match locked(&self.leader).try_wait() {
                Ok(Some(status)) => return Some(Ok(status)),
                Err(error) => return Some(Err(error)),
                Ok(None) if begun.elapsed() >= limit => return None,
                Ok(None) => thread::sleep(LOOK),
            }
        }
    }

    /// Ends a child that has not greeted when the time is up.
    fn end_if_silent(&self, patience: Duration) {
        let begun = Instant::now();
        let settled = || self.greeted.load(Ordering::Acquire) || self.ended.load(Ordering::Acquire);
        while begun.elapsed() < patience && !settled() {
            thread::sleep(patience.min(Duration::from_millis(200)));
        }
        if !settled() {
            self.silent.store(true, Ordering::Release);
            self.kill();
        }
    }

    fn put(&self, id: RequestId, request: Request) -> Result<(), Gone> {
        let Ok(frame) = frame::encode(&Call { id, request }) else { return Err(Gone) };
        let size = frame.len();
        if self.waiting.fetch_add(size, Ordering::AcqRel) > WAITING {
            tracing::warn!("the engine takes no requests any more, and is ended");
            self.kill();
            return Err(Gone);
        }
        locked(&self.calls).as_ref().ok_or(Gone)?.send(frame).map_err(|_| Gone)
    }

    /// Says that nothing more comes, and has its input closed.
    fn ask_to_end(&self) {
        self.asked_to_end.store(true, Ordering::Release);
        let _ = self.put(RequestId(0), Request::Immediate(Immediate::Shutdown));
        drop(locked(&self.calls).take());
    }

    /// Ends the child with all that it started, and what is read of it even where somebody else holds its output.
    fn kill(&self) {
        if let Err(error) = locked(&self.leader).kill() {
            tracing::warn!(%error, "the engine process could not be killed");
        }
        drop(locked(&self.end).take());
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a child prints, until that is closed or the child was killed: what left its group may hold the pipe for ever.
struct Output {
    pipe: ChildStdout,
    ended: PipeReader,
}

impl Read for Output {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, poll};
        let mut both = [PollFd::new(&self.ended, PollFlags::IN), PollFd::new(&self.pipe, PollFlags::IN)];
        poll(&mut both, None)?;
        if both[0].revents().is_empty() { self.pipe.read(into) } else { Ok(0) }
    }
}

/// Ends, and closes the child's input, when the handle is dropped or the child no longer reads.
fn write_calls(calls: &Receiver<Vec<u8>>, mut input: ChildStdin, process: &Process) {
    for frame in calls {
        if let Err(error) = input.write_all(&frame).and_then(|()| input.flush()) {
            tracing::debug!(%error, "a request could not be written");
            return;
        }
        process.waiting.fetch_sub(frame.len(), Ordering::AcqRel);
    }
}

fn read_events(
    output: Output,
    sink: &EventSink,
    process: &Process,
    log: LogReader,
    place: Option<&Elsewhere>,
) {
    let mut output = BufReader::with_capacity(64 << 10, output);
    let trouble = pass_events_on(&mut output, sink, process).err();
    if matches!(trouble, Some(Trouble::Said(_))) {
        process.kill();
    }
    drop(output);
    let status = process.wait(GRACE).or_else(|| {
        process.kill();
        process.wait(GRACE)
    });
    let log_tail = log.finish();
    let (trouble, printed) = match trouble {
        Some(Trouble::Printed(line)) => (None, line),
        Some(Trouble::Said(trouble)) => (Some(trouble), None),
        None => (None, None),
    };
    let trouble = if process.silent.load(Ordering::Acquire) {
        Some("did not greet, and was ended: is `glassbox engine` what the command starts there?".into())
    } else {
        trouble
    };
    let code = status.as_ref().and_then(|status| status.as_ref().ok()).and_then(ExitStatus::code);
    let greeted = process.greeted.load(Ordering::Acquire);
    let said: Vec<String> = log_tail.iter().cloned().chain(printed).collect();
    let ended = Ended { trouble: trouble.as_deref(), code, greeted, said: &said };
    let told = place.map(|place| place.told(&ended));
    let how = match (trouble, status) {
        (Some(trouble), _) => trouble,
        (None, Some(Ok(status))) => in_words(status),
        (None, Some(Err(error))) => format!("lost: {error}"),
        (None, None) => "stuck in the system, and left behind".into(),
    };
    let expected = process.asked_to_end.load(Ordering::Acquire);
    process.ended.store(true, Ordering::Release);
    sink(Envelope { id: RequestId(0), event: Event::Exited(Exit { expected, how, log_tail, told }) });
}

/// Why a child that still runs, or has just ended, is not listened to any more.
enum Trouble {
    /// The rest of a sentence about it.
    Said(String),
    /// It ended before it greeted; the last line that it printed instead.
    Printed(Option<String>),
}

/// Until the output ends.
fn pass_events_on(
    output: &mut BufReader<impl Read>,
    sink: &EventSink,
    process: &Process,
) -> Result<(), Trouble> {
    greeting::pass(output).map_err(|none| match none {
        NoGreeting::Ended(line) => Trouble::Printed(line),
        NoGreeting::TooMuch => Trouble::Said(
            "prints so much before `glassbox engine` that it was ended: what a shell prints at its start belongs into \
             sessions with a terminal alone"
                .into(),
        ),
        NoGreeting::Version(version) => Trouble::Said(of_version(version)),
    })?;
    loop {
        let greeted = process.greeted.load(Ordering::Acquire);
        let envelope = match frame::read::<Envelope>(output) {
            Ok(Some(envelope)) => envelope,
            Ok(None) | Err(frame::FrameError::Cut | frame::FrameError::Io(_)) => return Ok(()),
            Err(_) if !greeted => {
                return Err(Trouble::Said("did not answer as a glassbox engine, and was ended".into()));
            }
            Err(error) => {
                return Err(Trouble::Said(format!("sent something unreadable ({error}), and was ended")));
            }
        };
        match envelope.event {
            Event::Ready { version: VERSION, .. } => process.greeted.store(true, Ordering::Release),
            Event::Ready { version, .. } => return Err(Trouble::Said(of_version(version))),
            Event::Exited(_) => continue, // only the handle says so
            _ if !greeted => {
                return Err(Trouble::Said("did not say its protocol's version, and was ended".into()));
            }
            _ => {}
        }
        sink(envelope);
    }
}

fn of_version(version: u32) -> String {
    format!(
        "speaks version {version} of the protocol, this glassbox version {VERSION}: install the same glassbox on both \
         sides"
    )
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

//! What the child writes to standard error: all of it into the log, the last lines kept for the user.
//!
//! Invariant: the kept lines are short, few and printable, whatever was written.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines kept.
const LINES: usize = 40;

/// Bytes kept of one line.
const LINE_BYTES: usize = 400;

/// How long the rest is waited for once the child has ended: a grandchild may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(500);

/// A thread that reads standard error to its end.
pub(super) struct LogReader {
    tail: Arc<Mutex<Tail>>,
    ended: Receiver<()>,
}

impl LogReader {
    pub(super) fn start(
        mut errors: impl Read + Send + 'static,
        mut log: Option<Box<dyn Write + Send>>,
    ) -> io::Result<Self> {
        let tail = Arc::new(Mutex::new(Tail::default()));
        let (ended_out, ended) = mpsc::sync_channel::<()>(1);
        let shared = Arc::clone(&tail);
        thread::Builder::new().name("engine-log".into()).spawn(move || {
            let _ended = ended_out; // dropped at the end, which is the signal
            let mut buffer = [0; 8 << 10];
            loop {
                let count = match errors.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => return,
                };
                // A full disk costs the log, never the engine: what cannot be written is let go.
                log = log.take().and_then(|log| written(log, &buffer[..count]));
                shared.lock().unwrap_or_else(PoisonError::into_inner).add(&buffer[..count]);
            }
        })?;
        Ok(Self { tail, ended })
    }

    /// The last lines, once everything has been read.
    pub(super) fn finish(self) -> Vec<String> {
        let _ = self.ended.recv_timeout(DRAIN);
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).lines()
    }
}

fn written(mut log: Box<dyn Write + Send>, bytes: &[u8]) -> Option<Box<dyn Write + Send>> {
    log.write_all(bytes).and_then(|()| log.flush()).ok().map(|()| log)
}

#[derive(Default)]
struct Tail {
    lines: VecDeque<Vec<u8>>,
    open: Vec<u8>,
}

impl Tail {
    fn add(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES.saturating_sub(self.open.len());
            self.open.extend(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        self.lines.push_back(std::mem::take(&mut self.open));
        if self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    fn lines(&mut self) -> Vec<String> {
        if !self.open.is_empty() {
            self.close();
        }
        self.lines.iter().map(|line| printable(line)).filter(|line| !line.is_empty()).collect()
    }
}

/// One line as text that no terminal acts on.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    without_time(text.trim_end())
        .chars()
        .map(|character| match u32::from(character) {
            0x09 => ' ',
            code @ 0..0x20 => char::from_u32(0x2400 + code).expect("control pictures are characters"),
            0x7f => '\u{2421}',
            0x80..0xa0
            | 0x61c
            | 0x200b..=0x200f
            | 0x2028..=0x202e
            | 0x2060..=0x206f
            | 0xfeff
            | 0xe0000..=0xe0fff => '\u{fffd}',
            _ => character,
        })
        .collect()
}

/// A line without the time that the child's own log puts in front: it says nothing to a reader of the tail.
fn without_time(line: &str) -> &str {
    let Some((time, rest)) = line.split_once('Z') else { return line };
    let is_time = time.len() > 18
        && time.chars().all(|character| character.is_ascii_digit() || "-:T.".contains(character));
    if is_time { rest.trim_start() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_forty_lines_are_kept_and_the_unfinished_one_too() {
        let mut tail = Tail::default();
        (0..100).for_each(|line| tail.add(format!("line {line}\n").as_bytes()));
        tail.add(b"ha");
        tail.add(b"lf");
        let lines = tail.lines();
        assert_eq!((lines.len(), lines[0].as_str(), lines[39].as_str()), (40, "line 61", "half"));
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut tail = Tail::default();
        (0..1000).for_each(|_| tail.add(&[b'x'; 8192]));
        assert_eq!(tail.lines(), ["x".repeat(LINE_BYTES)]);
    }

    #[test]
    fn escapes_and_direction_marks_become_harmless() {
        assert_eq!(printable(b"\x1b[2J\x07a\tb\xff\r"), "\u{241b}[2J\u{2407}a b\u{fffd}");
        assert_eq!(printable("\u{202e}\u{9b}2J".as_bytes()), "\u{fffd}\u{fffd}2J");
    }

    #[test]
    fn the_tail_carries_no_times() {
        let mut tail = Tail::default();
        tail.add(b"2026-11-23T20:38:35.226611Z ERROR llama.cpp: lost\nZ is a letter\n");
        assert_eq!(tail.lines(), ["ERROR llama.cpp: lost", "Z is a letter"]);
    }
}

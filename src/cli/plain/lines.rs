//! Lines in and out.
//!
//! Invariant: what goes out has no control characters but line ends and tabs, and is cut only where a sentence or a line ends.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::chat::unfinished_tail;
use crate::sanitize;

/// Reads standard input line by line, beside everything else; ends with it.
pub(super) fn read_lines() -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { break };
            let text = String::from_utf8_lossy(&line);
            if sender.send(text.trim_end_matches('\r').to_owned()).is_err() {
                break;
            }
        }
    });
    lines
}

/// Writes to standard output at once.
///
/// # Errors
/// When it was closed.
pub(super) fn write(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output was closed")
}

/// Writes what stands before a line, where somebody reads it.
///
/// # Errors
/// When standard output was closed.
pub(super) fn prompt(text: &str) -> anyhow::Result<()> {
    if std::io::stdin().is_terminal() || !text.starts_with("You") { write(text) } else { Ok(()) }
}

/// A text that comes in pieces, given on sentence by sentence.
#[derive(Default)]
pub(super) struct Sentences {
    held: Vec<u8>,
}

impl Sentences {
    /// Takes a piece; gives what has become whole.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let whole = self.held.len() - unfinished_tail(&self.held);
        let text = String::from_utf8_lossy(&self.held[..whole]).into_owned();
        let Some(end) = end_of_last(&text) else { return String::new() };
        // Bytes that were no text are one character in place of some: what is left is counted from the end.
        let rest = text.len() - end;
        let tail = self.held.split_off(whole);
        let left = text.as_bytes()[text.len() - rest..].to_vec();
        self.held = [left, tail].concat();
        sanitize::for_copy(&text[..end])
    }

    /// What is left.
    pub(super) fn rest(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        let whole = held.len() - unfinished_tail(&held);
        sanitize::for_copy(&String::from_utf8_lossy(&held[..whole]))
    }
}

/// Where the last sentence or line that has ended ends.
fn end_of_last(text: &str) -> Option<usize> {
    let mut end = None;
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        if character == '\n' || matches!(character, '。' | '！' | '？') {
            end = Some(at + character.len_utf8());
        } else if character.is_whitespace() && matches!(before, '.' | '!' | '?' | ':' | ';' | '…') {
            end = Some(at);
        }
        before = character;
    }
    end.filter(|end| *end > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_goes_out_by_sentences_and_whole_characters() {
        let mut sentences = Sentences::default();
        let pieces = ["One", " two.", " Thr", "ee\nfo", "ur \u{1b}[2J"];
        let said: Vec<String> = pieces.iter().map(|piece| sentences.push(piece.as_bytes())).collect();
        assert_eq!(said, ["", "", "One two.", " Three\n", ""]);
        let rest = sentences.rest();
        assert!(rest.starts_with("four ") && !rest.contains('\u{1b}'), "{rest:?}");
        assert_eq!(sentences.push(b"a\xf0\x9f"), "");
        assert_eq!(sentences.push("\n".as_bytes()), "a\u{fffd}\n");
    }
}

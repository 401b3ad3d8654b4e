//! Bytes of a message as text, with the way from the offsets of one to those of the other.
//!
//! Invariant: bytes that form no character are `�`; a carriage return that no line feed follows ends a line, as
//! `CommonMark` has it, and is a line feed in the text, since the parser takes it for one here and not there. What more
//! bytes may still decide, an unfinished last character or return, is held back while they may come.

use crate::chat::unfinished_tail;

/// The text and how its offsets differ from those of the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub text: String,
    /// After each `�`: offset in the text, offset in the bytes.
    shifts: Vec<(usize, usize)>,
    held: Vec<u8>,
    read: usize,
}

impl Source {
    /// Adds bytes; the last of them are held back where more may come that decide what they are.
    pub fn append(&mut self, bytes: &[u8], growing: bool) {
        let mut pending = std::mem::take(&mut self.held);
        pending.extend_from_slice(bytes);
        let held = if growing { undecided(&pending) } else { 0 };
        self.held = pending.split_off(pending.len() - held);
        for chunk in pending.utf8_chunks() {
            push_lines(&mut self.text, chunk.valid());
            self.read += chunk.valid().len() + chunk.invalid().len();
            if !chunk.invalid().is_empty() {
                self.text.push('�');
                self.shifts.push((self.text.len(), self.read));
            }
        }
    }

    /// All bytes, those held back included.
    pub fn bytes(&self) -> usize {
        self.read + self.held.len()
    }

    /// The byte at an offset of the text.
    pub fn byte(&self, offset: usize) -> usize {
        let before = self.shifts.partition_point(|(text, _)| *text <= offset);
        match before.checked_sub(1).map(|index| self.shifts[index]) {
            Some((text, byte)) => byte + offset - text,
            None => offset,
        }
    }

    /// The offset in the text of the character that a byte is part of, or near it.
    pub fn offset(&self, byte: usize) -> usize {
        let before = self.shifts.partition_point(|(_, at)| *at <= byte);
        let (text, at) = before.checked_sub(1).map_or((0, 0), |index| self.shifts[index]);
        let most = self.shifts.get(before).map_or(self.text.len(), |(next, _)| next - 1);
        (text + byte - at).min(most)
    }
}

/// How many of the last bytes are not decided yet.
fn undecided(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") { 1 } else { unfinished_tail(bytes) }
}

/// Adds a text in which every carriage return stands before a line feed.
fn push_lines(text: &mut String, added: &str) {
    let mut parts = added.split('\r').peekable();
    while let Some(part) = parts.next() {
        text.push_str(part);
        if let Some(next) = parts.peek() {
            text.push(if next.starts_with('\n') { '\r' } else { '\n' });
        }
    }
}

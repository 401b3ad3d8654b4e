//! Bytes of a message as text, with the way from the offsets of one to those of the other.
//!
//! Invariant: bytes that form no character are `�`; those of an unfinished last one are held back while more may come.

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
    /// Adds bytes; the last of them are held back where a character is not whole and more may come.
    pub fn append(&mut self, bytes: &[u8], growing: bool) {
        let mut pending = std::mem::take(&mut self.held);
        pending.extend_from_slice(bytes);
        let held = if growing { unfinished_tail(&pending) } else { 0 };
        self.held = pending.split_off(pending.len() - held);
        for chunk in pending.utf8_chunks() {
            self.text.push_str(chunk.valid());
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

//! The chat read a second time without any changes, on a sequence that stays from batch to batch.
//!
//! Invariant: it never touches the chat's sequence; its cells are its own, and [`Session::fits_beside`] counts them.

use super::sequences::{SCRATCH_CELLS, UNCHANGED};
use super::{Halt, Rows, Session};
use crate::token::TokenId;

impl Session {
    /// Whether the cache holds the chat twice, with the next token of both.
    pub(crate) fn fits_twice(&self) -> bool {
        self.has_scratch() && 2 * self.cached().len() < self.limit() + SCRATCH_CELLS
    }

    /// Decodes tokens without the changes that are in force but with the adapters, which are part of the model here, after the `start` that were read so before.
    ///
    /// # Errors
    /// See [`Halt`]; nothing is held then.
    pub fn read_unchanged(&mut self, start: usize, ids: &[TokenId], rows: Rows) -> Result<(), Halt> {
        let changes = self.changes.clone();
        let adapters: Vec<_> = changes.iter().filter(|change| change.adapter().is_some()).cloned().collect();
        self.change(&adapters);
        let decoded = self.decode_on(UNCHANGED, start, ids, rows);
        self.change(&changes);
        self.unchanged = if decoded.is_ok() { start + ids.len() } else { 0 };
        decoded
    }

    /// Forgets what was read without changes; its cells are free again.
    pub fn forget_unchanged(&mut self) {
        if self.unchanged > 0 {
            self.drop_sequence(UNCHANGED);
            self.unchanged = 0;
        }
    }
}

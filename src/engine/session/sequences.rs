//! Sequences of the cache beside the chat's: which there are, and what they share.
//!
//! Invariant: nothing here writes to the chat's sequence or to [`Session::cached`]. At least [`SCRATCH_CELLS`] tokens
//! fit beside the chat whatever it has filled, all sequences together; more only where [`Session::fits_beside`] says so.

use super::{CHAT, Halt, Item, Rows, Session, stretch};
use crate::engine::model::fit;
use crate::token::TokenId;

/// The first sequence beside the chat's.
pub(super) const FIRST: u8 = 1;
/// The last one.
pub(super) const LAST: u8 = fit::SEQUENCES as u8 - 1;
/// Where another branch is kept.
pub(super) const BRANCH: u8 = LAST - 1;
/// Where the unchanged network reads along.
pub(super) const UNCHANGED: u8 = LAST;
/// Cells beside those that the chat may fill.
pub(super) const SCRATCH_CELLS: usize = fit::SCRATCH_CELLS as usize;

impl Session {
    /// Whether there are sequences beside the chat's; recurrent and hybrid models have none.
    pub(crate) fn has_scratch(&self) -> bool {
        !self.recurrent
    }

    /// Whether so many tokens fit beside all that the chat and the unchanged network have read.
    pub(super) fn fits_beside(&self, tokens: usize) -> bool {
        let filled = self.cached().len() + self.unchanged;
        self.has_scratch() && filled + tokens <= self.context.get().n_ctx() as usize
    }

    /// Makes the sequence `to` hold the first `count` tokens of `from` and nothing else.
    ///
    /// # Panics
    /// Where `to` is the chat's sequence or `from`, or the model has only the chat's: llama.cpp would end the process.
    pub(super) fn fork(&mut self, from: u8, to: u8, count: usize) {
        assert!(to != CHAT && to != from && self.has_scratch(), "the chat's sequence is never overwritten");
        self.drop_sequence(to);
        if count == 0 {
            return;
        }
        let end = u32::try_from(count).expect("a context has fewer than 2^31 cells");
        self.swa_guard.holds(to);
        self.context
            .with(|context| context.copy_kv_cache_seq(from.into(), to.into(), Some(0), Some(end)))
            .expect("a context has fewer than 2^31 cells");
    }

    /// Forgets a sequence; its cells are free again.
    pub(super) fn drop_sequence(&mut self, sequence: u8) {
        if sequence == CHAT || !self.has_scratch() {
            return;
        }
        self.swa_guard.let_go(sequence, true);
        self.context
            .with(|context| context.clear_kv_cache_seq(Some(sequence.into()), None, None))
            .expect("sequences have small numbers");
    }

    /// Decodes `ids` on a sequence that holds `start` tokens, as one batch: at most [`Session::slice`] of them, and
    /// [`Session::most_rows`] with [`Rows::All`]. Logits are then at [`Session::row`] by index into `ids`.
    ///
    /// # Errors
    /// See [`Halt`]; the sequence is then empty.
    pub(super) fn decode_on(
        &mut self,
        sequence: u8,
        start: usize,
        ids: &[TokenId],
        rows: Rows,
    ) -> Result<(), Halt> {
        self.submit(stretch(sequence, start, ids, rows)).inspect_err(|_| self.drop_sequence(sequence))
    }

    /// Decodes one batch over several sequences. Logits are at [`Session::row`] by index into `items`.
    ///
    /// # Errors
    /// See [`Halt`]; the caller then drops the sequences it named.
    pub(super) fn decode_items(&mut self, items: impl IntoIterator<Item = Item>) -> Result<(), Halt> {
        self.submit(items)
    }
}

//! Sequences beside the chat's: the past read again, scores, beams. They share the chat's cells for what they
//! have in common with it, so only what differs is decoded.
//!
//! Invariant: nothing here touches the chat's sequence or [`Session::cached`]. Who uses a sequence drops it
//! again; at most [`SCRATCH_CELLS`] tokens beyond what is shared with the chat can be held whatever the chat has
//! filled, all sequences together; more only where [`Session::fits_beside`] says so.

use super::branch_cache::Beginning;
use super::{CHAT, Halt, Item, Rows, Session, stretch};
use crate::chat::Intervention;
use crate::engine::model::fit::SCRATCH_CELLS;
use crate::token::TokenId;

/// The scratch sequence of what needs only one. Beams use it and those after it.
pub const SCRATCH: u8 = 1;
/// The last scratch sequence.
pub const LAST_SCRATCH: u8 = crate::engine::model::fit::SEQUENCES as u8 - 1;

impl Session {
    /// Whether there are sequences beside the chat's; recurrent and hybrid models have none.
    #[must_use]
    pub fn has_scratch(&self) -> bool {
        !self.recurrent
    }

    /// How many of the first `ids` are in the chat's sequence, read under these interventions. Always fewer
    /// than all: the last token's logits are wanted.
    #[must_use]
    pub fn shared(&self, ids: &[TokenId], interventions: &[Intervention]) -> usize {
        self.prefix.common(ids, interventions)
    }

    /// How many of the first `ids` a scratch sequence can take from the chat's, if the rest fits into the scratch cells,
    /// which are there however much the chat has read.
    #[must_use]
    pub fn shared_if_rest_fits(&self, ids: &[TokenId], interventions: &[Intervention]) -> Option<usize> {
        let shared = self.shared(ids, interventions);
        (self.has_scratch() && ids.len() - shared <= SCRATCH_CELLS as usize).then_some(shared)
    }

    /// Whether so many tokens fit beside all that the chat has read: the scratch cells, and those of the chat's own
    /// that it has not filled.
    #[must_use]
    pub fn fits_beside(&self, tokens: usize) -> bool {
        self.has_scratch() && self.cached().len() + tokens <= self.context.get().n_ctx() as usize
    }

    /// Makes a scratch sequence hold the chat's first `count` tokens and nothing else.
    pub fn copy_prefix(&mut self, sequence: u8, count: usize) {
        self.fork(CHAT, sequence, count);
    }

    /// Makes the scratch sequence `to` hold the first `count` tokens of `from` and nothing else.
    ///
    /// # Panics
    /// Where `to` is the chat's sequence or `from`, or the model has no scratch sequences: llama.cpp would
    /// end the process.
    pub fn fork(&mut self, from: u8, to: u8, count: usize) {
        assert!(to != CHAT && to != from && self.has_scratch(), "the chat's sequence is never overwritten");
        self.drop_sequence(to);
        if count == 0 {
            return;
        }
        let end = u32::try_from(count).expect("a context has fewer than 2^31 cells");
        self.guard.holds(to);
        self.context
            .with(|context| context.copy_kv_cache_seq(from.into(), to.into(), Some(0), Some(end)))
            .expect("a context has fewer than 2^31 cells");
    }

    /// Forgets a scratch sequence; its cells are free again.
    pub fn drop_sequence(&mut self, sequence: u8) {
        if sequence == CHAT || !self.has_scratch() {
            return;
        }
        self.guard.let_go(sequence, true);
        self.context
            .with(|context| context.clear_kv_cache_seq(Some(sequence.into()), None, None))
            .expect("sequences have small numbers");
    }

    /// Decodes `ids` on a scratch sequence that holds `start` tokens, as one batch: at most
    /// [`Session::slice`] of them, and [`crate::engine::model::fit::OUTPUT_ROWS`] with [`Rows::All`]. Logits are then at
    /// [`Session::row`] by index into `ids`.
    ///
    /// # Errors
    /// See [`Halt`]; the sequence is then empty.
    pub fn decode_on(&mut self, sequence: u8, start: usize, ids: &[TokenId], rows: Rows) -> Result<(), Halt> {
        self.decode_items(stretch(sequence, start, ids, rows)).inspect_err(|_| self.drop_sequence(sequence))
    }

    /// Reads `ids` as a scratch sequence that shares the chat's first `shared` tokens; see [`Session::read_from`].
    ///
    /// # Errors
    /// See [`Halt`]; the sequence is then empty.
    pub fn read_on(
        &mut self,
        sequence: u8,
        ids: &[TokenId],
        shared: usize,
        progress: impl FnMut(usize, usize),
    ) -> Result<(), Halt> {
        self.read_from(sequence, ids, Beginning::of_chat(shared), progress)
    }

    /// Reads `ids` as a scratch sequence that begins with what another holds, in slices; the last one's logits are then
    /// [`Session::logits`].
    ///
    /// # Errors
    /// See [`Halt`]; the sequence is then empty.
    pub fn read_from(
        &mut self,
        sequence: u8,
        ids: &[TokenId],
        from: Beginning,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<(), Halt> {
        let shared = from.count;
        self.fork(from.sequence, sequence, shared);
        let total = ids.len() - shared;
        let mut done = 0;
        for slice in ids[shared..].chunks(self.slice()) {
            let last = done + slice.len() == total;
            self.decode_on(sequence, shared + done, slice, if last { Rows::Last } else { Rows::None })?;
            done += slice.len();
            progress(done, total);
        }
        Ok(())
    }

    /// Forgets all scratch sequences.
    pub fn drop_scratch(&mut self) {
        self.forget_beside();
        (SCRATCH..=LAST_SCRATCH).for_each(|sequence| self.drop_sequence(sequence));
    }

    /// Decodes one batch over several scratch sequences. Logits are at [`Session::row`] by index into `items`.
    ///
    /// # Errors
    /// See [`Halt`]; the caller then drops the sequences it named.
    pub fn decode_items(&mut self, items: impl IntoIterator<Item = Item>) -> Result<(), Halt> {
        self.submit(items)
    }
}

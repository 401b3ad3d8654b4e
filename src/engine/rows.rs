//! Batches that give more than one distribution: a text's own rows, and sequences beside the chat's that share
//! its past.
//!
//! Invariant: as in [`super::decode`], [`Session::cached`] names exactly what sequence 0 holds, also after a
//! cancelled or failed batch; a scratch sequence never outlives the request that made it.

use std::sync::atomic::Ordering;

use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;

use super::decode::{CHAT, Halt, Session, halt, position};
use super::fit;
use super::load::SEQUENCES;
use crate::chat::Intervention;
use crate::token::TokenId;

/// Scratch sequences are numbered from 1 to this.
pub const SCRATCH: usize = SEQUENCES as usize - 1;

/// One token for a scratch sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// The sequence, 1 to [`SCRATCH`].
    pub sequence: usize,
    /// Its place in that sequence, from 0.
    pub place: usize,
    /// The token.
    pub id: TokenId,
}

impl Session {
    /// Whether the past can only be taken back as a whole, so that there are no sequences beside the chat's.
    #[must_use]
    pub fn is_recurrent(&self) -> bool {
        self.recurrent
    }

    /// How many of the ids sequence 0 begins with, read with the same changes to the network.
    #[must_use]
    pub fn shared_with_chat(&self, ids: &[TokenId], interventions: &[Intervention]) -> usize {
        self.prefix.common(ids, interventions)
    }

    /// Keeps at most the first `most` tokens of what the cache shares with the text, so that rows after them
    /// can be read; gives how many were kept.
    pub fn reuse_at_most(&mut self, ids: &[TokenId], most: usize, interventions: &[Intervention]) -> usize {
        let keep = self.prefix.common(ids, interventions).min(most);
        let kept = self.keep(keep);
        self.prefix.interventions = interventions.to_vec();
        kept
    }

    /// The most tokens that [`Session::read_rows`] and [`Session::put`] take.
    #[must_use]
    pub fn most_rows(&self) -> usize {
        self.slice.min(fit::OUTPUT_ROWS as usize)
    }

    /// Appends tokens to the chat's sequence and computes the distribution after each: see
    /// [`Session::row`].
    ///
    /// # Errors
    /// See [`Halt`]; none of the tokens is then in the cache.
    ///
    /// # Panics
    /// With more than [`Session::most_rows`] tokens.
    pub fn read_rows(&mut self, ids: &[TokenId]) -> Result<(), Halt> {
        assert!(ids.len() <= self.most_rows(), "the caller reads in slices of most_rows");
        let start = self.prefix.ids.len();
        self.batch.clear();
        for (index, id) in ids.iter().enumerate() {
            add(&mut self.batch, *id, start + index, i32::from(CHAT), true);
        }
        match self.run() {
            Ok(()) => {
                self.prefix.ids.extend_from_slice(ids);
                Ok(())
            }
            Err(halt) => {
                self.keep(start);
                Err(halt)
            }
        }
    }

    /// The logits after the token of that index in the last batch.
    ///
    /// # Panics
    /// When the last batch had no row there.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        self.context.get().get_logits_ith(position(index))
    }

    /// Reads the ids as scratch sequence 1, which shares the chat's first `shared` tokens; the last one's
    /// distribution is then [`Session::logits`].
    ///
    /// # Errors
    /// See [`Halt`]; the sequence is then partly filled.
    pub fn read_beside(
        &mut self,
        ids: &[TokenId],
        shared: usize,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<(), Halt> {
        self.copy_sequence(usize::from(CHAT), 1, shared);
        let total = ids.len() - shared;
        let mut done = 0;
        for slice in ids[shared..].chunks(self.slice) {
            self.batch.clear();
            for (index, id) in slice.iter().enumerate() {
                let place = shared + done + index;
                add(&mut self.batch, *id, place, 1, place + 1 == ids.len());
            }
            self.run()?;
            done += slice.len();
            progress(done, total);
        }
        Ok(())
    }

    /// Reads one token in each of some scratch sequences as one batch; [`Session::row`] has the distributions
    /// in the same order.
    ///
    /// # Errors
    /// See [`Halt`].
    ///
    /// # Panics
    /// With more than [`Session::most_rows`] tokens.
    pub fn put(&mut self, tokens: &[Put]) -> Result<(), Halt> {
        assert!(tokens.len() <= self.most_rows(), "there are fewer scratch sequences than rows");
        self.batch.clear();
        for put in tokens {
            add(&mut self.batch, put.id, put.place, position(put.sequence), true);
        }
        self.run()
    }

    /// Makes a scratch sequence share the first `count` tokens of another; what it held is dropped.
    pub fn copy_sequence(&mut self, from: usize, to: usize, count: usize) {
        self.drop_sequence(to);
        self.context.with(|context| {
            context
                .copy_kv_cache_seq(position(from), position(to), Some(0), Some(count as u32))
                .expect("a context has fewer than 2^31 cells");
        });
    }

    /// Empties a scratch sequence.
    pub fn drop_sequence(&mut self, sequence: usize) {
        self.context.with(|context| {
            context
                .clear_kv_cache_seq(Some(sequence as u32), None, None)
                .expect("sequences have small numbers");
        });
    }

    /// Empties all scratch sequences.
    pub fn drop_scratch(&mut self) {
        if !self.recurrent {
            (1..=SCRATCH).for_each(|sequence| self.drop_sequence(sequence));
        }
    }

    fn run(&mut self) -> Result<(), Halt> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Halt::Cancelled);
        }
        let Self { context, batch, .. } = self;
        context.with(|context| context.decode(batch)).map_err(|error| halt(&error, &self.stop))
    }
}

fn add(batch: &mut LlamaBatch<'_>, id: TokenId, place: usize, sequence: i32, logits: bool) {
    batch
        .add(LlamaToken(id.0), position(place), &[sequence], logits)
        .expect("a slice is never longer than the batch");
}

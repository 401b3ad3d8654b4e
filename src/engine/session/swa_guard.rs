//! Cells of the cache that must stay, though their own sequence would no longer look at them.
//!
//! Layers with a sliding window let llama.cpp write over a cell of a single sequence as soon as that sequence's newest
//! token no longer sees it. A past token of the chat would, and so would a text that shares the chat's beginning; they
//! would read another text's keys there. A cell of two sequences is left alone, so every cell that is held belongs to
//! the guard's sequence too, which nothing ever attends to.
//!
//! Invariant: when a batch is decoded, each cell of a sequence that is held is the guard's too, and no other is.

use super::Session;

/// The guard's sequence, after all others.
const GUARD: u8 = crate::engine::model::fit::SEQUENCES as u8;

/// Which sequences hold cells.
#[derive(Debug, Default)]
pub(super) struct SwaGuard {
    /// A bit a sequence.
    held: u32,
    /// Whether cells were let go that the guard still names.
    stale: bool,
}

impl SwaGuard {
    /// A sequence got cells.
    pub(super) fn holds(&mut self, sequence: u8) {
        self.held |= 1 << sequence;
    }

    /// A sequence let cells go; all of them where it is `empty` now.
    pub(super) fn let_go(&mut self, sequence: u8, empty: bool) {
        self.stale |= self.held & 1 << sequence != 0;
        if empty {
            self.held &= !(1 << sequence);
        }
    }

    /// A batch failed: the caller removes what it left behind.
    pub(super) fn distrust(&mut self) {
        self.stale = true;
    }

    /// The cache was emptied.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn sequences(&self) -> impl Iterator<Item = u8> + use<> {
        let held = self.held;
        (0..GUARD).filter(move |sequence| held & 1 << sequence != 0)
    }
}

impl Session {
    /// Guards what is held and only that; before a batch is decoded.
    pub(super) fn guard_held(&mut self) {
        if !self.swa_guard.stale {
            return;
        }
        self.swa_guard.stale = false;
        self.context
            .with(|context| context.clear_kv_cache_seq(Some(GUARD.into()), None, None))
            .expect("sequences have small numbers");
        for sequence in self.swa_guard.sequences() {
            self.guard_cells(sequence, 0, None);
        }
    }

    /// Guards what a batch has written: positions from `first` to before `end` of a sequence.
    pub(super) fn guard_cells(&mut self, sequence: u8, first: u32, end: Option<u32>) {
        if !self.has_scratch() {
            return;
        }
        self.swa_guard.holds(sequence);
        self.context
            .with(|context| context.copy_kv_cache_seq(sequence.into(), GUARD.into(), Some(first), end))
            .expect("a context has fewer than 2^31 cells");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_go_is_noticed_and_only_then() {
        let mut guard = SwaGuard::default();
        guard.let_go(3, true);
        assert!(!guard.stale, "it held nothing");
        guard.holds(0);
        guard.holds(3);
        guard.let_go(0, false);
        assert!(guard.stale);
        assert_eq!(guard.sequences().collect::<Vec<_>>(), [0, 3]);
        guard.let_go(3, true);
        assert_eq!(guard.sequences().collect::<Vec<_>>(), [0]);
        guard.clear();
        assert!(!guard.stale && guard.sequences().next().is_none());
    }
}

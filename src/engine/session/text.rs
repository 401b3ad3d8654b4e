//! A text that is to be read beside the chat, and how much room that takes.
//!
//! Invariant: plain arithmetic; what is held of a text is always less than the whole, since its last logits are wanted.

use super::sequences::SCRATCH_CELLS;
use crate::chat::Intervention;
use crate::token::TokenId;

/// What is to be read on a lane.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The tokens.
    pub ids: &'a [TokenId],
    /// The first whose pass is wanted; those before it are only read.
    pub first: usize,
    /// What is changed in the network while it is read.
    pub changes: &'a [Intervention],
    /// Cells that are needed beyond those of the text.
    pub more: usize,
    /// Most tokens that are worth reading beside the chat.
    pub most: usize,
}

impl<'a> Text<'a> {
    /// A text whose last pass is wanted.
    pub fn last(ids: &'a [TokenId], changes: &'a [Intervention]) -> Self {
        Self::from(ids.len().saturating_sub(1), ids, changes)
    }

    /// A text whose passes from `first` on are wanted.
    pub fn from(first: usize, ids: &'a [TokenId], changes: &'a [Intervention]) -> Self {
        Self { ids, first, changes, more: 0, most: usize::MAX }
    }

    /// Most cells that reading it takes at a time where its first `held` tokens need none. Passes whose tokens are held
    /// already are read again in batches that give way to each other.
    pub(super) fn cells(&self, held: usize) -> usize {
        let again = (self.ids.len() - self.first.min(self.ids.len())).min(SCRATCH_CELLS);
        (self.ids.len() - held).max(again) + self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_of_what_is_held_take_the_cells_of_a_batch_at_most() {
        let ids = vec![TokenId(1); 2000];
        let check = |first: usize, held: usize, cells: usize| {
            assert_eq!(Text::from(first, &ids, &[]).cells(held), cells, "{first} {held}");
        };
        check(1999, 1999, 1);
        check(1999, 400, 1600);
        check(1900, 1999, 100);
        check(0, 1999, SCRATCH_CELLS);
        check(0, 0, 2000);
        assert_eq!(Text { more: 40, ..Text::last(&ids, &[]) }.cells(1990), 50);
    }
}

//! Which cell of the cache holds which position, learned from where keys are stored.
//!
//! Invariant: a cell is known by the last position written to it; the mask, not this map, says which cells a token may
//! read, so cells of other branches do no harm.

use std::collections::HashMap;

/// The cells of every layer's cache.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// Positions of the batch's tokens, in order.
    batch: Vec<u32>,
    /// Of each layer: position by cell, and how many of the batch's tokens have been stored.
    layers: HashMap<u32, (Vec<u32>, usize)>,
}

/// No position: a cell that was never written.
const EMPTY: u32 = u32::MAX;
/// The position of a cell that holds none.
pub(super) const NOWHERE: usize = usize::MAX;

impl Cells {
    /// A new batch with tokens at these positions.
    pub(super) fn begin(&mut self, positions: impl Iterator<Item = u32>) {
        self.batch.clear();
        self.batch.extend(positions);
        self.layers.values_mut().for_each(|(_, stored)| *stored = 0);
    }

    /// Tokens of the batch.
    pub(super) fn batch(&self) -> usize {
        self.batch.len()
    }

    /// The next tokens of the batch were stored in these cells.
    pub(super) fn store(&mut self, layer: u32, cells: impl Iterator<Item = usize>) {
        let (positions, stored) = self.layers.entry(layer).or_default();
        for cell in cells {
            let Some(position) = self.batch.get(*stored) else { return };
            if cell >= positions.len() {
                positions.resize(cell + 1, EMPTY);
            }
            positions[cell] = *position;
            *stored += 1;
        }
    }

    /// The position that a cell holds.
    pub(super) fn position(&self, layer: u32, cell: usize) -> Option<usize> {
        let position = *self.layers.get(&layer)?.0.get(cell)?;
        (position != EMPTY).then_some(position as usize)
    }

    /// Whether two layers hold the same positions in the same cells.
    pub(super) fn hold_alike(&self, layer: u32, other: u32) -> bool {
        let held = |layer: u32| self.layers.get(&layer).map(|(held, _)| held);
        layer == other || held(layer) == held(other)
    }

    /// The position of one of the batch's tokens; its last's beyond the end.
    pub(super) fn at(&self, index: usize) -> usize {
        self.batch.get(index).map_or_else(|| self.last(), |position| *position as usize)
    }

    /// The position of each of so many cells, [`NOWHERE`] for those that hold none.
    pub(super) fn positions(&self, layer: u32, count: usize) -> Vec<usize> {
        let held = self.layers.get(&layer).map_or(&[] as &[u32], |(held, _)| held);
        let place = |position: Option<&u32>| match position {
            Some(&position) if position != EMPTY => position as usize,
            _ => NOWHERE,
        };
        (0..count).map(|cell| place(held.get(cell))).collect()
    }

    /// The position of the batch's last token.
    pub(super) fn last(&self) -> usize {
        self.batch.last().copied().unwrap_or_default() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_in_parts_and_a_cell_written_anew() {
        let mut cells = Cells::default();
        cells.begin(0..5);
        cells.store(0, [10, 11, 12].into_iter());
        cells.store(1, 0..3);
        cells.store(0, [3, 4].into_iter());
        assert_eq!(
            [10, 12, 3, 4, 5].map(|cell| cells.position(0, cell)),
            [Some(0), Some(2), Some(3), Some(4), None]
        );
        assert_eq!(cells.position(1, 2), Some(2));
        cells.begin(std::iter::once(9));
        cells.store(0, std::iter::once(11));
        assert_eq!((cells.position(0, 11), cells.position(0, 10), cells.last()), (Some(9), Some(0), 9));
    }
}

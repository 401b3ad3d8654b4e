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
    /// Whether each of them gives logits; the last block may compute only those.
    outputs: Vec<bool>,
    /// How many of the batch's tokens each block's output was given for.
    passed: HashMap<u32, usize>,
    /// How many tokens the keys stored last were of: the part of the batch that is computed at once.
    part: Option<usize>,
    /// Of each layer: position by cell, and how many of the batch's tokens have been stored.
    layers: HashMap<u32, (Vec<u32>, usize)>,
}

/// No position: a cell that was never written.
const EMPTY: u32 = u32::MAX;
/// The position of a cell that holds none.
pub(super) const NOWHERE: usize = usize::MAX;

impl Cells {
    /// A new batch with tokens at these positions, and whether each gives logits.
    pub(super) fn begin(&mut self, tokens: impl Iterator<Item = (u32, bool)>) {
        (self.batch, self.outputs) = tokens.unzip();
        self.passed.clear();
        self.part = None;
        self.layers.values_mut().for_each(|(_, stored)| *stored = 0);
    }

    /// Tokens of the batch.
    pub(super) fn batch(&self) -> usize {
        self.batch.len()
    }

    /// The next tokens of the batch were stored in these cells.
    pub(super) fn store(&mut self, layer: u32, cells: impl Iterator<Item = usize>) {
        let (positions, stored) = self.layers.entry(layer).or_default();
        let before = *stored;
        for cell in cells {
            let Some(position) = self.batch.get(*stored) else { break };
            if cell >= positions.len() {
                positions.resize(cell + 1, EMPTY);
            }
            positions[cell] = *position;
            *stored += 1;
        }
        self.part = Some(*stored - before);
    }

    /// The positions of the columns, so many, of a block's output, which is computed part by part.
    pub(super) fn columns(&mut self, layer: u32, count: usize) -> Vec<u32> {
        let outputs = self.outputs.iter().filter(|gives| **gives).count();
        // A model without a cache of keys tells no parts; its last block is known by computing only what gives logits.
        let whole = if count == outputs { self.batch.len() } else { count };
        let passed = self.passed.entry(layer).or_default();
        let part = *passed..(*passed + self.part.unwrap_or(whole)).min(self.batch.len());
        *passed = part.end;
        let all = count == part.len();
        part.filter(|token| all || self.outputs[*token]).map(|token| self.batch[token]).collect()
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
        cells.begin((0..5).map(|position| (position, true)));
        cells.store(0, [10, 11, 12].into_iter());
        cells.store(1, 0..3);
        cells.store(0, [3, 4].into_iter());
        assert_eq!(
            [10, 12, 3, 4, 5].map(|cell| cells.position(0, cell)),
            [Some(0), Some(2), Some(3), Some(4), None]
        );
        assert_eq!(cells.position(1, 2), Some(2));
        cells.begin(std::iter::once((9, true)));
        cells.store(0, std::iter::once(11));
        assert_eq!((cells.position(0, 11), cells.position(0, 10), cells.last()), (Some(9), Some(0), 9));
    }

    #[test]
    fn columns_are_those_of_the_part_and_at_the_end_only_of_the_outputs() {
        let mut cells = Cells::default();
        cells.begin([(0, true), (1, false), (2, false), (3, true), (4, true)].into_iter());
        cells.store(0, 0..3);
        assert_eq!(cells.columns(0, 3), [0, 1, 2]);
        cells.store(1, 0..3);
        assert_eq!(cells.columns(1, 1), [0]);
        cells.store(0, 3..5);
        assert_eq!(cells.columns(0, 2), [3, 4]);
        cells.store(1, 3..5);
        assert_eq!(cells.columns(1, 2), [3, 4]);
    }

    #[test]
    fn columns_of_a_model_without_keys() {
        let mut cells = Cells::default();
        cells.begin([(0, false), (1, false), (2, true)].into_iter());
        assert_eq!((cells.columns(0, 3), cells.columns(1, 1)), (vec![0, 1, 2], vec![2]));
    }
}

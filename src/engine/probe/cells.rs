//! Which cell of the cache holds which position.
//!
//! llama.cpp tells which positions a sequence holds, in the order of their cells ([`Held`]), and the mask tells which
//! cells a token sees; together they say where each lies. The cells of the batch itself are told by where its keys are
//! stored.
//!
//! Invariant: nothing is carried over from batch to batch, so it does not matter what was done to the cache in between,
//! or who watched. A cell's position is told only where the cells seen are as many as the positions held; otherwise none
//! of the earlier ones is.

use std::collections::HashMap;

/// What a sequence holds: positions in the order of their cells, a list for each cache that the model has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The cache of layers that see everything.
    pub all: Vec<u32>,
    /// That of layers that see a window, where it is another.
    pub window: Option<Vec<u32>>,
}

impl Held {
    /// The fewest words of four bytes that llama.cpp writes of a cell.
    pub(crate) const LEAST_WORDS: usize = 3;
    /// The most.
    pub(crate) const MOST_WORDS: usize = 8;
    /// What stands in front: a mark, the sequence, how many streams, how many cells.
    const HEAD: usize = 4;

    /// Bytes of a list of so many cells of so many words.
    pub(crate) fn bytes(cells: usize, words: usize) -> usize {
        size_of::<u32>() * (Self::HEAD + cells * words)
    }

    /// Reads what llama.cpp writes of a sequence in front of what its cells hold: of each cell its position, in how many
    /// sequences it is, which is one here, what the model's positions need besides, and the sequence. `None` where it
    /// reads otherwise.
    pub(crate) fn list(state: &[u8], sequence: u32, words: usize) -> Option<Vec<u32>> {
        let all: Vec<u32> = state.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
        let [_, of, 1, count, cells @ ..] = all.as_slice() else { return None };
        let cells = cells.get(..usize::try_from(*count).ok()?.checked_mul(words)?)?.chunks_exact(words);
        let position = |cell: &[u32]| (cell[1] == 1 && cell[words - 1] == sequence).then_some(cell[0]);
        if *of == sequence { cells.map(position).collect() } else { None }
    }

    /// The positions of so many cells that a token after all of them sees, in the order of the cells: all there are, or
    /// the last ones, which a window lets through. `None` where they cannot be told apart.
    fn seen(&self, count: usize) -> Option<Vec<u32>> {
        let all = (self.all.len() == count).then(|| self.all.clone());
        let window = self.window.as_ref().and_then(|window| last(window, count));
        match (all, window) {
            (Some(all), Some(window)) if all != window => None,
            (all, window) => all.or(window),
        }
    }
}

/// The last so many positions, in the order of the list; `None` where it lacks one.
fn last(list: &[u32], count: usize) -> Option<Vec<u32>> {
    let end = list.iter().max().map_or(0, |last| last + 1);
    let first = end.checked_sub(u32::try_from(count).ok()?)?;
    let seen: Vec<u32> = list.iter().copied().filter(|position| *position >= first).collect();
    (seen.len() == count).then_some(seen)
}

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
    /// What the batch's sequence held before it.
    held: Held,
    layers: HashMap<u32, Layer>,
}

/// A layer's cells.
#[derive(Debug, Default)]
struct Layer {
    /// How many of the batch's tokens have been stored.
    stored: usize,
    /// The position that the batch wrote to each cell.
    own: Vec<u32>,
    /// The position that each cell held before, of those seen.
    earlier: Vec<u32>,
}

/// No position: of a cell that was not written, or not seen.
const EMPTY: u32 = u32::MAX;
/// The position of a cell that holds none.
pub(super) const NOWHERE: usize = usize::MAX;

impl Layer {
    fn position(&self, cell: usize) -> Option<usize> {
        let told = |list: &Vec<u32>| list.get(cell).copied().filter(|position| *position != EMPTY);
        told(&self.own).or_else(|| told(&self.earlier)).map(|position| position as usize)
    }
}

/// Sets a cell's position.
fn set(list: &mut Vec<u32>, cell: usize, position: u32) {
    if cell >= list.len() {
        list.resize(cell + 1, EMPTY);
    }
    list[cell] = position;
}

impl Cells {
    /// A new batch with tokens at these positions, and whether each gives logits, after what its sequence holds.
    pub(super) fn begin(&mut self, tokens: impl Iterator<Item = (u32, bool)>, held: Held) {
        (self.batch, self.outputs) = tokens.unzip();
        self.passed.clear();
        self.part = None;
        self.held = held;
        self.layers.clear();
    }

    /// Tokens of the batch.
    pub(super) fn batch(&self) -> usize {
        self.batch.len()
    }

    /// The next tokens of the batch were stored in these cells.
    pub(super) fn store(&mut self, layer: u32, cells: impl Iterator<Item = usize>) {
        let here = self.layers.entry(layer).or_default();
        let before = here.stored;
        for cell in cells {
            let Some(position) = self.batch.get(here.stored) else { break };
            set(&mut here.own, cell, *position);
            here.stored += 1;
        }
        self.part = Some(here.stored - before);
    }

    /// One of the batch's tokens sees these cells: those that the batch did not write are what was held before. Whether
    /// it is known which holds what.
    pub(super) fn see(&mut self, layer: u32, visible: &[bool]) -> bool {
        let here = self.layers.entry(layer).or_default();
        let written = |cell: &usize| here.own.get(*cell).is_some_and(|position| *position != EMPTY);
        let cells = (0..visible.len()).filter(|cell| visible[*cell] && !written(cell));
        let cells: Vec<usize> = cells.collect();
        let Some(positions) = self.held.seen(cells.len()) else { return false };
        for (cell, position) in cells.into_iter().zip(positions) {
            set(&mut here.earlier, cell, position);
        }
        true
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
        self.layers.get(&layer)?.position(cell)
    }

    /// Whether the batch was stored in the same cells of two layers.
    pub(super) fn stored_alike(&self, layer: u32, other: u32) -> bool {
        let own = |layer: u32| self.layers.get(&layer).map(|here| &here.own);
        layer == other || own(layer) == own(other)
    }

    /// The position of one of the batch's tokens; its last's beyond the end.
    pub(super) fn at(&self, index: usize) -> usize {
        self.batch.get(index).map_or_else(|| self.last(), |position| *position as usize)
    }

    /// The position of each of so many cells, [`NOWHERE`] for those that hold none.
    pub(super) fn positions(&self, layer: u32, count: usize) -> Vec<usize> {
        let here = self.layers.get(&layer);
        let place = |cell: usize| here.and_then(|here| here.position(cell)).unwrap_or(NOWHERE);
        (0..count).map(place).collect()
    }

    /// The position of the batch's last token.
    pub(super) fn last(&self) -> usize {
        self.batch.last().copied().unwrap_or_default() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(tokens: &[(u32, bool)], all: &[u32], window: Option<&[u32]>) -> Cells {
        let mut cells = Cells::default();
        cells.begin(tokens.iter().copied(), Held { all: all.to_vec(), window: window.map(<[u32]>::to_vec) });
        cells
    }

    /// A token sees these of so many cells.
    fn visible(count: usize, seen: &[usize]) -> Vec<bool> {
        (0..count).map(|cell| seen.contains(&cell)).collect()
    }

    #[test]
    fn a_batch_in_parts_and_a_cell_written_anew() {
        let mut cells = begun(&[0, 1, 2, 3, 4].map(|position| (position, true)), &[], None);
        cells.store(0, [10, 11, 12].into_iter());
        cells.store(1, 0..3);
        cells.store(0, [3, 4].into_iter());
        assert_eq!(
            [10, 12, 3, 4, 5].map(|cell| cells.position(0, cell)),
            [Some(0), Some(2), Some(3), Some(4), None]
        );
        assert_eq!(cells.position(1, 2), Some(2));
        // What was cell 11's is another position's now.
        let held = Held { all: vec![3, 4, 0, 2], window: None };
        cells.begin(std::iter::once((9, true)), held);
        cells.store(0, std::iter::once(11));
        assert!(cells.see(0, &visible(13, &[3, 4, 10, 11, 12])));
        assert_eq!((cells.position(0, 11), cells.position(0, 10), cells.last()), (Some(9), Some(0), 9));
    }

    #[test]
    fn what_is_held_lies_in_the_cells_that_are_seen_and_were_not_written() {
        // Of another sequence are cells 1 and 4; the one that was cut off gave its cell 0 to the newest position.
        let mut cells = begun(&[(3, false), (4, true)], &[2, 0, 1], None);
        cells.store(0, [5, 7].into_iter());
        assert!(cells.see(0, &visible(9, &[0, 2, 3, 5, 7])));
        assert_eq!(cells.positions(0, 9), [2, NOWHERE, 0, 1, NOWHERE, 3, NOWHERE, 4, NOWHERE]);
        assert_eq!((cells.position(0, 2), cells.position(1, 2), cells.last()), (Some(0), None, 4));
    }

    #[test]
    fn a_window_lets_the_last_ones_through_and_only_them() {
        let mut cells = begun(&[(6, true)], &[0, 1, 2, 3, 4, 5], Some(&[4, 5, 2, 3]));
        cells.store(1, std::iter::once(6));
        assert!(cells.see(1, &visible(7, &[4, 5, 0, 6])));
        assert_eq!(cells.positions(1, 7), [4, NOWHERE, NOWHERE, NOWHERE, 5, 3, 6]);
        // Both caches would give as many, in another order.
        let mut cells = begun(&[(2, true)], &[0, 1], Some(&[1, 0]));
        cells.store(1, std::iter::once(2));
        assert!(!cells.see(1, &visible(3, &[0, 1, 2])));
        assert_eq!(cells.positions(1, 3), [NOWHERE, NOWHERE, 2]);
    }

    #[test]
    fn nothing_is_told_where_more_or_fewer_are_seen_than_held() {
        for seen in [&[0, 1, 2, 3][..], &[0, 3], &[1, 2, 4, 3]] {
            let mut cells = begun(&[(9, true)], &[6, 8], None);
            cells.store(0, std::iter::once(3));
            assert!(!cells.see(0, &visible(6, seen)), "{seen:?}");
            assert_eq!(cells.position(0, 0), None);
        }
        // Not the last ones without a gap.
        assert!(!begun(&[(9, true)], &[], Some(&[3, 5, 8])).see(0, &visible(3, &[0, 1])));
        // A text's beginning holds nothing before.
        assert!(begun(&[(0, true)], &[], None).see(0, &visible(3, &[])));
    }

    #[test]
    fn a_list_is_read_as_llama_writes_it_and_nothing_else_is() {
        let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let plain = bytes(&[77, 5, 1, 2, /* a cell */ 40, 1, 5, /* another */ 41, 1, 5]);
        assert_eq!(plain.len(), Held::bytes(2, 3));
        assert_eq!(Held::list(&plain, 5, 3), Some(vec![40, 41]));
        let with_more = bytes(&[77, 5, 1, 2, 40, 1, 0, 0, 9, 5, 41, 1, 0, 0, 8, 5]);
        assert_eq!(Held::list(&with_more, 5, 6), Some(vec![40, 41]));
        assert_eq!((Held::list(&with_more, 5, 3), Held::list(&with_more, 5, 5)), (None, None));
        // Of another sequence, cut, of two streams, and with a number that nothing could be as long as.
        assert_eq!(Held::list(&plain, 4, 3), None);
        assert_eq!(Held::list(&plain[..plain.len() - 1], 5, 3), None);
        assert_eq!(Held::list(&bytes(&[77, 5, 2, 1, 40, 1, 5]), 5, 3), None);
        assert_eq!(Held::list(&bytes(&[77, 5, 1, u32::MAX, 40, 1, 5]), 5, 3), None);
        assert_eq!(Held::list(&[], 5, 3), None);
    }

    #[test]
    fn columns_are_those_of_the_part_and_at_the_end_only_of_the_outputs() {
        let mut cells = begun(&[(0, true), (1, false), (2, false), (3, true), (4, true)], &[], None);
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
        let mut cells = begun(&[(0, false), (1, false), (2, true)], &[], None);
        assert_eq!((cells.columns(0, 3), cells.columns(1, 1)), (vec![0, 1, 2], vec![2]));
    }
}

//! Attention over a stretch of text: every row of one head, or of all of them rolled out.
//!
//! Invariant: rows are of consecutive positions, the last of them the pass's own; each goes from position 0 to its own.

use serde::{Deserialize, Serialize};

use crate::chat::Intervention;
use crate::token::TokenId;

/// Rows to read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attend {
    /// Everything the pass has read.
    pub ids: Vec<TokenId>,
    /// What the conversation was read under.
    #[serde(default)]
    pub interventions: Vec<Intervention>,
    /// Whose rows.
    pub of: Attending,
}

/// Whose rows are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attending {
    /// One head's attention weights: block and query head.
    Head(u32, u32),
    /// The rollout of all blocks (Abnar & Zuidema 2020), for texts of at most [`ROWS`] tokens.
    #[default]
    Rollout,
}

/// Most rows that one answer has; a longer text has its last ones.
pub const ROWS: usize = 512;

/// Rows that were read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attended {
    /// Position of the first row.
    pub first: u32,
    /// The rows one after the other, little-endian f32; see [`Self::row`].
    #[serde(with = "serde_bytes")]
    pub weights: Vec<u8>,
    /// The first position that each row may see: more than 0 beyond a sliding window.
    pub seen_from: Vec<u32>,
    /// Whether the weights were worked out beside flash attention.
    pub flash: bool,
    /// Tokens that had to be decoded.
    pub decoded: u32,
    /// How long it took, ms.
    pub ms: f32,
}

impl Attended {
    /// Of rows, the first of position `first`; row `i` has `first + i + 1` values.
    #[must_use]
    pub fn new(first: u32, rows: &[Vec<f32>], seen_from: Vec<u32>) -> Self {
        let weights = rows.iter().flatten().flat_map(|weight| weight.to_le_bytes()).collect();
        Self { first, weights, seen_from, ..Self::default() }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen_from.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen_from.is_empty()
    }

    /// The row of a position, from position 0 to its own; `None` where it was not read.
    #[must_use]
    pub fn row(&self, position: usize) -> Option<Vec<f32>> {
        let range = self.place(position)?;
        let bytes = self.weights.get(range)?;
        Some(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect())
    }

    /// The weight that one position gives to another, at most itself.
    #[must_use]
    pub fn weight(&self, reader: usize, read: usize) -> Option<f32> {
        let range = self.place(reader)?;
        let at = range.start + 4 * read;
        if read > reader {
            return None;
        }
        Some(f32::from_le_bytes(self.weights.get(at..at + 4)?.try_into().ok()?))
    }

    /// What reads a position: the weight that each row from that position on gives to it, with the row's position.
    pub fn column(&self, read: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let first = self.first as usize;
        let rows = first.max(read)..first + self.len();
        rows.filter_map(move |reader| Some((reader, self.weight(reader, read)?)))
    }

    fn place(&self, position: usize) -> Option<std::ops::Range<usize>> {
        let first = self.first as usize;
        let row = position.checked_sub(first).filter(|row| *row < self.len())?;
        let start = row * first + row * (row + 1) / 2;
        Some(4 * start..4 * (start + position + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_come_back_as_they_were() {
        let rows: Vec<Vec<f32>> =
            (3..7_u8).map(|at| (0..=at).map(|read| f32::from(10 * at + read)).collect()).collect();
        let all = Attended::new(3, &rows, vec![0, 0, 1, 2]);
        for (row, at) in rows.iter().zip(3..) {
            assert_eq!(all.row(at).as_ref(), Some(row));
        }
        assert_eq!((all.row(2), all.row(7)), (None, None));
        assert_eq!((all.weight(5, 4), all.weight(5, 6)), (Some(54.0), None));
        assert_eq!(all.column(5).collect::<Vec<_>>(), [(5, 55.0), (6, 65.0)]);
        assert_eq!(all.column(0).count(), 4);
    }
}

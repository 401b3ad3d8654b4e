//! What the opened head reads, as shares by position.
//!
//! Invariant: shares are of one whole, the first token's included.

use super::Shown;
use crate::inspect::trace::HeadRow;

/// Shares by position that bars and ink show: of what is written, or of the weights.
pub struct Reading<'a> {
    /// The head's row.
    pub row: &'a HeadRow,
    /// Whether the shares are of what is written into the stream rather than of the weights.
    pub written: bool,
    /// The sum of what is written.
    pub sum: f32,
}

impl<'a> Reading<'a> {
    pub fn of(shown: &Shown<'_>, row: &'a HeadRow) -> Self {
        let whole = row.value_norms.len() == row.weights.len();
        let written = whole && !shown.app.inspector.attention.raw;
        let sum = row.value_norms.iter().filter(|norm| norm.is_finite()).sum();
        Self { row, written, sum }
    }

    /// Share of a position, 0 to 1.
    pub fn share(&self, position: usize) -> f32 {
        let share = if self.written {
            self.row.value_norms.get(position).map(|norm| norm / self.sum)
        } else {
            self.row.weights.get(position).copied()
        };
        share.filter(|share| share.is_finite()).unwrap_or(0.0)
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.row.weights.len()
    }
}

//! The ledger: the table of a message's tokens.
//!
//! Invariant: `rows` are indices among the message's tokens, filtered and sorted; the numbers stay where they are.

use super::LineEdit;
use crate::chat::TurnId;

/// The table of a message's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The message.
    pub turn: TurnId,
    /// What a row's text must hold.
    pub filter: LineEdit,
    /// What the rows are sorted by.
    pub order: LedgerOrder,
    /// Indices among the message's tokens.
    pub rows: Vec<usize>,
    /// Which row is selected.
    pub selected: usize,
}

/// What a ledger is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LedgerOrder {
    /// As it was written.
    #[default]
    Position,
    /// The least likely first.
    Surprise,
    /// The largest rank first.
    Rank,
    /// The least certain first.
    Uncertainty,
    /// The slowest first.
    Time,
}

impl LedgerOrder {
    /// All, in the order of the columns.
    pub const ALL: [Self; 5] = [Self::Position, Self::Surprise, Self::Rank, Self::Uncertainty, Self::Time];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Position => "position",
            Self::Surprise => "surprise, largest first",
            Self::Rank => "rank, largest first",
            Self::Uncertainty => "uncertainty, largest first",
            Self::Time => "time, longest first",
        }
    }

    /// The next (or previous) order.
    pub fn next(self, forward: bool) -> Self {
        let at = Self::ALL.iter().position(|order| *order == self).unwrap_or(0);
        let step = if forward { 1 } else { Self::ALL.len() - 1 };
        Self::ALL[(at + step) % Self::ALL.len()]
    }
}

//! Where the columns of the layers' list stand, by the width there is.
//!
//! Invariant: what has no room goes in the order next, share, size, KL bar; figures stay.

use crate::ui::layout::INSPECTOR;

/// Columns from which on the next best token has its own.
const NEXT: u16 = 78;

/// Where the columns end or begin; 0 is a column that has no room.
pub struct Columns {
    /// Where the best token begins, and where its share ends.
    pub best: u16,
    pub share: u16,
    /// The same of the next best.
    pub next: u16,
    pub next_share: u16,
    /// Where the chosen token's bar begins, and its cells.
    pub bar: (u16, u16),
    /// Where the ranks end.
    pub rank: u16,
    pub rival: u16,
    /// Where the bar of the distance begins, and its cells; where the figure ends.
    pub kl_bar: (u16, u16),
    pub kl: u16,
    /// Where the length ends, and where the shares begin.
    pub size: u16,
    pub parts: u16,
}

impl Columns {
    /// The columns for a width.
    pub fn of(width: u16) -> Self {
        let narrow = Self {
            best: 5,
            share: 18,
            next: 0,
            next_share: 0,
            bar: (19, 8),
            rank: 33,
            rival: 38,
            kl_bar: (0, 0),
            kl: 45,
            size: 0,
            parts: 0,
        };
        if width >= NEXT {
            Self {
                share: 17,
                next: 19,
                next_share: 30,
                bar: (31, 12),
                rank: 49,
                rival: 55,
                kl_bar: (56, 6),
                kl: 67,
                size: 71,
                parts: 72,
                ..narrow
            }
        } else if width >= INSPECTOR.0 {
            let (bar, kl_bar) = ((19, 10), (42, 6));
            Self { bar, rank: 35, rival: 41, kl_bar, kl: 53, size: 59, parts: 60, ..narrow }
        } else {
            narrow
        }
    }
}

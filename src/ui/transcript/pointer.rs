//! Where the token cursor stands in the rows of its message.
//!
//! Invariant: a token with cells is shown by them; any other by a marker at the place where it would stand,
//! so the cursor is always somewhere.

use std::ops::Range;

use super::blocks::Block;
use crate::app::App;
use crate::sanitize::Kind;
use crate::theme::Symbols;
use crate::ui::cache::Cache;

/// The cursor in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// Bytes of the shown text whose cells are under the cursor; empty where a marker stands for them.
    pub bytes: Range<usize>,
    /// Row and column of the marker, and what it shows.
    pub marker: Option<(usize, u16, Mark)>,
    /// Its first and last row of text.
    pub rows: (usize, usize),
}

/// What a marker stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The end of a line.
    Newline,
    /// A blank that hangs over the edge.
    Blank,
    /// Nothing that can be seen.
    Other,
}

impl Mark {
    pub fn glyph(self, symbols: &Symbols) -> &'static str {
        match self {
            Self::Newline => symbols.newline,
            Self::Blank => symbols.space,
            Self::Other => symbols.other,
        }
    }
}

impl Pointer {
    /// `None` where the cursor is in another message.
    pub fn of(app: &App, cache: &Cache, block: &Block) -> Option<Self> {
        let turn = block.turn?.id;
        let at = app.transcript.cursor.filter(|at| at.turn == turn)?;
        let bytes = cache.marks(turn)?.tokens.get(at.index)?.bytes();
        let lines = cache.body(turn)?;
        let last = block.lines().checked_sub(1)?;
        let cells = lines.cells_of(bytes.clone());
        let shown = cells.iter().map(|cells| cells.row);
        if let (Some(first), Some(end)) = (shown.clone().min(), shown.max())
            && first <= last
        {
            return Some(Self { bytes, marker: None, rows: (first, end.min(last)) });
        }
        let (row, column) = match lines.place_of(bytes.start) {
            (row, _) if row > last => (last, lines.row_width(last)),
            place => place,
        };
        let hidden = lines
            .row(row)
            .find(|glyph| glyph.width == 0 && glyph.source.0 < bytes.end && glyph.source.1 > bytes.start);
        let mark = match hidden.map(|glyph| glyph.kind) {
            Some(Kind::Newline) => Mark::Newline,
            Some(Kind::Space) => Mark::Blank,
            _ => Mark::Other,
        };
        Some(Self { bytes: 0..0, marker: Some((row, column, mark)), rows: (row, row) })
    }

    /// Whether a glyph of these bytes is under the cursor.
    pub fn holds(&self, start: usize, end: usize) -> bool {
        start < self.bytes.end && end > self.bytes.start
    }
}

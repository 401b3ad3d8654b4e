//! From bytes and tokens to cells and back.
//!
//! Invariant: a token is a stretch of raw bytes that ends at its cumulative end; it owns every cell whose
//! source it shares a byte with. So several tokens may own one cell (an emoji written in four tokens), and
//! a token that owns none (a line end, a special token) has a marker: the place where it would stand.

use std::ops::Range;

use super::Lines;
use crate::markdown::Stretch;

impl Lines {
    /// The cells that show any of these raw bytes, a stretch for each row; none where nothing is shown.
    pub fn cells_of(&self, bytes: Range<usize>) -> Vec<Stretch> {
        let glyphs = self.glyphs_of(&bytes);
        let mut stretches: Vec<Stretch> = Vec::new();
        let Some(first) = glyphs.clone().next() else { return stretches };
        let mut row = self.row_of_glyph(first);
        let mut column = self.column_of(row, first);
        for glyph in glyphs {
            while !self.row_glyphs(row).contains(&glyph) {
                row += 1;
                column = 0;
            }
            let end = column + u16::from(self.glyphs[glyph].width);
            match stretches.last_mut().filter(|last| last.row == row) {
                Some(last) => last.columns.end = end,
                None => stretches.push(Stretch { row, columns: column..end }),
            }
            column = end;
        }
        stretches.retain(|stretch| !stretch.columns.is_empty());
        stretches
    }

    /// Row and column at which these bytes stand or would stand: of the glyph that shows the first of
    /// them, or of the end of the text. The column may be the width of the lines.
    pub fn place_of(&self, byte: usize) -> (usize, u16) {
        match self.glyphs_of(&(byte..byte + 1)).next() {
            Some(glyph) => {
                let row = self.row_of_glyph(glyph);
                (row, self.column_of(row, glyph))
            }
            None => (self.rows() - 1, self.row_width(self.rows() - 1)),
        }
    }

    /// The raw bytes shown by a cell.
    pub fn source_at(&self, row: usize, column: u16) -> Option<Range<usize>> {
        self.row(row)
            .find(|glyph| glyph.width > 0 && (glyph.column..glyph.column + glyph.width).contains(&column))
            .map(|glyph| glyph.source.0..glyph.source.1)
    }

    /// The token that a cell shows (the first, where it shows several). `ends` are the cumulative ends of
    /// the tokens' bytes.
    pub fn token_at(&self, row: usize, column: u16, ends: &[usize]) -> Option<usize> {
        let source = self.source_at(row, column)?;
        Some(ends.partition_point(|end| *end <= source.start)).filter(|token| *token < ends.len())
    }

    fn glyphs_of(&self, bytes: &Range<usize>) -> Range<usize> {
        if bytes.is_empty() || bytes.start >= self.covered {
            return 0..0;
        }
        let after = self.glyphs.partition_point(|glyph| glyph.source as usize <= bytes.start);
        let shared = self.glyphs[after.saturating_sub(1)].source;
        let first = self.glyphs.partition_point(|glyph| glyph.source < shared);
        first..self.glyphs.partition_point(|glyph| (glyph.source as usize) < bytes.end)
    }

    fn column_of(&self, row: usize, glyph: usize) -> u16 {
        let first = self.row_glyphs(row).start;
        self.glyphs[first..glyph].iter().map(|glyph| u16::from(glyph.width)).sum()
    }
}

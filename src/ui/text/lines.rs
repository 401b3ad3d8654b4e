//! A text wrapped into rows of cells for one width, every cell with the bytes it shows.
//!
//! Invariant: glyphs are in the order of their sources and cover the raw bytes read so far; rows are cut
//! greedily, so that text which is added never changes a row before the last that begins afresh. Hence
//! [`Lines::append`] costs the last row and the new text, not the whole text.

use std::borrow::Cow;
use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::style::Style;

use crate::chat::unfinished_tail;
use crate::markdown::{Glyph, Look};
use crate::sanitize::{self, Kind};

/// A glyph as it is kept: 12 bytes. Its ends are where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) source: u32,
    shown: u32,
    pub(super) width: u8,
    pub(super) kind: Kind,
    /// Whether the text may be cut before it (see [`sanitize::Cluster::fresh`]).
    fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Index of its first glyph.
    pub(super) first: u32,
    /// Cells of its line that stand in the rows before it, for tab stops.
    column: u32,
}

/// A wrapped text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    width: u16,
    pub(super) glyphs: Vec<Kept>,
    shown: String,
    pub(super) rows: Vec<Row>,
    /// Raw bytes from the first that may still be wrapped again.
    pending: Vec<u8>,
    /// Row at which `pending` begins.
    restart: usize,
    /// Where `pending` begins in the raw bytes.
    pending_at: usize,
    /// Raw bytes that have glyphs.
    pub(super) covered: usize,
    /// Whether an unfinished last character waits for its other bytes.
    growing: bool,
}

impl Lines {
    /// No text yet, to be appended to. `width` is at least 1.
    pub fn growing(width: u16) -> Self {
        Self {
            width: width.max(1),
            glyphs: Vec::new(),
            shown: String::new(),
            rows: vec![Row { first: 0, column: 0 }],
            pending: Vec::new(),
            restart: 0,
            pending_at: 0,
            covered: 0,
            growing: true,
        }
    }

    /// A whole text. Bytes that form no character are shown as `�`.
    pub fn of(bytes: &[u8], width: u16) -> Self {
        let mut lines = Self::growing(width);
        lines.growing = false;
        lines.append(bytes);
        lines.pending = Vec::new();
        lines
    }

    /// Adds text to a growing one. An unfinished last character is held back until it is whole.
    pub fn append(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let settled = self.wrap_pending();
        let fresh = |row: &Row| self.glyphs.get(row.first as usize).is_none_or(|glyph| glyph.fresh);
        let restart = self.rows[..settled].iter().rposition(fresh).unwrap_or(0);
        let at = self.row_source(restart).start;
        self.pending.drain(..at - self.pending_at);
        self.pending_at = at;
        self.restart = restart;
    }

    /// No more text comes: bytes that were held back are shown as `�`.
    pub fn finish(&mut self) {
        if std::mem::take(&mut self.growing) {
            self.append(&[]);
            self.pending = Vec::new();
        }
    }

    /// Whether text can be appended.
    pub fn is_growing(&self) -> bool {
        self.growing
    }

    /// Cells of a row.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Raw bytes read, those held back included.
    pub fn bytes(&self) -> usize {
        self.covered.max(self.pending_at + self.pending.len())
    }

    /// Number of rows, at least 1.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Number of rows up to the last that shows anything, at least 1.
    pub fn shown_rows(&self) -> usize {
        let last = self.glyphs.iter().rposition(|glyph| glyph.width > 0 && glyph.kind != Kind::Space);
        last.map_or(1, |glyph| self.row_of_glyph(glyph) + 1)
    }

    /// The raw bytes of a row, its line end included; empty past the last.
    pub fn row_source(&self, row: usize) -> Range<usize> {
        let start = |row: usize| {
            let glyph = self.rows.get(row).and_then(|row| self.glyphs.get(row.first as usize));
            glyph.map_or(self.covered, |glyph| glyph.source as usize)
        };
        start(row)..start(row + 1)
    }

    /// The glyphs of a row, in order; none past the last.
    pub fn row(&self, row: usize) -> impl Iterator<Item = Glyph<'_>> {
        let mut column = 0;
        self.row_glyphs(row).map(move |index| {
            let kept = self.glyphs[index];
            let shown_end = self.glyphs.get(index + 1).map_or(self.shown.len(), |next| next.shown as usize);
            let glyph = Glyph {
                source: (kept.source as usize, self.source_end(index)),
                shown: &self.shown[kept.shown as usize..shown_end],
                column,
                width: u16::from(kept.width),
                kind: kept.kind,
                look: Look::default(),
            };
            column += glyph.width;
            glyph
        })
    }

    /// Cells of a row that are taken.
    pub fn row_width(&self, row: usize) -> u16 {
        self.row_glyphs(row).map(|index| u16::from(self.glyphs[index].width)).sum()
    }

    /// Draws a row at a place of the screen, each glyph in the style that its source asks for.
    pub fn draw_row(
        &self,
        row: usize,
        buf: &mut Buffer,
        x: u16,
        y: u16,
        style: impl Fn(usize, usize) -> Style,
    ) {
        for glyph in self.row(row).filter(|glyph| glyph.width > 0) {
            let style = style(glyph.source.0, glyph.source.1);
            super::glyph(buf, (x + glyph.column, y), &glyph, style);
        }
    }

    pub(super) fn row_glyphs(&self, row: usize) -> Range<usize> {
        let first = |row: usize| self.rows.get(row).map_or(self.glyphs.len(), |row| row.first as usize);
        first(row)..first(row + 1)
    }

    pub(super) fn row_of_glyph(&self, glyph: usize) -> usize {
        self.rows.partition_point(|row| row.first as usize <= glyph).saturating_sub(1)
    }

    pub(super) fn source_end(&self, index: usize) -> usize {
        let source = self.glyphs[index].source;
        self.glyphs[index + 1..]
            .iter()
            .find(|next| next.source != source)
            .map_or(self.covered, |next| next.source as usize)
    }

    /// Wraps `pending` again, from the restart row on. Gives back how many rows began before the last
    /// grapheme: what is added may still change its width (a CR, an emoji before its selector).
    fn wrap_pending(&mut self) -> usize {
        let first = self.rows[self.restart];
        self.rows.truncate(self.restart + 1);
        if let Some(glyph) = self.glyphs.get(first.first as usize) {
            self.shown.truncate(glyph.shown as usize);
        }
        self.glyphs.truncate(first.first as usize);
        let pending = std::mem::take(&mut self.pending);
        let held = if self.growing { unfinished_tail(&pending) } else { 0 };
        let readable = &pending[..pending.len() - held];
        let decoded = Decoded::of(readable);
        let mut wrap = Wrap::at(first);
        let mut settled = self.rows.len();
        for cluster in sanitize::clusters_from(&decoded.text, first.column as usize) {
            if cluster.fresh {
                settled = self.rows.len();
            }
            let source = self.pending_at + decoded.raw(cluster.source.start);
            self.push_cluster(&mut wrap, &cluster, source);
        }
        self.covered = self.pending_at + readable.len();
        self.pending = pending;
        settled
    }

    fn push_cluster(&mut self, wrap: &mut Wrap, cluster: &sanitize::Cluster, source: usize) {
        let kept = |lines: &Self, width: u16, fresh: bool| Kept {
            source: source as u32,
            shown: lines.shown.len() as u32,
            width: width as u8,
            kind: cluster.kind,
            fresh,
        };
        match cluster.kind {
            Kind::Hidden => self.glyphs.push(kept(self, 0, cluster.fresh)),
            Kind::Newline => {
                self.glyphs.push(kept(self, 0, cluster.fresh));
                self.rows.push(Row { first: self.glyphs.len() as u32, column: 0 });
                *wrap = Wrap::at(self.rows[self.rows.len() - 1]);
            }
            Kind::Space => {
                let width = u16::from(cluster.width).min(self.width - wrap.column);
                self.glyphs.push(kept(self, width, cluster.fresh));
                self.shown.push_str(&cluster.shown);
                wrap.column += width;
                wrap.line_column += u32::from(cluster.width);
                wrap.begin_word(self.glyphs.len());
            }
            Kind::Text => {
                let (shown, width) = match u16::from(cluster.width) {
                    width if width > self.width => ("?", 1),
                    width => (cluster.shown.as_ref(), width),
                };
                if self.may_break_before(wrap, shown, width) {
                    wrap.begin_word(self.glyphs.len());
                }
                self.make_room(wrap, width);
                self.glyphs.push(kept(self, width, cluster.fresh));
                self.shown.push_str(shown);
                wrap.took(width, cluster.width);
            }
            Kind::Revealed => {
                for (index, c) in cluster.shown.chars().enumerate() {
                    self.make_room(wrap, 1);
                    self.glyphs.push(kept(self, 1, cluster.fresh && index == 0));
                    self.shown.push(c);
                    wrap.took(1, 1);
                }
            }
        }
    }

    /// Begins a row where the next `width` cells do not fit: at the word they belong to, or, where the word
    /// begins the row, in the middle of it.
    fn make_room(&mut self, wrap: &mut Wrap, width: u16) {
        if wrap.column + width <= self.width {
            return;
        }
        let indented = !wrap.text_before_word && wrap.word_column * 2 <= self.width;
        if wrap.word_column > 0 && !indented {
            self.rows.push(Row { first: wrap.word as u32, column: wrap.word_line_column });
            wrap.column -= wrap.word_column;
            wrap.word_column = 0;
            wrap.text_before_word = false;
        }
        if wrap.column + width > self.width {
            self.rows.push(Row { first: self.glyphs.len() as u32, column: wrap.line_column });
            *wrap = Wrap::at(self.rows[self.rows.len() - 1]);
        }
    }

    /// Whether a line may be broken between the last glyph and this one though there is no blank: beside
    /// wide characters, but not before what closes nor after what opens.
    fn may_break_before(&self, wrap: &Wrap, shown: &str, width: u16) -> bool {
        const CLOSING: &str = "、。，．！？：；）」』】》〉〕］｝…‥ー々゛゜ゃゅょっぁぃぅぇぉャュョッァィゥェォ・,.!?:;)]}%'\"’”";
        const OPENING: &str = "（「『【《〈〔［｛([{‘“";
        let Some(last) = self.glyphs.last().filter(|_| self.glyphs.len() > wrap.word) else { return false };
        let last_shown = &self.shown[last.shown as usize..];
        (last.width == 2 || width == 2)
            && !shown.chars().next().is_some_and(|c| CLOSING.contains(c))
            && !last_shown.chars().next().is_some_and(|c| OPENING.contains(c))
    }
}

/// Where the wrapping stands in the last row.
struct Wrap {
    /// Cells taken in the row.
    column: u16,
    /// Cells taken in the line, rows before included.
    line_column: u32,
    /// First glyph of the word being read.
    word: usize,
    /// Cells of the row before the word.
    word_column: u16,
    /// Cells of the line before the word.
    word_line_column: u32,
    /// Whether something other than blanks stands before the word in its row.
    text_before_word: bool,
    /// Whether something other than blanks stands in the row.
    text: bool,
}

impl Wrap {
    fn at(row: Row) -> Self {
        Self {
            column: 0,
            line_column: row.column,
            word: row.first as usize,
            word_column: 0,
            word_line_column: row.column,
            text_before_word: false,
            text: false,
        }
    }

    fn begin_word(&mut self, glyph: usize) {
        self.word = glyph;
        self.word_column = self.column;
        self.word_line_column = self.line_column;
        self.text_before_word = self.text;
    }

    fn took(&mut self, width: u16, line_width: u8) {
        self.column += width;
        self.line_column += u32::from(line_width);
        self.text = true;
    }
}

/// Raw bytes as text, with the way back from its offsets to those of the bytes.
struct Decoded<'a> {
    text: Cow<'a, str>,
    /// After each `�`: offset in the text, offset in the bytes.
    shifts: Vec<(usize, usize)>,
}

impl<'a> Decoded<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Self { text: Cow::Borrowed(text), shifts: Vec::new() };
        }
        let mut text = String::with_capacity(bytes.len());
        let mut shifts = Vec::new();
        let mut raw = 0;
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            raw += chunk.valid().len() + chunk.invalid().len();
            if !chunk.invalid().is_empty() {
                text.push('�');
                shifts.push((text.len(), raw));
            }
        }
        Self { text: Cow::Owned(text), shifts }
    }

    fn raw(&self, offset: usize) -> usize {
        let before = self.shifts.partition_point(|(text, _)| *text <= offset);
        match before.checked_sub(1).map(|index| self.shifts[index]) {
            Some((text, raw)) => raw + offset - text,
            None => offset,
        }
    }
}

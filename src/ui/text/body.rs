//! A message laid out, for whoever draws it or asks what a cell shows: one text, or one of which parts can be
//! folded.
//!
//! Invariant: both sorts answer alike: rows of glyphs, each with its bytes, and a place for every byte.

use std::ops::Range;

use super::{Piece, Sections, Shape, Sheet, Title};
use crate::markdown::{CodeLine, Glyph, Spans, Stretch};

/// A message laid out.
#[derive(Debug)]
pub enum Body {
    /// One text.
    Sheet(Sheet),
    /// A reply that was thought about, or a message with files.
    Sections(Box<Sections>),
}

impl Body {
    /// No text yet, to be appended to.
    pub fn growing(shape: Shape) -> Self {
        Self::Sheet(Sheet::growing(shape))
    }

    /// Adds text to a growing one.
    pub fn append(&mut self, bytes: &[u8]) {
        match self {
            Self::Sheet(sheet) => sheet.append(bytes),
            Self::Sections(sections) => sections.append(Piece { shown: bytes, name: None, ms: 0.0 }),
        }
    }

    /// Number of rows up to the last that shows anything, at least 1.
    pub fn shown_rows(&self) -> usize {
        match self {
            Self::Sheet(sheet) => sheet.shown_rows(),
            Self::Sections(sections) => sections.rows(),
        }
    }

    /// What stands for something folded in a row.
    pub fn title(&self, row: usize) -> Option<Title> {
        match self {
            Self::Sheet(_) => None,
            Self::Sections(sections) => sections.title(row),
        }
    }

    /// How it is laid out.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Sheet(sheet) => sheet.shape(),
            Self::Sections(sections) => sections.shape(),
        }
    }

    /// No more text comes.
    pub fn finish(&mut self) {
        match self {
            Self::Sheet(sheet) => sheet.finish(),
            Self::Sections(sections) => sections.finish(),
        }
    }

    /// Whether text can be appended.
    pub fn is_growing(&self) -> bool {
        match self {
            Self::Sheet(sheet) => sheet.is_growing(),
            Self::Sections(sections) => sections.is_growing(),
        }
    }

    /// Bytes read.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Sheet(sheet) => sheet.bytes(),
            Self::Sections(sections) => sections.bytes(),
        }
    }

    /// Number of rows, at least 1.
    pub fn rows(&self) -> usize {
        match self {
            Self::Sheet(sheet) => sheet.rows(),
            Self::Sections(sections) => sections.rows(),
        }
    }

    /// The glyphs of a row, in order; none past the last.
    pub fn row(&self, row: usize) -> Box<dyn Iterator<Item = Glyph<'_>> + '_> {
        match self {
            Self::Sheet(sheet) => sheet.row(row),
            Self::Sections(sections) => sections.row(row),
        }
    }

    /// The column from which a row is filled as code is.
    pub fn fill(&self, row: usize) -> Option<u16> {
        match self {
            Self::Sheet(sheet) => sheet.fill(row),
            Self::Sections(sections) => sections.fill(row),
        }
    }

    /// Cells of a row that are taken; more than the width where code runs over the edge.
    pub fn row_width(&self, row: usize) -> u16 {
        match self {
            Self::Sheet(sheet) => sheet.row_width(row),
            Self::Sections(sections) => sections.row_width(row),
        }
    }

    /// The first byte that a row stands for.
    pub fn row_start(&self, row: usize) -> usize {
        match self {
            Self::Sheet(sheet) => sheet.row_start(row),
            Self::Sections(sections) => sections.row_start(row),
        }
    }

    /// The cells that show any of these bytes; none where nothing is shown.
    pub fn cells_of(&self, bytes: Range<usize>) -> Vec<Stretch> {
        match self {
            Self::Sheet(sheet) => sheet.cells_of(bytes),
            Self::Sections(sections) => sections.cells_of(bytes),
        }
    }

    /// Row and column at which a byte stands or would stand.
    pub fn place_of(&self, byte: usize) -> (usize, u16) {
        match self {
            Self::Sheet(sheet) => sheet.place_of(byte),
            Self::Sections(sections) => sections.place_of(byte),
        }
    }

    /// Where the link leads that a byte is part of.
    pub fn leads_to(&self, byte: usize) -> Option<&str> {
        match self {
            Self::Sheet(sheet) => sheet.leads_to(byte),
            Self::Sections(sections) => sections.leads_to(byte),
        }
    }

    /// Lines of code that wait for their colours.
    pub fn take_wanted(&mut self) -> Vec<CodeLine> {
        match self {
            Self::Sheet(sheet) => sheet.take_wanted(),
            Self::Sections(sections) => sections.take_wanted(),
        }
    }

    /// Colours a line of code that was asked for.
    pub fn colour(&mut self, line: usize, spans: Spans) {
        match self {
            Self::Sheet(sheet) => sheet.colour(line, spans),
            Self::Sections(sections) => sections.colour(line, spans),
        }
    }
}

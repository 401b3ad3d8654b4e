//! A text laid out, as it was written or as Markdown.
//!
//! Invariant: both sorts answer alike: rows of glyphs, each with its bytes, and a place for every byte.

use std::ops::Range;

use super::Lines;
use crate::markdown::{CodeLine, Glyph, Page, Spans, Stretch, Style};

/// How a text is to be laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As it was written, wrapped at this width.
    Plain(u16),
    /// As Markdown.
    Markdown(Style),
}

impl Shape {
    /// Its width, cells.
    pub fn width(self) -> u16 {
        match self {
            Self::Plain(width) => width,
            Self::Markdown(style) => style.width,
        }
    }
}

/// A text laid out.
#[derive(Debug)]
pub enum Sheet {
    /// As it was written.
    Plain(Lines),
    /// As Markdown.
    Markdown(Box<Page>),
}

impl Sheet {
    /// No text yet, to be appended to.
    pub fn growing(shape: Shape) -> Self {
        match shape {
            Shape::Plain(width) => Self::Plain(Lines::growing(width)),
            Shape::Markdown(style) => Self::Markdown(Box::new(Page::growing(style))),
        }
    }

    /// How it is laid out.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Plain(lines) => Shape::Plain(lines.width()),
            Self::Markdown(page) => Shape::Markdown(page.style()),
        }
    }

    /// Adds text to a growing one.
    pub fn append(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(lines) => lines.append(bytes),
            Self::Markdown(page) => page.append(bytes),
        }
    }

    /// No more text comes.
    pub fn finish(&mut self) {
        match self {
            Self::Plain(lines) => lines.finish(),
            Self::Markdown(page) => page.finish(),
        }
    }

    /// Whether text can be appended.
    pub fn is_growing(&self) -> bool {
        match self {
            Self::Plain(lines) => lines.is_growing(),
            Self::Markdown(page) => page.is_growing(),
        }
    }

    /// Bytes read.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Plain(lines) => lines.bytes(),
            Self::Markdown(page) => page.bytes(),
        }
    }

    /// Number of rows, at least 1.
    pub fn rows(&self) -> usize {
        match self {
            Self::Plain(lines) => lines.rows(),
            Self::Markdown(page) => page.rows(),
        }
    }

    /// Number of rows up to the last that shows anything, at least 1.
    pub fn shown_rows(&self) -> usize {
        match self {
            Self::Plain(lines) => lines.shown_rows(),
            Self::Markdown(page) => page.rows(),
        }
    }

    /// The glyphs of a row, in order; none past the last.
    pub fn row(&self, row: usize) -> Box<dyn Iterator<Item = Glyph<'_>> + '_> {
        match self {
            Self::Plain(lines) => Box::new(lines.row(row)),
            Self::Markdown(page) => Box::new(page.row(row)),
        }
    }

    /// The column from which a row is filled as code is.
    pub fn fill(&self, row: usize) -> Option<u16> {
        match self {
            Self::Plain(_) => None,
            Self::Markdown(page) => page.fill(row),
        }
    }

    /// Cells of a row that are taken; more than the width where code runs over the edge.
    pub fn row_width(&self, row: usize) -> u16 {
        match self {
            Self::Plain(lines) => lines.row_width(row),
            Self::Markdown(page) => page.row_width(row),
        }
    }

    /// The first byte that a row stands for.
    pub fn row_start(&self, row: usize) -> usize {
        match self {
            Self::Plain(lines) => lines.row_source(row).start,
            Self::Markdown(page) => page.row_start(row),
        }
    }

    /// The cells that show any of these bytes; none where nothing is shown.
    pub fn cells_of(&self, bytes: Range<usize>) -> Vec<Stretch> {
        match self {
            Self::Plain(lines) => lines.cells_of(bytes),
            Self::Markdown(page) => page.cells_of(bytes),
        }
    }

    /// Row and column at which a byte stands or would stand.
    pub fn place_of(&self, byte: usize) -> (usize, u16) {
        match self {
            Self::Plain(lines) => lines.place_of(byte),
            Self::Markdown(page) => page.place_of(byte),
        }
    }

    /// Where the link leads that a byte is part of.
    pub fn leads_to(&self, byte: usize) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Markdown(page) => page.leads_to(byte),
        }
    }

    /// Lines of code that wait for their colours.
    pub fn take_wanted(&mut self) -> Vec<CodeLine> {
        match self {
            Self::Plain(_) => Vec::new(),
            Self::Markdown(page) => page.take_wanted(),
        }
    }

    /// Colours a line of code that was asked for.
    pub fn colour(&mut self, line: usize, spans: Spans) {
        if let Self::Markdown(page) = self {
            page.colour(line, spans);
        }
    }

    /// The same with the colours that another layout of this text has.
    #[must_use]
    pub fn coloured_as(self, other: Self) -> Self {
        match (self, other) {
            (Self::Markdown(page), Self::Markdown(other)) => {
                Self::Markdown(Box::new(page.coloured_as(*other)))
            }
            (sheet, _) => sheet,
        }
    }
}

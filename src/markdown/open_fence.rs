//! A code block of the top level while it is read: laid out a line at a time, however long it is.
//!
//! Invariant: whole lines are laid out once; only the line that is not whole yet is laid out again.

use std::borrow::Cow;

use super::build::{Builder, Piece};
use super::fence::Fence;
use super::unit::{CodeLine, Unit};
use super::{Look, Style, Tone};

/// The block as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenFence {
    fence: Fence,
    /// Where its own line begins and ends in the unit.
    line: (usize, usize),
    language: String,
    /// Bytes of whole lines that are laid out.
    laid: usize,
    /// Lines of code laid out.
    lines: usize,
    /// Cells, rows and shown bytes of the whole lines.
    kept: (usize, usize, usize),
    /// Where the block ends, once its closing fence was read.
    pub closed: Option<usize>,
}

impl OpenFence {
    /// The fence with which a text begins, after blank lines, if its line is whole.
    pub fn beginning(text: &str) -> Option<Self> {
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if !line.trim_matches([' ', '\t', '\n', '\r']).is_empty() {
                let fence = Fence::opening(line).filter(|_| line.ends_with('\n'))?;
                let language = line[fence.language.clone()].to_owned();
                let line = (at, at + line.len());
                return Some(Self {
                    fence,
                    line,
                    language,
                    laid: 0,
                    lines: 0,
                    kept: (0, 0, 0),
                    closed: None,
                });
            }
            at += line.len();
        }
        None
    }

    /// Rows of the lines that are whole.
    pub fn whole_rows(&self) -> usize {
        self.kept.1
    }

    /// Lays out what came since. `text` is all of the block so far.
    pub fn lay(&mut self, unit: Unit, text: &str, style: Style, follows: bool) -> Unit {
        let mut builder = self.resumed(unit, text, style, follows);
        while self.closed.is_none() {
            let rest = &text[self.laid..];
            let Some(length) = rest.find('\n').map(|end| end + 1) else { break };
            let line = &rest[..length];
            if self.fence.closes(line) {
                builder.cover(self.laid + length);
                builder.flush();
                self.closed = Some(self.laid + length);
            } else {
                self.line(&mut builder, line);
            }
            self.laid += length;
            self.keep(&builder);
        }
        if self.closed.is_none() && self.laid < text.len() {
            // A fence that is the last line so far closes the block, unless more comes on the same line.
            if self.fence.closes(&text[self.laid..]) {
                builder.cover(text.len());
                builder.flush();
                return builder.unit;
            }
            let lines = self.lines;
            self.line(&mut builder, &text[self.laid..]);
            self.lines = lines;
        }
        builder.unit
    }

    fn resumed<'a>(&mut self, mut unit: Unit, text: &'a str, style: Style, follows: bool) -> Builder<'a> {
        if self.laid > 0 {
            unit.cells.truncate(self.kept.0);
            unit.rows.truncate(self.kept.1);
            unit.shown.truncate(self.kept.2);
            return Builder::resumed(text, style, unit, self.laid);
        }
        let mut builder = Builder::new(text, style.width, style.wrap_code);
        builder.follows = follows;
        builder.begin_block(self.line.0);
        builder.begin_code();
        if !self.language.is_empty() {
            let from = self.line.0 + self.fence.language.start;
            let look = Look::of(Tone::Label);
            builder.put_sign(&self.language, from..from + self.language.len(), look);
        }
        builder.cover(self.line.1);
        builder.flush();
        self.laid = self.line.1;
        self.keep(&builder);
        builder
    }

    fn keep(&mut self, builder: &Builder<'_>) {
        self.kept = (builder.unit.cells.len(), builder.unit.rows.len(), builder.unit.shown.len());
    }

    fn line(&mut self, builder: &mut Builder<'_>, line: &str) {
        let written = line.trim_end_matches(['\n', '\r']);
        let indent = written.len() - written.trim_start_matches(' ').len();
        let from = self.laid + indent.min(self.fence.indent);
        if self.lines > 0 || !self.language.is_empty() {
            builder.next_row();
        }
        builder.cover(from);
        let source = from..self.laid + written.len();
        let code = &builder.text[source.clone()];
        if !source.is_empty() {
            builder.put(&Piece {
                text: Cow::Borrowed(code),
                source,
                exact: true,
                look: Look::of(Tone::Code),
            });
        }
        if line.ends_with('\n') && !self.language.is_empty() {
            let code = builder.text[from..self.laid + line.len()].to_owned();
            let (block, number, language) = (self.line.0, self.lines, self.language.clone());
            builder.unit.code.push(CodeLine { block, number, at: from, language, code });
        }
        builder.cover(self.laid + line.len());
        builder.flush();
        self.lines += 1;
    }
}

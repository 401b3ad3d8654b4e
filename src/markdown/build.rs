//! Puts the cells of a unit into rows: containers as prefixes, words wrapped, hidden bytes where they stand.
//!
//! Invariant: sources come in order, and what is passed over becomes cells of no width, so all bytes are covered;
//! a row ends within the width, unless it is code that may run over the edge.

use std::ops::Range;

use super::unit::{Cell, Row, Unit};
use super::{Look, Style, Tone};
use crate::sanitize::{self, Kind};

/// What stands before each row of a block.
#[derive(Clone, Debug)]
pub(super) enum Container {
    /// A quote, with the tone of its bar, and whether a row of it stands already.
    Quote { tone: Tone, begun: bool },
    /// An item or a footnote: a mark before its first row, as many blanks before the others.
    Item {
        /// The mark with the blank behind it.
        mark: String,
        /// Bytes that the mark stands for.
        source: Range<usize>,
        look: Look,
        /// Whether the mark has been drawn.
        begun: bool,
    },
}

impl Container {
    fn width(&self) -> u16 {
        match self {
            Self::Quote { .. } => 2,
            Self::Item { mark, .. } => sanitize::cell_width(mark) as u16,
        }
    }
}

/// A piece of text to be wrapped.
#[derive(Clone, Debug)]
pub(super) struct Piece<'a> {
    pub text: std::borrow::Cow<'a, str>,
    /// Its bytes of the unit; empty for decoration.
    pub source: Range<usize>,
    /// Whether each byte of the text is the byte of the source at the same place.
    pub exact: bool,
    pub look: Look,
}

pub(super) struct Builder<'a> {
    pub text: &'a str,
    pub width: u16,
    pub wrap_code: bool,
    pub unit: Unit,
    pub containers: Vec<Container>,
    /// Whether text stands above the unit.
    pub follows: bool,
    covered: usize,
    used: u16,
    /// Cells of the row that its prefix takes.
    prefix: u16,
    /// The word that has not got its row yet.
    word: Vec<Cell>,
    word_width: u16,
    /// Rows may be longer than the width.
    over: bool,
    fill: bool,
}

impl<'a> Builder<'a> {
    pub fn new(text: &'a str, width: u16, wrap_code: bool) -> Self {
        Self {
            text,
            width: width.max(1),
            wrap_code,
            unit: Unit::default(),
            containers: Vec::new(),
            follows: false,
            covered: 0,
            used: 0,
            prefix: 0,
            word: Vec::new(),
            word_width: 0,
            over: false,
            fill: false,
        }
    }

    /// Goes on below the rows of a code block.
    pub fn resumed(text: &'a str, style: Style, unit: Unit, covered: usize) -> Self {
        let mut builder = Self::new(text, style.width, style.wrap_code).starting_at(covered);
        builder.unit = unit;
        (builder.over, builder.fill) = (!style.wrap_code, true);
        builder
    }

    /// Passes over everything before `from`, as part of what is not laid out here.
    pub fn starting_at(mut self, from: usize) -> Self {
        self.covered = from;
        self
    }

    /// Begins a block that stands for the bytes from here on: what is left of the line before ends its last row, and
    /// blank lines between are one blank row.
    pub fn begin_block(&mut self, from: usize) {
        self.flush();
        (self.over, self.fill) = (false, false);
        let from = from.max(self.covered);
        let gap = &self.text[self.covered..from];
        let line_end = gap.find('\n').map_or(0, |at| at + 1);
        let has_rows = !self.unit.rows.is_empty();
        if has_rows {
            self.cover(self.covered + line_end);
        }
        let skipped = if has_rows { line_end } else { 0 };
        let between = &gap[skipped..];
        let blank =
            |line: &str| line.ends_with('\n') && line.trim_matches([' ', '\t', '>', '\n', '\r']).is_empty();
        let blanks: usize = between.split_inclusive('\n').take_while(|line| blank(line)).map(str::len).sum();
        if blanks > 0 && (has_rows || self.follows) {
            self.begin_row(true);
            self.cover(self.covered + blanks);
            self.flush();
        }
        self.begin_row(false);
    }

    /// A row more of the same block.
    pub fn next_row(&mut self) {
        self.flush();
        self.begin_row(false);
    }

    /// Code from here on: rows are filled, and run over the edge if they may.
    pub fn begin_code(&mut self) {
        (self.over, self.fill) = (!self.wrap_code, true);
        if let Some(row) = self.unit.rows.last_mut() {
            row.fill = Some(self.prefix);
        }
    }

    /// A row without words for the rest: what is covered up to here stands at the row's end.
    pub fn finish(mut self, until: usize) -> Unit {
        self.flush();
        if !self.unit.rows.is_empty() {
            self.cover(until);
            self.flush();
        }
        self.unit.settle();
        self.unit
    }

    /// Cells left for text in a row.
    pub fn room(&self) -> u16 {
        self.width - self.prefix_width()
    }

    pub fn covered(&self) -> usize {
        self.covered
    }

    /// Makes bytes that are passed over cells of no width, at this place.
    pub fn cover(&mut self, until: usize) {
        while self.covered < until {
            let rest = &self.text[self.covered..until];
            let (length, kind) = match rest.find('\n') {
                Some(0) => (1, Kind::Newline),
                Some(at) => (at, Kind::Hidden),
                None => (rest.len(), Kind::Hidden),
            };
            let cell = self.cell(self.covered..self.covered + length, "", 0, kind, Look::default());
            self.covered += length;
            self.word.push(cell);
        }
    }

    fn prefix_width(&self) -> u16 {
        let most = self.width / 2;
        let mut width = 0;
        for container in &self.containers {
            if width + container.width() <= most {
                width += container.width();
            }
        }
        width
    }

    fn begin_row(&mut self, blank: bool) {
        let first = self.unit.cells.len() as u32;
        self.unit.rows.push(Row { first, fill: None });
        let most = self.width / 2;
        self.used = 0;
        let mut containers = std::mem::take(&mut self.containers);
        for container in &mut containers {
            let fits = self.used + container.width() <= most;
            match container {
                Container::Quote { tone, begun } if fits && (*begun || !blank) => {
                    *begun = true;
                    self.decorate("│ ", Look::of(*tone));
                }
                Container::Item { mark, source, look, begun } if !*begun && !blank => {
                    *begun = true;
                    self.cover(source.start);
                    self.word_to_row();
                    let bytes = source.start.max(self.covered)..source.end.max(self.covered);
                    if fits {
                        let mark = std::mem::take(mark);
                        self.put_mark(&mark, bytes.clone(), *look);
                        *container = Container::Item { mark, source: bytes, look: *look, begun: true };
                    }
                }
                Container::Item { mark, .. } if fits && !blank => {
                    let blanks = " ".repeat(sanitize::cell_width(mark));
                    self.decorate(&blanks, Look::default());
                }
                _ => {}
            }
        }
        self.containers = containers;
        self.prefix = self.used;
        if let Some(row) = self.unit.rows.last_mut() {
            row.fill = (self.fill && !blank).then_some(self.prefix);
        }
    }

    fn put_mark(&mut self, mark: &str, source: Range<usize>, look: Look) {
        let (sign, blank) = mark.split_at(mark.trim_end().len());
        self.put_sign(sign, source, look);
        self.decorate(blank, Look::default());
    }

    /// Puts a sign into the row that stands for a stretch of the source; as much of it as there is room for.
    pub fn put_sign(&mut self, sign: &str, source: Range<usize>, look: Look) {
        self.cover(source.start);
        self.word_to_row();
        let source = source.start.max(self.covered)..source.end.max(self.covered);
        for cluster in sanitize::clusters(sign) {
            if self.used + u16::from(cluster.width) > self.width || cluster.kind == Kind::Revealed {
                break;
            }
            let kind = if cluster.kind == Kind::Space { Kind::Space } else { Kind::Text };
            let cell = self.cell(source.clone(), &cluster.shown, cluster.width, kind, look);
            self.used += u16::from(cluster.width);
            self.unit.cells.push(cell);
            self.covered = source.end;
        }
    }

    /// Puts cells without a source into the row.
    pub fn decorate(&mut self, text: &str, look: Look) {
        self.word_to_row();
        for cluster in sanitize::clusters(text) {
            let kind = if cluster.kind == Kind::Space { Kind::Space } else { Kind::Text };
            let cell = self.cell(self.covered..self.covered, &cluster.shown, cluster.width, kind, look);
            self.used += u16::from(cluster.width);
            self.unit.cells.push(cell);
        }
    }

    fn cell(&mut self, source: Range<usize>, shown: &str, width: u8, kind: Kind, look: Look) -> Cell {
        let (shown, width) = if shown.len() > 255 { ("?", 1) } else { (shown, width) };
        let at = self.unit.shown.len() as u32;
        self.unit.shown.push_str(shown);
        let (start, end) = (source.start as u32, source.end as u32);
        Cell { at: start, end, shown: at, length: shown.len() as u8, width, kind, look }
    }

    /// Wraps a piece of text into the rows.
    pub fn put(&mut self, piece: &Piece<'_>) {
        let decoration = piece.source.is_empty();
        if !decoration {
            self.cover(piece.source.start);
        }
        let column = usize::from(self.used + self.word_width - self.prefix.min(self.used));
        for cluster in sanitize::clusters_from(&piece.text, column) {
            let source = match (decoration, piece.exact) {
                (true, _) => self.covered..self.covered,
                (_, true) => {
                    piece.source.start + cluster.source.start..piece.source.start + cluster.source.end
                }
                (_, false) => piece.source.clone(),
            };
            self.covered = self.covered.max(source.end);
            self.put_cluster(&cluster, &source, piece.look);
        }
        if !decoration {
            self.cover(piece.source.end);
        }
    }

    fn put_cluster(&mut self, cluster: &sanitize::Cluster<'_>, source: &Range<usize>, look: Look) {
        match cluster.kind {
            Kind::Hidden | Kind::Newline => {
                let cell = self.cell(source.clone(), "", 0, cluster.kind, look);
                self.word.push(cell);
            }
            Kind::Space => {
                self.flush();
                let room = if self.over { u16::MAX } else { self.width.saturating_sub(self.used) };
                let width = u16::from(cluster.width).min(room) as u8;
                let cell = self.cell(source.clone(), &cluster.shown, width, Kind::Space, look);
                self.used += u16::from(width);
                self.unit.cells.push(cell);
            }
            Kind::Text => {
                let fits = u16::from(cluster.width) <= self.width - self.prefix;
                let (shown, width) = if fits { (cluster.shown.as_ref(), cluster.width) } else { ("?", 1) };
                if self.may_break_before(shown, width) {
                    self.flush();
                }
                let cell = self.cell(source.clone(), shown, width, Kind::Text, look);
                self.word.push(cell);
                self.word_width += u16::from(width);
            }
            Kind::Revealed => {
                for c in cluster.shown.chars() {
                    let cell = self.cell(source.clone(), c.encode_utf8(&mut [0; 4]), 1, Kind::Revealed, look);
                    self.word.push(cell);
                    self.word_width += 1;
                }
            }
        }
        // A word that fills a row alone is cut; code keeps its columns.
        if self.fill || self.word_width > self.width {
            self.flush();
        }
    }

    /// Whether a line may be broken before a character though there is no blank: beside wide ones, but not before
    /// what closes nor after what opens.
    fn may_break_before(&self, shown: &str, width: u8) -> bool {
        const CLOSING: &str = "、。，．！？：；）」』】》〉〕］｝…‥ー々゛゜ゃゅょっぁぃぅぇぉャュョッァィゥェォ・,.!?:;)]}%'\"’”";
        const OPENING: &str = "（「『【《〈〔［｛([{‘“";
        let Some(last) = self.word.iter().rev().find(|cell| cell.width > 0) else { return false };
        let first_of = |shown: &str, of: &str| shown.chars().next().is_some_and(|c| of.contains(c));
        (last.width == 2 || width == 2)
            && !first_of(shown, CLOSING)
            && !first_of(self.unit.shown(last), OPENING)
    }

    /// Gives the word its place: in this row, or in the next where it does not fit, or in several where it is longer
    /// than a row.
    pub fn flush(&mut self) {
        if !self.over && self.used + self.word_width > self.width && self.used > self.prefix && !self.fill {
            let word = std::mem::take(&mut self.word);
            self.wrap(word.first());
            self.word = word;
        }
        self.word_to_row();
    }

    fn word_to_row(&mut self) {
        self.word_width = 0;
        if self.unit.rows.is_empty() && !self.word.is_empty() {
            self.unit.rows.push(Row { first: 0, fill: None });
        }
        for cell in std::mem::take(&mut self.word) {
            if !self.over
                && cell.width > 0
                && self.used + u16::from(cell.width) > self.width
                && self.used > self.prefix
            {
                self.wrap(Some(&cell));
            }
            self.used += u16::from(cell.width);
            self.unit.cells.push(cell);
        }
    }

    /// Begins the next row of a line; its prefix stands where `next` does.
    fn wrap(&mut self, next: Option<&Cell>) {
        let covered = self.covered;
        let last = self.unit.cells.last().map_or(0, |cell| cell.end as usize);
        self.covered = next.map_or(covered, |cell| last.max(cell.at as usize));
        self.begin_row(false);
        self.covered = covered;
    }

    /// Puts a row of cells that were laid out alone behind what the row holds, blanks up to `width` after it.
    pub fn put_laid(&mut self, unit: &Unit, row: usize, width: u16, shift: u16) {
        self.word_to_row();
        let blanks = |builder: &mut Self, count: u16| {
            if count > 0 {
                builder.decorate(&" ".repeat(usize::from(count)), Look::default());
            }
        };
        let taken: u16 = if row < unit.rows.len() {
            unit.cells[unit.row_cells(row)].iter().map(|cell| u16::from(cell.width)).sum()
        } else {
            0
        };
        let before = shift.min(width.saturating_sub(taken));
        blanks(self, before);
        if row < unit.rows.len() {
            for cell in &unit.cells[unit.row_cells(row)] {
                let shown = self.unit.shown.len() as u32;
                self.unit.shown.push_str(unit.shown(cell));
                self.used += u16::from(cell.width);
                self.unit.cells.push(Cell { shown, ..*cell });
            }
        }
        blanks(self, width.saturating_sub(taken + before));
    }

    /// What is laid out elsewhere is covered up to here.
    pub fn covered_to(&mut self, until: usize) {
        self.covered = self.covered.max(until);
    }
}

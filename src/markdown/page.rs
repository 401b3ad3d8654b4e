//! A message laid out: units one below the other, found by row, by cell and by byte.
//!
//! Invariant: all but the last unit are final, unless a label that they asked for is defined later.

use std::collections::BTreeMap;
use std::ops::Range;

use super::flow::{self, Place};
use super::highlight::{Spans, is_coloured};
use super::notes;
use super::open_fence::OpenFence;
use super::source::Source;
use super::split;
use super::unit::{CodeLine, Unit};
use super::{Labels, Look, Style};
use crate::sanitize::Kind;

/// One drawn cell or pair of cells, or a place in the text that shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyph<'a> {
    /// Bytes it stands for; empty where it is decoration.
    pub source: (usize, usize),
    /// What is drawn; empty where nothing is.
    pub shown: &'a str,
    /// First cell in its row.
    pub column: u16,
    /// Cells it takes; 0 for what is hidden.
    pub width: u16,
    /// What it is.
    pub kind: Kind,
    /// How it is meant.
    pub look: Look,
}

/// Cells of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The row.
    pub row: usize,
    /// Its cells.
    pub columns: Range<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    at: usize,
    place: Place,
    /// Its first row in the page.
    row: usize,
    unit: Unit,
}

/// A message laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    style: Style,
    source: Source,
    growing: bool,
    units: Vec<Placed>,
    /// Where the tail begins, and the number of the item that it begins with.
    tail: (usize, Option<u64>),
    fence: Option<OpenFence>,
    /// What final units define.
    labels: Labels,
    /// What is known of lines of code, by where they begin; `None` where it was asked for.
    colours: BTreeMap<usize, Option<Spans>>,
    wanted: Vec<CodeLine>,
}

impl Page {
    /// No text yet, to be appended to.
    #[must_use]
    pub fn growing(style: Style) -> Self {
        Self {
            style: Style { width: style.width.max(1), ..style },
            source: Source::default(),
            growing: true,
            units: Vec::new(),
            tail: (0, None),
            fence: None,
            labels: Labels::new(),
            colours: BTreeMap::new(),
            wanted: Vec::new(),
        }
    }

    /// A whole text.
    #[must_use]
    pub fn of(bytes: &[u8], style: Style) -> Self {
        let mut page = Self::growing(style);
        page.growing = false;
        page.append(bytes);
        page
    }

    /// The same text in another style, with the colours that are known.
    #[must_use]
    pub fn coloured_as(mut self, other: Self) -> Self {
        self.colours = other.colours;
        self
    }

    /// Adds text.
    pub fn append(&mut self, bytes: &[u8]) {
        self.source.append(bytes, self.growing);
        self.grow();
    }

    /// No more text comes.
    pub fn finish(&mut self) {
        if std::mem::take(&mut self.growing) {
            self.append(&[]);
        }
    }

    /// Whether text can be appended.
    #[must_use]
    pub fn is_growing(&self) -> bool {
        self.growing
    }

    /// How it is laid out.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// Bytes read.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.source.bytes()
    }

    /// Number of rows, at least 1.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.last_row().max(1)
    }

    /// The cells of a row, in order; none past the last.
    pub fn row(&self, row: usize) -> impl Iterator<Item = Glyph<'_>> {
        let found = self.unit_of_row(row);
        let cells = found.map(|(placed, local)| (placed, placed.unit.row_cells(local)));
        let mut column = 0;
        cells.into_iter().flat_map(|(placed, cells)| cells.map(move |at| (placed, at))).map(
            move |(placed, at)| {
                let cell = &placed.unit.cells[at];
                let byte = |offset: u32| self.source.byte(placed.at + offset as usize);
                let glyph = Glyph {
                    source: (byte(cell.at), byte(cell.end)),
                    shown: placed.unit.shown(cell),
                    column,
                    width: u16::from(cell.width),
                    kind: cell.kind,
                    look: cell.look,
                };
                column += glyph.width;
                glyph
            },
        )
    }

    /// The column from which a row is filled as code is.
    #[must_use]
    pub fn fill(&self, row: usize) -> Option<u16> {
        let (placed, local) = self.unit_of_row(row)?;
        placed.unit.rows[local].fill
    }

    /// What no more text changes but for labels that come later: so many blocks, and so many rows of the next, which
    /// are the whole lines of an open fence.
    #[must_use]
    pub fn settled(&self) -> (usize, usize) {
        match self.units.split_last() {
            Some((last, before)) if self.growing && last.at == self.tail.0 => {
                (before.len(), self.fence.as_ref().map_or(0, OpenFence::whole_rows))
            }
            _ => (self.units.len(), 0),
        }
    }

    /// The rows of a block; none past the last.
    #[must_use]
    pub fn rows_of(&self, block: usize) -> Range<usize> {
        let placed = self.units.get(block);
        placed.map_or(0..0, |placed| placed.row..placed.row + placed.unit.rows.len())
    }

    /// The addresses that a block defines, which has no row for them, with their labels.
    pub fn definitions(&self, block: usize) -> impl Iterator<Item = (&str, &str)> {
        let defines = self.units.get(block).map_or(&[][..], |placed| &placed.unit.defines);
        let links = defines.iter().filter(|(_, address)| address != notes::FOOTNOTE);
        links.map(|(label, address)| (label.as_str(), address.as_str()))
    }

    /// Cells of a row that are taken.
    #[must_use]
    pub fn row_width(&self, row: usize) -> u16 {
        self.row(row).map(|glyph| glyph.width).sum()
    }

    /// The first byte that a row stands for.
    #[must_use]
    pub fn row_start(&self, row: usize) -> usize {
        let found = self.unit_of_row(row);
        let start =
            found.map(|(placed, local)| placed.at + placed.unit.row_start(local).unwrap_or(0) as usize);
        start.map_or(self.bytes(), |offset| self.source.byte(offset))
    }

    /// The cells that show any of these bytes, a stretch for each row and run of cells; none where nothing is shown.
    #[must_use]
    pub fn cells_of(&self, bytes: Range<usize>) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        if bytes.is_empty() || bytes.start >= self.bytes() {
            return stretches;
        }
        let from = self.source.offset(bytes.start);
        let to = (self.source.offset(bytes.end - 1) + 1).max(from + 1);
        let first = self.units.partition_point(|placed| placed.at <= from).saturating_sub(1);
        for placed in self.units[first..].iter().take_while(|placed| placed.at < to) {
            let local = from.saturating_sub(placed.at) as u32..(to - placed.at) as u32;
            for cell in placed.unit.cells_of(local) {
                let width = u16::from(placed.unit.cells[cell].width);
                let row = placed.row + placed.unit.row_of_cell(cell);
                let column = placed.unit.column_of(cell);
                match stretches.last_mut().filter(|last| last.row == row && last.columns.end == column) {
                    Some(last) => last.columns.end += width,
                    None if width > 0 => stretches.push(Stretch { row, columns: column..column + width }),
                    None => {}
                }
            }
        }
        stretches
    }

    /// Row and column at which a byte stands or would stand.
    #[must_use]
    pub fn place_of(&self, byte: usize) -> (usize, u16) {
        let end = || (self.rows() - 1, self.row_width(self.rows() - 1));
        if byte >= self.bytes() {
            return end();
        }
        let offset = self.source.offset(byte);
        let Some(index) = self.units.partition_point(|placed| placed.at <= offset).checked_sub(1) else {
            return end();
        };
        let placed = &self.units[index];
        let local = (offset - placed.at) as u32;
        if let Some(cell) = placed.unit.cells_of(local..local + 1).into_iter().min() {
            return (placed.row + placed.unit.row_of_cell(cell), placed.unit.column_of(cell));
        }
        // A unit without a row, such as a definition, stands at the end of what is above it.
        placed.row.checked_sub(1).map_or((0, 0), |row| (row, self.row_width(row)))
    }

    /// The bytes shown by a cell.
    #[must_use]
    pub fn source_at(&self, row: usize, column: u16) -> Option<Range<usize>> {
        self.row(row)
            .find(|glyph| glyph.width > 0 && (glyph.column..glyph.column + glyph.width).contains(&column))
            .map(|glyph| glyph.source.0..glyph.source.1)
            .filter(|source| !source.is_empty())
    }

    /// Where the link leads that a byte is part of, if it may be followed.
    #[must_use]
    pub fn leads_to(&self, byte: usize) -> Option<&str> {
        let offset = self.source.offset(byte);
        let unit = self.units.partition_point(|placed| placed.at <= offset).checked_sub(1)?;
        let placed = &self.units[unit];
        let local = (offset - placed.at) as u32;
        // Of an image in a link the innermost comes first.
        let found = placed.unit.links.iter().find(|(bytes, _)| bytes.contains(&local));
        found.map(|(_, address)| address.as_str())
    }

    /// Lines of code that wait for their colours, once each, those of a block in order.
    pub fn take_wanted(&mut self) -> Vec<CodeLine> {
        std::mem::take(&mut self.wanted)
    }

    /// Colours a line of code that was asked for.
    pub fn colour(&mut self, line: usize, spans: Spans) {
        let unit = self.units.partition_point(|placed| placed.at <= line).checked_sub(1);
        if let Some(placed) = unit.map(|unit| &mut self.units[unit]) {
            paint(placed, line, &spans);
        }
        self.colours.insert(line, Some(spans));
    }

    fn last_row(&self) -> usize {
        self.units.last().map_or(0, |placed| placed.row + placed.unit.rows.len())
    }

    fn unit_of_row(&self, row: usize) -> Option<(&Placed, usize)> {
        let index = self.units.partition_point(|placed| placed.row <= row).checked_sub(1)?;
        let placed = &self.units[index];
        (row - placed.row < placed.unit.rows.len()).then_some((placed, row - placed.row))
    }

    fn grow(&mut self) {
        let mut open = None;
        if self.units.last().is_some_and(|placed| placed.at == self.tail.0) {
            open = self.units.pop().map(|placed| placed.unit);
        }
        let mut settled = self.labels.len();
        loop {
            let (at, number) = self.tail;
            let place = Place { follows: at > 0, number };
            if self.fence.is_none() {
                self.fence = OpenFence::beginning(&self.source.text[at..]);
            }
            if let Some(fence) = &mut self.fence {
                let unit = fence.lay(
                    open.take().unwrap_or_default(),
                    &self.source.text[at..],
                    self.style,
                    place.follows,
                );
                let closed = fence.closed;
                self.push(at, place, unit);
                let Some(end) = closed.filter(|end| at + end < self.source.text.len()) else { break };
                (self.tail, self.fence) = ((at + end, None), None);
                continue;
            }
            open = None;
            let found = split::boundaries(&self.source.text[at..], number);
            if found.is_empty() {
                if at < self.source.text.len() {
                    let unit = flow::lay(&self.source.text[at..], self.style, &self.labels, place);
                    self.push(at, place, unit);
                }
                break;
            }
            for boundary in found {
                let (from, number) = self.tail;
                let place = Place { follows: from > 0, number };
                let text = &self.source.text[from..at + boundary.at];
                let unit = match OpenFence::beginning(text) {
                    Some(mut fence) => fence.lay(Unit::default(), text, self.style, place.follows),
                    None => flow::lay(text, self.style, &self.labels, place),
                };
                for (label, address) in &unit.defines {
                    self.labels.entry(label.clone()).or_insert_with(|| address.clone());
                }
                self.push(from, place, unit);
                self.tail = (at + boundary.at, boundary.number);
            }
        }
        if self.units.last().is_some_and(|placed| !placed.unit.defines.is_empty()) {
            settled = usize::MAX;
        }
        if settled != self.labels.len() || self.units.iter().any(|placed| !placed.unit.asked.is_empty()) {
            self.resolve();
        }
    }

    /// Lays out again what asked for labels that are known now, or no longer.
    fn resolve(&mut self) {
        let mut labels = self.labels.clone();
        if let Some(tail) = self.units.last() {
            for (label, address) in &tail.unit.defines {
                labels.entry(label.clone()).or_insert_with(|| address.clone());
            }
        }
        for index in 0..self.units.len() {
            let placed = &self.units[index];
            let end = self.units.get(index + 1).map_or(self.source.text.len(), |next| next.at);
            if placed.unit.asked.is_empty() || self.fence.is_some() && index + 1 == self.units.len() {
                continue;
            }
            let known: Vec<_> = placed.unit.asked.iter().map(|label| labels.get(label).cloned()).collect();
            if known == placed.unit.resolved {
                continue;
            }
            let (at, place) = (placed.at, placed.place);
            let mut unit = flow::lay(&self.source.text[at..end], self.style, &labels, place);
            unit.resolved = known;
            self.units[index].unit = unit;
            self.collect(index);
        }
        let mut row = 0;
        for placed in &mut self.units {
            placed.row = row;
            row += placed.unit.rows.len();
        }
    }

    fn push(&mut self, at: usize, place: Place, mut unit: Unit) {
        let row = self.last_row();
        unit.resolved = unit.asked.iter().map(|label| self.labels.get(label).cloned()).collect();
        self.units.push(Placed { at, place, row, unit });
        self.collect(self.units.len() - 1);
    }

    /// Colours a unit's code as far as it is known, and asks for the rest.
    fn collect(&mut self, index: usize) {
        let placed = &mut self.units[index];
        for line in std::mem::take(&mut placed.unit.code) {
            let at = placed.at + line.at;
            match self.colours.get(&at) {
                Some(Some(spans)) => paint(placed, at, spans),
                Some(None) => {}
                None => {
                    let line = CodeLine { block: placed.at + line.block, at, ..line };
                    if is_coloured(&line) {
                        self.colours.insert(at, None);
                        self.wanted.push(line);
                    }
                }
            }
        }
    }
}

fn paint(placed: &mut Placed, line: usize, spans: &Spans) {
    for (bytes, tone) in spans {
        let from = (line - placed.at + bytes.start) as u32;
        let to = (line - placed.at + bytes.end) as u32;
        for cell in placed.unit.cells_of(from..to) {
            let look = &mut placed.unit.cells[cell].look;
            if look.is_code() {
                look.tone = *tone;
            }
        }
    }
}

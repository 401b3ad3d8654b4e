//! A text of which parts can be folded, laid out: what was thought before an answer, files and long pastes in a message.
//! A line stands for each, its text under it while it is open.
//!
//! Invariant: every byte has a place whether its part is open or not; what lies between is laid out as if it were the
//! whole text.

use std::ops::Range;

use super::{Lines, Shape, Sheet};
use crate::attachment;
use crate::chat::Typed;
use crate::markdown::{CodeLine, Glyph, Look, Spans, Stretch, Tone};
use crate::reasoning::{Kind, Part, Splitter};

/// How far what can be folded is set in, cells.
const INDENT: u16 = 2;
/// What tells the lines of code of one answer from those of the next.
const CODE_OF_SECTION: usize = 1 << 32;

/// What stands for a part while it is folded, and above it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Title {
    /// Whether its text stands below it.
    pub open: bool,
    /// What it stands for.
    pub of: Folded,
}

/// What can be folded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Folded {
    /// What was thought.
    Thought {
        /// Whether it is still being thought.
        live: bool,
        /// Tokens spent, the marks among them.
        tokens: usize,
        /// How long they took, ms.
        ms: f32,
    },
    /// A file or a long paste.
    Insert {
        /// Which of the message's.
        index: usize,
        /// What is in it, bytes.
        bytes: usize,
        /// Lines of that.
        lines: usize,
    },
}

/// A token or a written stretch of a reply.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// What is shown of it.
    pub shown: &'a [u8],
    /// The name of a control token, which has no text of its own.
    pub name: Option<&'a [u8]>,
    /// How long it took, ms.
    pub ms: f32,
}

#[derive(Debug)]
enum Text {
    Thought {
        lines: Lines,
        /// Whether more than marks came.
        begun: bool,
    },
    Insert {
        text: Vec<u8>,
        /// Laid out when it is opened first: it can be a megabyte.
        lines: Option<Lines>,
        of: Folded,
    },
    Answer(Box<Sheet>),
}

/// Thoughts with the marks around them, a file, or what else is said.
#[derive(Debug)]
struct Section {
    /// Its first byte and piece.
    at: usize,
    piece: usize,
    /// Where its text begins: after the mark in front.
    text_at: usize,
    text: Text,
}

/// The text.
#[derive(Debug)]
pub struct Sections {
    shape: Shape,
    splitter: Splitter,
    list: Vec<Section>,
    /// Parts of the splitter that were taken up, and what the last of them is.
    taken: usize,
    kind: Kind,
    /// Bytes that are not decided, and where they begin.
    held: Vec<u8>,
    held_at: usize,
    /// How long everything up to each piece took, ms.
    elapsed: Vec<f32>,
    growing: bool,
    unfolded: bool,
    /// Whether marks are shown by their names.
    special: bool,
}

/// Where a section stands.
struct Placed<'a> {
    section: &'a Section,
    index: usize,
    row: usize,
    /// Whether a title stands above its text.
    title: bool,
    open: bool,
    /// Rows of its text that are shown.
    rows: usize,
}

impl Sections {
    /// Nothing yet of a reply that is taken apart by `splitter`.
    pub fn growing(shape: Shape, splitter: Splitter, special: bool) -> Self {
        Self {
            shape,
            splitter,
            list: Vec::new(),
            taken: 0,
            kind: Kind::Answer,
            held: Vec::new(),
            held_at: 0,
            elapsed: Vec::new(),
            growing: true,
            unfolded: false,
            special,
        }
    }

    /// A message with files and pastes.
    pub fn typed(shape: Shape, typed: &Typed) -> Self {
        let bytes = typed.text.as_bytes();
        let mut all = Self::growing(shape, Splitter::default(), false);
        (all.growing, all.held_at) = (false, bytes.len());
        let mut from = 0;
        for (index, insert) in typed.inserts.iter().enumerate() {
            // Its line end is the one of the line that stands for it.
            let end = insert.end + usize::from(bytes.get(insert.end) == Some(&b'\n'));
            all.add_answer(from, &bytes[from..insert.start]);
            let inside = &typed.text[insert.bytes()];
            let (inside, line_end) = match &insert.file {
                Some(_) => (attachment::inside(inside), 1),
                None => (inside, 0),
            };
            let (bytes_inside, lines) = (inside.len() + line_end, inside.lines().count());
            let of = Folded::Insert { index, bytes: bytes_inside, lines };
            let text = Text::Insert { text: bytes[insert.start..end].to_vec(), lines: None, of };
            all.list.push(Section { at: insert.start, piece: 0, text_at: insert.start, text });
            from = end;
        }
        all.add_answer(from, &bytes[from..]);
        all
    }

    fn add_answer(&mut self, at: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            let mut sheet = Sheet::growing(self.shape);
            sheet.append(bytes);
            sheet.finish();
            self.list.push(Section { at, piece: 0, text_at: at, text: Text::Answer(Box::new(sheet)) });
        }
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Opens or folds what can be folded.
    pub fn unfold(&mut self, unfolded: bool) {
        self.unfolded = unfolded;
        let width = self.inner_width();
        for section in self.list.iter_mut().filter(|_| unfolded) {
            if let Text::Insert { text, lines: lines @ None, .. } = &mut section.text {
                *lines = Some(Lines::of(text, width));
            }
        }
    }

    /// Cells of a row of what can be folded.
    fn inner_width(&self) -> u16 {
        self.shape.width().saturating_sub(INDENT).max(1)
    }

    /// Adds a piece.
    pub fn append(&mut self, piece: Piece<'_>) {
        self.elapsed.push(self.elapsed.last().copied().unwrap_or_default() + piece.ms);
        self.held.extend_from_slice(piece.shown);
        match piece.name {
            Some(name) => self.splitter.push_named(name, piece.shown.len()),
            None => self.splitter.push(piece.shown, None),
        }
        self.take();
    }

    pub(super) fn finish(&mut self) {
        if std::mem::take(&mut self.growing) {
            self.splitter.finish();
            self.take();
            for section in &mut self.list {
                match &mut section.text {
                    Text::Thought { lines, .. } => lines.finish(),
                    Text::Answer(body) => body.finish(),
                    Text::Insert { .. } => {}
                }
            }
        }
    }

    pub(super) fn is_growing(&self) -> bool {
        self.growing
    }

    pub(super) fn bytes(&self) -> usize {
        self.held_at + self.held.len()
    }

    /// Whether a piece is among what was thought.
    pub fn is_thought(&self, piece: usize) -> bool {
        let next = self.list.partition_point(|section| section.piece <= piece);
        next.checked_sub(1).is_some_and(|at| self.list[at].is_thought())
    }

    /// Whether a byte is in a file or a paste.
    pub fn is_inserted(&self, byte: usize) -> bool {
        let next = self.list.partition_point(|section| section.at <= byte);
        let section = next.checked_sub(1).map(|at| &self.list[at].text);
        matches!(section, Some(Text::Insert { .. }))
    }

    /// Gives what is decided to the sections.
    fn take(&mut self) {
        let decided = self.splitter.decided();
        let base = self.held_at;
        let mut done = base;
        loop {
            let next = self.splitter.parts().get(self.taken).copied();
            let end = next.map_or(decided, |part| part.at);
            if end > done {
                let bytes = self.held[done - base..end - base].to_vec();
                self.give(&bytes);
                done = end;
            }
            let Some(part) = next else { break };
            self.begin(part);
            self.taken += 1;
        }
        self.held.drain(..decided - base);
        self.held_at = decided;
    }

    fn begin(&mut self, part: Part) {
        self.kind = part.kind;
        if let Some(Section { text: Text::Thought { lines: _, begun }, text_at, .. }) = self.list.last_mut() {
            match part.kind {
                Kind::Mark => return,
                Kind::Thought if !*begun => {
                    *begun = true;
                    *text_at = if self.special { *text_at } else { part.at };
                    return;
                }
                _ => {}
            }
        }
        let text = match part.kind {
            Kind::Answer => Text::Answer(Box::new(Sheet::growing(self.shape))),
            kind => Text::Thought { lines: Lines::growing(self.inner_width()), begun: kind == Kind::Thought },
        };
        self.list.push(Section { at: part.at, piece: part.piece, text_at: part.at, text });
    }

    fn give(&mut self, bytes: &[u8]) {
        let Some(section) = self.list.last_mut() else { return };
        match &mut section.text {
            Text::Thought { lines, .. } if self.kind == Kind::Thought || self.special => lines.append(bytes),
            Text::Thought { .. } | Text::Insert { .. } => {}
            Text::Answer(body) => body.append(bytes),
        }
    }

    /// The sections with their rows. What can be folded is open where that is wanted; thoughts also while there is no
    /// answer to read.
    fn placed(&self) -> impl Iterator<Item = Placed<'_>> {
        let answered = self.list.iter().rposition(|section| section.rows() > 0 && !section.is_thought());
        let last = self.list.iter().rposition(|section| section.rows() > 0);
        let mut row = 0;
        self.list.iter().enumerate().map(move |(index, section)| {
            let thought = section.is_thought();
            let early = thought && answered.is_none_or(|answer| answer < index);
            let open = !section.folds() || self.unfolded || early;
            let title = section.folds() && section.rows() > 0;
            let rows = if open { section.rows() } else { 0 };
            let gap = usize::from(title && thought && last.is_some_and(|last| last > index));
            let placed = Placed { section, index, row, title, open, rows };
            row += usize::from(title) + rows + gap;
            placed
        })
    }

    fn at_row(&self, row: usize) -> Option<(Placed<'_>, Option<usize>)> {
        let placed = self.placed().take_while(|placed| placed.row <= row).last()?;
        let local =
            (row - placed.row).checked_sub(usize::from(placed.title)).filter(|row| *row < placed.rows);
        Some((placed, local))
    }

    /// The section that holds a byte.
    fn at_byte(&self, byte: usize) -> Option<Placed<'_>> {
        self.placed().take_while(|placed| placed.section.at <= byte).last()
    }

    /// What stands for something folded in a row.
    pub fn title(&self, row: usize) -> Option<Title> {
        let placed = self.placed().find(|placed| placed.title && placed.row == row)?;
        let next = self.list.get(placed.index + 1).map_or(self.elapsed.len(), |next| next.piece);
        let until = |piece: usize| {
            piece.checked_sub(1).and_then(|piece| self.elapsed.get(piece)).copied().unwrap_or(0.0)
        };
        let of = match placed.section.text {
            Text::Insert { of, .. } => of,
            _ => Folded::Thought {
                live: self.growing && placed.index + 1 == self.list.len(),
                tokens: next.saturating_sub(placed.section.piece),
                ms: until(next) - until(placed.section.piece),
            },
        };
        Some(Title { open: placed.open, of })
    }

    pub(super) fn rows(&self) -> usize {
        self.placed().last().map_or(0, |last| last.row + usize::from(last.title) + last.rows).max(1)
    }

    pub(super) fn row(&self, row: usize) -> Box<dyn Iterator<Item = Glyph<'_>> + '_> {
        let Some((placed, Some(local))) = self.at_row(row) else { return Box::new(std::iter::empty()) };
        let at = placed.section.text_at;
        let moved = move |glyph: Glyph<'_>| (glyph.source.0 + at, glyph.source.1 + at);
        let look = if placed.section.is_thought() { Look::of(Tone::Muted) } else { Look::default() };
        match placed.section.text.laid() {
            None => Box::new(std::iter::empty()),
            Some(Laid::Folded(lines)) => Box::new(lines.row(local).map(move |glyph| Glyph {
                source: moved(glyph),
                column: glyph.column + INDENT,
                look,
                ..glyph
            })),
            Some(Laid::Answer(body)) => {
                Box::new(body.row(local).map(move |glyph| Glyph { source: moved(glyph), ..glyph }))
            }
        }
    }

    pub(super) fn fill(&self, row: usize) -> Option<u16> {
        match self.at_row(row)? {
            (Placed { section: Section { text: Text::Answer(body), .. }, .. }, Some(local)) => {
                body.fill(local)
            }
            _ => None,
        }
    }

    pub(super) fn row_width(&self, row: usize) -> u16 {
        match self.at_row(row) {
            Some((placed, Some(local))) => match placed.section.text.laid() {
                Some(Laid::Folded(lines)) => INDENT + lines.row_width(local),
                Some(Laid::Answer(body)) => body.row_width(local),
                None => 0,
            },
            _ => 0,
        }
    }

    pub(super) fn row_start(&self, row: usize) -> usize {
        match self.at_row(row) {
            Some((placed, Some(local))) => {
                let start = match placed.section.text.laid() {
                    Some(Laid::Folded(lines)) => lines.row_source(local).start,
                    Some(Laid::Answer(body)) => body.row_start(local),
                    None => 0,
                };
                placed.section.text_at + start
            }
            Some((placed, None)) if placed.title && placed.row < row => {
                self.list.get(placed.index + 1).map_or(self.bytes(), |next| next.at)
            }
            Some((placed, None)) => placed.section.at,
            None => self.bytes(),
        }
    }

    pub(super) fn cells_of(&self, bytes: Range<usize>) -> Vec<Stretch> {
        let mut cells = Vec::new();
        for placed in self.placed().filter(|placed| placed.rows > 0) {
            let section = placed.section;
            let from = bytes.start.max(section.text_at) - section.text_at;
            let to = bytes.end.saturating_sub(section.text_at).min(section.bytes());
            if bytes.end <= section.at || from >= to {
                continue;
            }
            let (found, indent) = match section.text.laid() {
                Some(Laid::Folded(lines)) => (lines.cells_of(from..to), INDENT),
                Some(Laid::Answer(body)) => (body.cells_of(from..to), 0),
                None => continue,
            };
            let first = placed.row + usize::from(placed.title);
            let shown = found.into_iter().filter(|stretch| stretch.row < placed.rows);
            cells.extend(shown.map(|stretch| Stretch {
                row: stretch.row + first,
                columns: stretch.columns.start + indent..stretch.columns.end + indent,
            }));
        }
        cells
    }

    pub(super) fn place_of(&self, byte: usize) -> (usize, u16) {
        let Some(placed) = self.at_byte(byte) else { return (0, 0) };
        let section = placed.section;
        if placed.rows == 0 || byte < section.text_at {
            // What is folded stands at its line; marks without thoughts where the answer begins.
            return (placed.row.min(self.rows() - 1), 0);
        }
        let first = placed.row + usize::from(placed.title);
        let byte = byte - section.text_at;
        let ((row, column), indent) = match section.text.laid() {
            Some(Laid::Folded(lines)) => (lines.place_of(byte.min(lines.bytes())), INDENT),
            Some(Laid::Answer(body)) => (body.place_of(byte), 0),
            None => ((0, 0), 0),
        };
        (first + row.min(placed.rows - 1), column + indent)
    }

    pub(super) fn leads_to(&self, byte: usize) -> Option<&str> {
        let next = self.list.partition_point(|section| section.at <= byte);
        let section = &self.list[next.checked_sub(1)?];
        match &section.text {
            Text::Thought { .. } | Text::Insert { .. } => None,
            Text::Answer(body) => body.leads_to(byte.checked_sub(section.text_at)?),
        }
    }

    pub(super) fn take_wanted(&mut self) -> Vec<CodeLine> {
        let mut all = Vec::new();
        for (index, section) in self.list.iter_mut().enumerate() {
            let Text::Answer(body) = &mut section.text else { continue };
            let moved = index * CODE_OF_SECTION;
            all.extend(body.take_wanted().into_iter().map(|line| CodeLine {
                at: line.at + moved,
                block: line.block + moved,
                ..line
            }));
        }
        all
    }

    pub(super) fn colour(&mut self, line: usize, spans: Spans) {
        if let Some(Section { text: Text::Answer(body), .. }) = self.list.get_mut(line / CODE_OF_SECTION) {
            body.colour(line % CODE_OF_SECTION, spans);
        }
    }
}

/// The text of a section that is laid out.
enum Laid<'a> {
    /// Of one that can be folded.
    Folded(&'a Lines),
    /// Of another.
    Answer(&'a Sheet),
}

impl Text {
    fn laid(&self) -> Option<Laid<'_>> {
        match self {
            Self::Thought { lines, .. } => Some(Laid::Folded(lines)),
            Self::Insert { lines, .. } => lines.as_ref().map(Laid::Folded),
            Self::Answer(body) => Some(Laid::Answer(body)),
        }
    }
}

impl Section {
    fn is_thought(&self) -> bool {
        matches!(self.text, Text::Thought { .. })
    }

    /// Whether a line can stand for it.
    fn folds(&self) -> bool {
        !matches!(self.text, Text::Answer(_))
    }

    fn bytes(&self) -> usize {
        match &self.text {
            Text::Thought { lines, .. } => lines.bytes(),
            Text::Insert { text, .. } => text.len(),
            Text::Answer(body) => body.bytes(),
        }
    }

    /// Rows of its text; none where it has none.
    fn rows(&self) -> usize {
        match &self.text {
            _ if self.bytes() == 0 => 0,
            Text::Thought { lines, .. } => lines.shown_rows(),
            // What was never opened is not laid out; that it has rows is known.
            Text::Insert { lines, .. } => lines.as_ref().map_or(1, Lines::shown_rows),
            Text::Answer(body) => body.shown_rows(),
        }
    }
}

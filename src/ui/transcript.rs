//! The transcript: who speaks, the text, what came of it; scrolled to an anchor in the text.
//!
//! Invariant: only the rows in view are drawn; the rows of all others are known from the cache. The area is
//! the whole pane: one blank column stays free at each side, the right one for the writing mark.

mod blocks;
mod empty;
mod folds;
mod head;
mod ink;
pub(super) mod markup;
mod pointer;

pub use head::short;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::{App, Area, Colouring, Focus, Scroll, TokenCursor};
use crate::chat::{Role as Speaker, Turn, TurnId, TurnState};
use crate::markdown::Tone;
use crate::theme::{Role, Theme};
use crate::ui::cache::{Branch, Cache};
use crate::ui::marks::Marks;
use crate::ui::{shade, text};
use blocks::{Block, Blocks, Part, Wanted};
use pointer::Pointer;

/// The text is at most this wide, cells.
pub const MEASURE: u16 = 88;

/// What drawing the transcript learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranscriptGeometry {
    /// The resolved anchor; [`Scroll::Bottom`] where the end is in view.
    pub scroll: Scroll,
    /// Rows of the view.
    pub view_rows: u16,
    /// Rows of the whole transcript.
    pub total_rows: usize,
    /// Rows hidden below the view.
    pub rows_below: usize,
    /// Messages in view, for the mouse.
    pub turns: Vec<(TurnId, Area)>,
    /// Tokens in view, a stretch of one row each, for the mouse; none while it is off.
    pub tokens: Vec<(TokenCursor, Area)>,
    /// Lines in view that stand for what can be folded, for the mouse.
    pub folds: Vec<(TurnId, Area)>,
    /// Links in view, a stretch of one row each, and where they lead; none where they are switched off.
    pub links: Vec<(Area, String)>,
}

/// Draws the shown branch, or a hint of what to do where it is empty.
pub fn draw(app: &App, theme: &Theme, cache: &mut Cache, area: Rect, buf: &mut Buffer) -> TranscriptGeometry {
    let area = area.intersection(buf.area);
    let view_rows = area.height;
    cache.draw_in_ascii(theme.symbols.ascii);
    cache.take_colours();
    let branch = cache.branch(&app.talk.chat, app.talk.system.as_ref());
    if area.width < 3 || area.height == 0 {
        return TranscriptGeometry {
            scroll: app.transcript.scroll,
            view_rows,
            ..TranscriptGeometry::default()
        };
    }
    let waiting = app.talk.queued.as_ref().filter(|queued| queued.chat == app.talk.chat.head.id);
    let waiting = waiting.map_or(&[][..], |queued| &queued.texts);
    if branch.len() == 0 && waiting.is_empty() {
        empty::draw(app, theme, area, buf);
        return TranscriptGeometry { view_rows, ..TranscriptGeometry::default() };
    }
    let width = (area.width - 2).min(MEASURE);
    let read = app.ink().is_some().then(|| branch.all());
    let read = read.and_then(|branch| ink::Ink::of(app, cache, &branch));
    // Where there are no fills, the levels stand in a row under the text.
    let coloured = app.overlays.dock() || read.is_some() || app.transcript.colouring != Colouring::Off;
    let levels = coloured && !theme.has_fills();
    let deep = 1 + usize::from(levels);
    let aim = Aim::of(app, &branch);
    let rows = usize::from(area.height);
    // Beyond these, messages below the view are counted by guess.
    let rows_near = rows * 2 + aim.moved + 200;
    let wanted = Wanted { around: aim.around, rows: rows_near, waiting, width, deep };
    let near = blocks::around(app, cache, &branch, &wanted);
    let found = app.transcript.find.as_ref().and_then(|find| find.matches.get(find.current));
    let looked_for = [app.transcript.cursor.map(|at| at.turn), found.map(|(turn, _)| *turn)];
    for turn in looked_for.into_iter().flatten().filter_map(|id| branch.get(branch.position(id)?)) {
        cache.mark(app, turn);
    }
    let view = View::of(app, cache, &near, &aim, rows);
    let blocks = &near.list;
    let in_view: Vec<&Block> = blocks.iter().filter(|block| view.shows(block)).collect();
    for turn in in_view.iter().filter_map(|block| block.turn) {
        cache.mark(app, turn);
    }
    let (tokens, folds, links) = (Vec::new(), Vec::new(), Vec::new());
    let mut painter = Painter {
        app,
        theme,
        cache,
        area,
        width,
        buf,
        read,
        pointer: None,
        displayed: None,
        ink: None,
        tokens,
        folds,
        left_out: app.view().left_out_here(),
        marked: app.transcript.marked(app.view()),
        links,
    };
    let mut turns = Vec::new();
    for block in in_view {
        if let Some(shown) = painter.block(block, &view)
            && let Some(turn) = block.turn
        {
            turns.push((turn.id, shown));
        }
    }
    let (tokens, folds, links) = (painter.tokens, painter.folds, painter.links);
    TranscriptGeometry {
        scroll: view.scroll,
        view_rows,
        total_rows: view.total + 3 * (near.above + near.below),
        // Messages that are not laid out count as their speaker, a row and a blank one.
        rows_below: view.total.saturating_sub(view.top + view.rows) + 3 * near.below,
        turns,
        tokens,
        folds,
        links,
    }
}

/// Around which message there will be something in view.
struct Aim {
    /// Its place on the branch.
    around: usize,
    /// The place of the message that the view is anchored to; `None` for the end.
    anchor: Option<usize>,
    /// How many rows the view may be from the message.
    moved: usize,
}

impl Aim {
    fn of(app: &App, branch: &Branch<'_>) -> Self {
        let last = branch.len().saturating_sub(1);
        let (anchor, moved) = match app.transcript.scroll {
            Scroll::Bottom => (None, 0),
            // An anchor that is gone (or was never known) moves from the end.
            Scroll::Anchor { turn, moved, .. } => (branch.position(turn), moved.unsigned_abs() as usize),
        };
        let revealed = Some(()).filter(|()| reveals(app)).and_then(|()| {
            let found = app.transcript.find.as_ref().and_then(|find| find.matches.get(find.current));
            let turn = found.map(|(turn, _)| *turn).or(app.transcript.selected)?;
            branch.position(turn)
        });
        Self { around: revealed.or(anchor).unwrap_or(last), anchor, moved: moved.min(10_000) }
    }
}

/// Whether something is to be brought into view. A growing reply must not push the cursor out of it.
fn reveals(app: &App) -> bool {
    let follows = app.transcript.cursor.is_some() && app.transcript.scroll == Scroll::Bottom;
    app.transcript.reveal || follows
}

/// Which rows of those that are laid out are in view.
struct View {
    top: usize,
    rows: usize,
    total: usize,
    scroll: Scroll,
}

impl View {
    fn of(app: &App, cache: &Cache, near: &Blocks, aim: &Aim, rows: usize) -> Self {
        let blocks = &near.list;
        // The blank row under the last message is no text to scroll to.
        let total = blocks.last().map_or(0, |block| block.start + block.rows() - 1);
        let last_top = total.saturating_sub(rows);
        let wanted = match app.transcript.scroll {
            Scroll::Bottom => last_top,
            Scroll::Anchor { turn, row, moved } => {
                let block = blocks.iter().find(|block| block.turn.is_some_and(|other| other.id == turn));
                let far = if aim.anchor.is_some_and(|anchor| anchor < near.above) { 0 } else { last_top };
                let from = block.map_or(far, |block| block.start + block.row_of(row, cache));
                from.saturating_add_signed(moved as isize)
            }
        };
        let mut top = wanted.min(last_top);
        if reveals(app)
            && let Some((first, last)) = wanted_rows(app, cache, blocks)
        {
            top = top.max((last + 1).saturating_sub(rows)).min(first).min(last_top);
        }
        let scroll =
            if top == last_top && near.below == 0 { Scroll::Bottom } else { anchor(blocks, cache, top) };
        Self { top, rows, total, scroll }
    }

    fn shows(&self, block: &Block) -> bool {
        block.start < self.top + self.rows && block.start + block.rows() > self.top
    }
}

/// The rows to bring into view: of the current match of a find, otherwise of the token under the cursor,
/// otherwise of the selected message.
fn wanted_rows(app: &App, cache: &Cache, blocks: &[Block]) -> Option<(usize, usize)> {
    let block_of = |id| blocks.iter().find(|block| block.turn.is_some_and(|turn| turn.id == id));
    let current = app.transcript.find.as_ref().and_then(|find| find.matches.get(find.current));
    if let Some((turn, range)) = current {
        let block = block_of(*turn)?;
        let byte = cache.marks(*turn).map_or(range.start, |marks| marks.shown(range.start));
        let row = block.start + block.row_of(1 + byte, cache);
        return Some((row, row));
    }
    let block = block_of(app.transcript.selected?)?;
    if let Some(pointer) = Pointer::of(app, cache, block) {
        let row = |line| block.start + block.row_of_line(line);
        return Some((row(pointer.rows.0), row(pointer.rows.1)));
    }
    Some((block.start, block.start + block.rows() - 2))
}

fn anchor(blocks: &[Block], cache: &Cache, row: usize) -> Scroll {
    let block = &blocks[blocks.partition_point(|block| block.start <= row).saturating_sub(1)];
    match block.turn {
        Some(turn) => {
            let anchor = block.anchor_of(row - block.start, cache);
            // A row that stands for nothing is so many rows from one that does.
            let rows = |rows: usize| i32::try_from(rows).unwrap_or(i32::MAX);
            let moved = rows(row - block.start) - rows(block.row_of(anchor, cache));
            Scroll::Anchor { turn: turn.id, row: anchor, moved }
        }
        None => Scroll::Bottom,
    }
}

struct Painter<'a> {
    app: &'a App,
    theme: &'a Theme,
    cache: &'a Cache,
    area: Rect,
    width: u16,
    buf: &'a mut Buffer,
    /// What a head reads, where that colours the text.
    read: Option<ink::Ink>,
    /// The cursor, while its message is drawn.
    pointer: Option<Pointer>,
    /// Bytes of the shown text that the inspector has on display without a cursor.
    displayed: Option<Range<usize>>,
    /// While a trial is open, how it inks the message being drawn: bytes of the shown text and a signed step.
    ink: Option<Vec<(usize, usize, i8)>>,
    tokens: Vec<(TokenCursor, Area)>,
    folds: Vec<(TurnId, Area)>,
    /// The messages that the model no longer reads.
    left_out: Option<&'a BTreeSet<TurnId>>,
    /// What is marked to be copied: bytes of messages.
    marked: Vec<(TurnId, Range<usize>)>,
    links: Vec<(Area, String)>,
}

impl Painter<'_> {
    /// Draws what is in view of a message; gives back where, if anywhere.
    fn block(&mut self, block: &Block, view: &View) -> Option<Area> {
        let from = block.start.max(view.top);
        let to = (block.start + block.rows() - 1).min(view.top + view.rows);
        if from >= to {
            return None;
        }
        self.pointer = Pointer::of(self.app, self.cache, block);
        self.displayed = self.displayed(block);
        self.ink = self.ink_of(block);
        for row in from..to {
            let y = self.area.y + (row - view.top) as u16;
            self.row(block, block.part(row - block.start), y);
        }
        Some(Area {
            x: self.area.x,
            y: self.area.y + (from - view.top) as u16,
            width: self.area.width,
            height: (to - from) as u16,
        })
    }

    /// The token that the inspector shows, where no cursor says which that is. A reply that is being written has none:
    /// the mark would jump about.
    fn displayed(&self, block: &Block) -> Option<Range<usize>> {
        let turn = block.turn.filter(|turn| turn.state != TurnState::Streaming)?;
        let inspector = &self.app.inspector;
        let live = inspector.live.as_ref().filter(|live| inspector.shown && live.turn == turn.id)?;
        let free = self.app.transcript.cursor.is_none() && inspector.past.is_none();
        let token = self.cache.marks(turn.id).filter(|_| free)?.tokens.get(live.index)?;
        Some(token.bytes())
    }

    /// How an open trial inks a message; `None` while there is none.
    fn ink_of(&self, block: &Block) -> Option<Vec<(usize, usize, i8)>> {
        let turn = block.turn.filter(|_| self.app.overlays.dock())?;
        let marks = self.cache.marks(turn.id);
        let shown = |byte: usize| marks.map_or(byte, |marks| marks.shown(byte));
        let ink = self.app.signed_ink(turn.id).into_iter();
        Some(ink.map(|(start, end, step)| (shown(start), shown(end), step)).collect())
    }

    fn row(&mut self, block: &Block, part: Part, y: u16) {
        let x = self.area.x + 1;
        match part {
            Part::Head => self.head(block, y),
            Part::Text(row) => self.text(block, row, y),
            Part::Levels(row) => self.levels(block, row, y),
            Part::Status => {
                let words = block.status.as_deref().unwrap_or_default();
                text::put(self.buf, x, y, words, self.width, self.theme.style(Role::Muted));
            }
            Part::Note(row) => {
                if let Some(note) = &block.note {
                    let style = self.theme.style(note.role);
                    note.lines.draw_row(row, self.buf, x, y, |_, _| style);
                }
            }
            Part::Blank => {}
        }
    }

    fn head(&mut self, block: &Block, y: u16) {
        let x = self.area.x + 1;
        let Some(turn) = block.turn else {
            text::put(self.buf, x, y, "You", self.width, self.theme.style(Role::Strong));
            return;
        };
        let selected = self.app.focus == Focus::Transcript && self.app.transcript.selected == Some(turn.id);
        let marks = self.cache.marks(turn.id);
        let left_out = self.left_out.is_some_and(|gone| gone.contains(&turn.id));
        let of = head::Of { turn, marks, version: block.version, left_out };
        head::draw(self.app, self.theme, of, Rect::new(x, y, self.width, 1), self.buf);
        if selected {
            let style = self.theme.style(Role::Select);
            self.buf.set_style(Rect::new(self.area.x, y, self.width + 1, 1), style);
            let mark = self.theme.style(Role::Strong).patch(style);
            text::put(self.buf, self.area.x, y, self.theme.symbols.here, 1, mark);
        }
    }

    fn text(&mut self, block: &Block, row: usize, y: u16) {
        let x = self.area.x + 1;
        let Some(turn) = block.turn else { return };
        let Some(body) = self.cache.body(turn.id) else { return };
        if let Some(title) = body.title(row) {
            self.title(turn, title, y);
        }
        let part = self.part(body, row);
        if let Some(fill) = body.fill(row).filter(|fill| *fill < self.width) {
            let style = self.theme.style(Role::Code);
            self.buf.set_style(Rect::new(x + fill, y, self.width - fill, 1), style);
        }
        let role = if turn.role == Speaker::System { Role::Muted } else { Role::Text };
        let plain = self.theme.style(role);
        let marks = self.cache.marks(turn.id);
        let matches = self.matches(turn.id);
        for glyph in body.row(row).filter(|glyph| glyph.width > 0) {
            let Some(at) = part.place(glyph.column, glyph.width) else { continue };
            let style = markup::style(self.theme, plain, glyph.look);
            let style = self.glyph_style(turn.id, glyph.source, style, marks, &matches);
            text::glyph(self.buf, (x + at, y), &glyph, style);
        }
        if self.app.config.ui.mouse
            && let Some(marks) = marks
        {
            self.tokens.extend(tokens_of_row(turn.id, body, marks, row, (x, y), part));
        }
        if self.app.config.ui.links {
            self.links.extend(links_of_row(body, row, (x, y), part));
        }
        let muted = self.theme.style(Role::Muted);
        if let Some(fill) = body.fill(row).filter(|fill| *fill < self.width && !self.theme.has_fills()) {
            text::put(self.buf, x + fill - 1, y, self.theme.symbols.vertical, 1, muted);
        }
        if part.more {
            text::put(self.buf, x + self.width, y, "›", 1, muted);
        }
        if part.from > 0 {
            text::put(self.buf, self.area.x, y, "‹", 1, muted);
        }
        if turn.state == TurnState::Streaming && row + 1 == body.rows() {
            let at = x + body.row_width(row).min(self.width);
            text::put(self.buf, at, y, self.theme.symbols.bar[8], 1, self.theme.style(Role::Strong));
        }
        if let Some((_, column, mark)) = self.marker(row) {
            let style = plain.patch(self.theme.style(Role::Cursor));
            let column = x + column.saturating_sub(part.from).min(self.width);
            let room = self.area.right() - column;
            text::put(self.buf, column, y, mark.glyph(&self.theme.symbols), room, style);
        }
    }

    /// The line that stands for what was thought, for a file or for a long paste.
    fn title(&mut self, turn: &Turn, title: text::Title, y: u16) {
        let x = self.area.x + 1;
        let words = folds::words(self.app, &self.theme.symbols, turn, title, self.width);
        let width = text::put(self.buf, x, y, &words, self.width, self.theme.style(Role::Muted));
        if self.app.config.ui.mouse {
            self.folds.push((turn.id, Area { x, y, width, height: 1 }));
        }
    }

    /// Which cells of a row are in view: all, but where it is longer than the pane.
    fn part(&self, body: &text::Body, row: usize) -> markup::Part {
        let marker = self.marker(row).map(|(_, column, _)| (column, column + 1));
        let cells = self.pointer.as_ref().filter(|pointer| !pointer.bytes.is_empty());
        let cells = cells.map(|pointer| body.cells_of(pointer.bytes.clone())).unwrap_or_default();
        let cells =
            cells.iter().find(|cells| cells.row == row).map(|cells| (cells.columns.start, cells.columns.end));
        markup::Part::of(body, row, self.width, self.app.transcript.sideways, marker.or(cells))
    }

    /// The style of a glyph: the cursor's, else that of a match, else its own under what colours its tokens.
    fn glyph_style(
        &self,
        turn: TurnId,
        (start, end): (usize, usize),
        own: Style,
        marks: Option<&Marks>,
        matches: &[(usize, usize, Style)],
    ) -> Style {
        // Decoration belongs to no token.
        if start == end {
            return own;
        }
        let displayed = self.displayed.as_ref().is_some_and(|bytes| start < bytes.end && end > bytes.start);
        let marked = self.is_marked(turn, marks, start, end);
        let own = if marked { own.patch(self.theme.style(Role::Select)) } else { own };
        let own = if displayed || marked { own.add_modifier(Modifier::UNDERLINED) } else { own };
        if self.pointer.as_ref().is_some_and(|pointer| pointer.holds(start, end)) {
            return own.patch(self.theme.style(Role::Cursor));
        }
        if let Some((_, _, found)) = matches.iter().find(|m| m.0 < end && m.1 > start) {
            return own.patch(*found);
        }
        let Some(marks) = marks else { return own };
        let special = marks.special && marks.over(start, end).any(|(_, mark)| mark.special);
        let style = if special { own.patch(self.theme.style(Role::TokenSpecial)) } else { own };
        if let Some(ink) = &self.ink {
            let step = ink_at(ink, start, end);
            return step.map_or(style, |(step, _)| style.patch(self.theme.div(step)));
        }
        let (read, colouring) = (self.read.as_ref(), self.app.transcript.colouring);
        match level_at(self.app, read, colouring, (turn, marks), (start, end)) {
            Some(level) => style.patch(self.theme.mag(level)),
            None => style,
        }
    }

    /// Whether a glyph shows some of what is marked.
    fn is_marked(&self, turn: TurnId, marks: Option<&Marks>, start: usize, end: usize) -> bool {
        let bytes = self.marked.iter().find(|(of, _)| *of == turn).map(|(_, bytes)| bytes);
        bytes.is_some_and(|bytes| {
            let shown = |byte: usize| marks.map_or(byte, |marks| marks.shown(byte));
            start < shown(bytes.end - 1) + 1 && end > shown(bytes.start)
        })
    }

    /// The marker that stands in a row of the message being drawn.
    fn marker(&self, row: usize) -> Option<(usize, u16, pointer::Mark)> {
        self.pointer.as_ref()?.marker.filter(|marker| marker.0 == row)
    }

    /// The levels under a row of text, where there are no fills.
    fn levels(&mut self, block: &Block, row: usize, y: u16) {
        let Some(turn) = block.turn else { return };
        let Some((body, marks)) = self.cache.body(turn.id).zip(self.cache.marks(turn.id)) else { return };
        let style = self.theme.style(Role::Muted);
        let part = self.part(body, row);
        for glyph in body.row(row).filter(|glyph| glyph.width > 0 && glyph.source.0 < glyph.source.1) {
            let Some(at) = part.place(glyph.column, glyph.width) else { continue };
            let x = self.area.x + 1 + at;
            if let Some(ink) = &self.ink {
                let Some((step, from)) = ink_at(ink, glyph.source.0, glyph.source.1) else { continue };
                let sign = shade::signed_glyph(step, glyph.source.0 <= from);
                text::put(self.buf, x, y, sign, 1, style);
                continue;
            }
            let (read, colouring) = (self.read.as_ref(), self.app.transcript.colouring);
            let level = level_at(self.app, read, colouring, (turn.id, marks), glyph.source);
            let Some(level) = level else { continue };
            for cell in 0..glyph.width {
                text::put(self.buf, x + cell, y, self.theme.symbols.column[level], 1, style);
            }
        }
    }

    /// What was found in a turn: bytes and their style.
    fn matches(&self, turn: TurnId) -> Vec<(usize, usize, Style)> {
        let Some(find) = &self.app.transcript.find else { return Vec::new() };
        let marks = self.cache.marks(turn);
        let found = find.matches.iter().enumerate().filter(|(_, (at, _))| *at == turn);
        found
            .map(|(index, (_, range))| {
                let role = if index == find.current { Role::Cursor } else { Role::Select };
                let shown = |byte: usize| marks.map_or(byte, |marks| marks.shown(byte));
                (shown(range.start), shown(range.start) + range.len(), self.theme.style(role))
            })
            .collect()
    }
}

/// The signed step of what a glyph shows, the strongest where it shows several, and where its stretch begins.
fn ink_at(ink: &[(usize, usize, i8)], start: usize, end: usize) -> Option<(i8, usize)> {
    let first = ink.partition_point(|(_, to, _)| *to <= start);
    let over = ink[first..].iter().take_while(|(from, ..)| *from < end);
    over.max_by_key(|(.., step)| step.unsigned_abs()).map(|(from, _, step)| (*step, *from))
}

/// The level of what a glyph shows: of what a head reads, else of the colouring.
fn level_at(
    app: &App,
    read: Option<&ink::Ink>,
    colouring: Colouring,
    (turn, marks): (TurnId, &Marks),
    (start, end): (usize, usize),
) -> Option<usize> {
    match read {
        Some(ink) => ink.level(turn, marks, start, end),
        None => level_of(app, colouring, (turn, marks), (start, end)),
    }
}

/// The level of what a glyph shows.
fn level_of(
    app: &App,
    colouring: Colouring,
    (turn, marks): (TurnId, &Marks),
    (start, end): (usize, usize),
) -> Option<usize> {
    if colouring == Colouring::Off {
        return None;
    }
    let levels = marks.over(start, end).filter_map(|(index, mark)| {
        shade::level(colouring, mark, || app.display().depth_eighths(TokenCursor { turn, index }))
    });
    levels.reduce(|one, other| shade::stronger(colouring, one, other))
}

/// The cells of a row that show tokens, those of one token joined.
fn tokens_of_row(
    turn: TurnId,
    body: &text::Body,
    marks: &Marks,
    row: usize,
    (x, y): (u16, u16),
    part: markup::Part,
) -> Vec<(TokenCursor, Area)> {
    let mut tokens: Vec<(TokenCursor, Area)> = Vec::new();
    for glyph in body.row(row).filter(|glyph| glyph.width > 0 && glyph.source.0 < glyph.source.1) {
        let Some(column) = part.place(glyph.column, glyph.width) else { continue };
        let Some((index, _)) = marks.over(glyph.source.0, glyph.source.1).next() else { continue };
        let at = TokenCursor { turn, index };
        let x = x + column;
        match tokens.last_mut().filter(|(last, area)| *last == at && area.x + area.width == x) {
            Some((_, area)) => area.width += glyph.width,
            None => tokens.push((at, Area { x, y, width: glyph.width, height: 1 })),
        }
    }
    tokens
}

/// The cells of a row that link, those of one link joined.
fn links_of_row(
    body: &text::Body,
    row: usize,
    (x, y): (u16, u16),
    part: markup::Part,
) -> Vec<(Area, String)> {
    let mut links: Vec<(Area, String)> = Vec::new();
    // What leads somewhere is a link's words or its address.
    let may = |tone| matches!(tone, Tone::Link | Tone::Muted);
    for glyph in body.row(row).filter(|glyph| glyph.width > 0 && may(glyph.look.tone)) {
        let sourced = Some(glyph.source.0).filter(|start| *start < glyph.source.1);
        let (Some(column), Some(address)) =
            (part.place(glyph.column, glyph.width), sourced.and_then(|byte| body.leads_to(byte)))
        else {
            continue;
        };
        let x = x + column;
        match links.last_mut().filter(|(area, last)| *last == address && area.x + area.width == x) {
            Some((area, _)) => area.width += glyph.width,
            None => links.push((Area { x, y, width: glyph.width, height: 1 }, address.to_owned())),
        }
    }
    links
}

//! The transcript: who speaks, the text, what came of it; scrolled to an anchor in the text.
//!
//! Invariant: only the rows in view are drawn; the rows of all others are known from the cache. The area is
//! the whole pane: one blank column stays free at each side, the right one for the writing mark.

mod blocks;
mod empty;
mod head;

pub use head::short;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::{App, Area, Focus, Scroll};
use crate::chat::{TurnId, TurnState};
use crate::theme::{Role, Theme};
use crate::ui::cache::Cache;
use crate::ui::text;
use blocks::{Block, Part};

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
}

/// Draws the shown branch, or a hint of what to do where it is empty.
pub fn draw(app: &App, theme: &Theme, cache: &mut Cache, area: Rect, buf: &mut Buffer) -> TranscriptGeometry {
    let area = area.intersection(buf.area);
    let view_rows = area.height;
    let branch = cache.branch(&app.chat);
    if area.width < 3 || area.height == 0 {
        return TranscriptGeometry {
            scroll: app.transcript.scroll,
            view_rows,
            ..TranscriptGeometry::default()
        };
    }
    let waiting = app.queued.as_ref().filter(|queued| queued.chat == app.chat.head.id);
    let waiting = waiting.and_then(|queued| queued.text.as_deref());
    if branch.is_empty() && waiting.is_none() {
        empty::draw(app, theme, area, buf);
        return TranscriptGeometry { view_rows, ..TranscriptGeometry::default() };
    }
    let width = (area.width - 2).min(MEASURE);
    let blocks = blocks::of(app, cache, &branch, waiting, width);
    let view = View::of(app, cache, &blocks, usize::from(area.height));
    let mut painter = Painter { app, theme, cache, area, width, buf };
    let mut turns = Vec::new();
    for block in &blocks {
        if let Some(shown) = painter.block(block, &view)
            && let Some(turn) = block.turn
        {
            turns.push((turn.id, shown));
        }
    }
    TranscriptGeometry {
        scroll: view.scroll,
        view_rows,
        total_rows: view.total,
        rows_below: view.total.saturating_sub(view.top + view.rows),
        turns,
    }
}

/// Which rows of the transcript are in view.
struct View {
    top: usize,
    rows: usize,
    total: usize,
    scroll: Scroll,
}

impl View {
    fn of(app: &App, cache: &Cache, blocks: &[Block], rows: usize) -> Self {
        // The blank row under the last message is no text to scroll to.
        let total = blocks.last().map_or(0, |block| block.start + block.rows() - 1);
        let last_top = total.saturating_sub(rows);
        let wanted = match app.transcript.scroll {
            Scroll::Bottom => last_top,
            Scroll::Anchor { turn, row, moved } => {
                let block = blocks.iter().find(|block| block.turn.is_some_and(|other| other.id == turn));
                // An anchor that is gone (or was never known) moves from the end.
                let from = block.map_or(last_top, |block| block.start + block.row_of(row, cache));
                from.saturating_add_signed(moved as isize)
            }
        };
        let mut top = wanted.min(last_top);
        if app.transcript.reveal
            && let Some((first, last)) = wanted_rows(app, cache, blocks)
        {
            top = top.max((last + 1).saturating_sub(rows)).min(first).min(last_top);
        }
        let scroll = if top == last_top { Scroll::Bottom } else { anchor(blocks, cache, top) };
        Self { top, rows, total, scroll }
    }
}

/// The rows to bring into view: of the current match of a find, otherwise of the selected message.
fn wanted_rows(app: &App, cache: &Cache, blocks: &[Block]) -> Option<(usize, usize)> {
    let block_of = |id| blocks.iter().find(|block| block.turn.is_some_and(|turn| turn.id == id));
    let current = app.transcript.find.as_ref().and_then(|find| find.matches.get(find.current));
    if let Some((turn, byte)) = current {
        let block = block_of(*turn)?;
        let row = block.start + block.row_of(1 + byte, cache);
        return Some((row, row));
    }
    let block = block_of(app.transcript.selected?)?;
    Some((block.start, block.start + block.rows() - 2))
}

fn anchor(blocks: &[Block], cache: &Cache, row: usize) -> Scroll {
    let block = &blocks[blocks.partition_point(|block| block.start <= row).saturating_sub(1)];
    match block.turn {
        Some(turn) => {
            Scroll::Anchor { turn: turn.id, row: block.anchor_of(row - block.start, cache), moved: 0 }
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
}

impl Painter<'_> {
    /// Draws what is in view of a message; gives back where, if anywhere.
    fn block(&mut self, block: &Block, view: &View) -> Option<Area> {
        let from = block.start.max(view.top);
        let to = (block.start + block.rows() - 1).min(view.top + view.rows);
        if from >= to {
            return None;
        }
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

    fn row(&mut self, block: &Block, part: Part, y: u16) {
        let x = self.area.x + 1;
        match part {
            Part::Head => self.head(block, y),
            Part::Text(row) => self.text(block, row, y),
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
        head::draw(self.app, self.theme, turn, Rect::new(x, y, self.width, 1), self.buf);
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
        let Some(lines) = self.cache.lines(turn.id) else { return };
        let plain = self.theme.style(Role::Text);
        let matches = self.matches(turn.id);
        let style = |start: usize, end: usize| match matches.iter().find(|m| m.0 < end && m.1 > start) {
            Some((_, _, found)) => plain.patch(*found),
            None => plain,
        };
        lines.draw_row(row, self.buf, x, y, style);
        if turn.state == TurnState::Streaming && row + 1 == lines.rows() {
            let at = x + lines.row_width(row);
            text::put(self.buf, at, y, self.theme.symbols.bar[8], 1, self.theme.style(Role::Strong));
        }
    }

    /// What was found in a turn: bytes and their style.
    fn matches(&self, turn: TurnId) -> Vec<(usize, usize, Style)> {
        let Some(find) = &self.app.transcript.find else { return Vec::new() };
        let found = find.matches.iter().enumerate().filter(|(_, (at, _))| *at == turn);
        found
            .map(|(index, (_, byte))| {
                let role = if index == find.current { Role::Cursor } else { Role::Select };
                (*byte, byte + find.input.text.len(), self.theme.style(role))
            })
            .collect()
    }
}

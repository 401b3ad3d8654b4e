//! One head at all tokens, or the rollout of all layers: a row a token that reads, a column a token that is read.
//!
//! Invariants: a cell is a share of its row, 0 to 100 %, whatever the data; what lies after the reading token or outside
//! a window is marked, never drawn as a small number; the selected cell is in view and told in words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Shown, level};
use crate::app::AttentionPicture;
use crate::engine::protocol::{Attended, ROWS};
use crate::theme::{Role, Theme};
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::{number, text};

/// Columns of a row's name.
const NAME: u16 = 12;
/// Cells of a share where all columns fit so, else one.
const WIDE: u16 = 4;

/// What is drawn, and where.
struct Matrix<'a> {
    shown: &'a Shown<'a>,
    rows: &'a Attended,
    /// Cells of a share.
    each: u16,
    /// The first column in view, and how many are.
    first: usize,
    columns: usize,
    /// Reader and read.
    cell: (usize, usize),
    /// Whether that cell is marked.
    marked: bool,
}

/// The last rows of the opened head's matrix in so little room, under a title; nothing where they were not read.
pub fn small(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) -> bool {
    let rows = shown.app.display().shown_matrix().filter(|rows| !rows.is_empty());
    let Some(rows) = rows.filter(|_| area.height >= 3) else { return false };
    let title = format!("every row ({}), %", axes(shown.theme));
    Row::of(1, title, shown.theme.style(Role::Muted)).draw(area, 0, buf);
    let last = rows.first as usize + rows.len() - 1;
    let matrix = Matrix { cell: (last, last), marked: false, ..Matrix::of(shown, rows, area.width) };
    matrix.draw(Rect { y: area.y + 1, height: area.height - 1, ..area }, buf);
    true
}

/// Draws it, or why it is not there.
pub fn draw(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let app = shown.app;
    let rollout = app.inspector.attention.picture == AttentionPicture::Rollout;
    let rows = if rollout { app.display().shown_rollout() } else { app.display().shown_matrix() };
    let mut above = title(shown, rollout, area.width);
    let Some(rows) = rows.filter(|rows| !rows.is_empty()) else {
        above.extend(row::wrapped(&missing(shown, rollout), 1, area.width, shown.theme.style(Role::Text)));
        row::stack(&above, area, 0, buf);
        return;
    };
    above.extend(facts(shown, rows, area.width));
    let at = row::stack(&above, area, 0, buf);
    let below = area.height.saturating_sub(at).min(2);
    let middle = Rect { y: area.y + at, height: area.height - at - below, ..area };
    let matrix = Matrix::of(shown, rows, middle.width);
    matrix.draw(middle, buf);
    row::stack(&matrix.told(area.width), Rect { y: middle.bottom(), height: below, ..area }, 0, buf);
}

/// Which way the matrix is read.
fn axes(theme: &Theme) -> &'static str {
    if theme.symbols.ascii { "rows read columns" } else { "reader ↓, read →" }
}

fn title(shown: &Shown<'_>, rollout: bool, width: u16) -> Vec<Row> {
    let theme = shown.theme;
    let strong = theme.style(Role::Strong);
    if !rollout {
        let words = format!("{}: every row, {}, % of the row", shown.title(), axes(theme));
        return row::wrapped(&words, 1, width, strong);
    }
    let words = "rollout of all layers: mixing, not cause";
    let mut rows = row::wrapped(words, 1, width, strong);
    rows.extend(row::wrapped(
        "each layer half itself, half the mean of its heads; all multiplied",
        1,
        width,
        theme.style(Role::Muted),
    ));
    rows
}

/// Why there are no rows.
fn missing(shown: &Shown<'_>, rollout: bool) -> String {
    let read = shown.here() + 1;
    if rollout && read > ROWS {
        return format!("The rollout is made for texts of at most {ROWS} tokens; this one has {read}.");
    }
    shown.app.display().rows_missing()
}

/// What the rows are of, and what they cost.
fn facts(shown: &Shown<'_>, rows: &Attended, width: u16) -> Vec<Row> {
    let mut words = Vec::new();
    if rows.first > 0 {
        words.push(format!("the last {} rows over all {} columns", rows.len(), shown.here() + 1));
    }
    words.push(format!("read again {:.0} ms", rows.ms));
    if rows.flash {
        words.push("weights taken beside flash attention".into());
    }
    row::wrapped(&words.join("; "), 1, width, shown.theme.style(Role::Muted))
}

impl<'a> Matrix<'a> {
    fn of(shown: &'a Shown<'a>, rows: &'a Attended, width: u16) -> Self {
        let last = rows.first as usize + rows.len() - 1;
        let all = last + 1;
        let room = usize::from(width.saturating_sub(NAME + 1));
        let each = if all * usize::from(WIDE) <= room { WIDE } else { 1 };
        let columns = (room / usize::from(each)).min(all);
        let cell = shown.app.display().shown_cell(last);
        let first = cell.1.saturating_sub(columns / 2).min(all - columns);
        Self { shown, rows, each, first, columns, cell, marked: true }
    }

    fn draw(&self, area: Rect, buf: &mut Buffer) {
        let head = self.head();
        let at = if area.height > 2 { row::stack(&head, area, 0, buf) } else { 0 };
        let room = usize::from(area.height.saturating_sub(at)).min(self.rows.len());
        let first = self.rows.first as usize;
        let from = (self.cell.0 - first).saturating_sub(room / 2).min(self.rows.len() - room);
        for (line, reader) in (at..).zip(first + from..first + from + room) {
            self.row(reader).draw(area, line, buf);
        }
    }

    /// Names of the columns where they have room, else which are in view.
    fn head(&self) -> Vec<Row> {
        let muted = self.shown.theme.style(Role::Muted);
        let end = self.first + self.columns;
        if self.each == 1 {
            return vec![Row::of(NAME, format!("#{} to #{}", self.first, end - 1), muted)];
        }
        let mut row = Row::default();
        for (read, at) in (self.first..end).zip((NAME..).step_by(WIDE.into())) {
            let name = text::cut(self.shown.token(read).trim_start_matches(['␣', '_']), WIDE - 1);
            row = row.and(at + 1, name, muted);
        }
        vec![row]
    }

    fn row(&self, reader: usize) -> Row {
        let (shown, theme) = (self.shown, self.shown.theme);
        let here = self.marked && reader == self.cell.0;
        let style = theme.style(if here { Role::Strong } else { Role::Text });
        let mut row = Row::of(1, text::cut(&shown.token(reader), NAME - 2), style);
        if here {
            row = row.and(0, theme.symbols.here, style);
        }
        let seen = self.rows.seen_from.get(reader - self.rows.first as usize).copied().unwrap_or_default();
        for (read, at) in (self.first..self.first + self.columns).zip((NAME..).step_by(self.each.into())) {
            let (words, role) = if read > reader {
                (if theme.symbols.ascii { "." } else { "·" }.to_owned(), None)
            } else if read < seen as usize {
                ("/".to_owned(), Some(theme.style(Role::AttnOutside)))
            } else {
                let share = self.rows.weight(reader, read).unwrap_or_default();
                self.share(share)
            };
            let style = match role {
                _ if self.marked && (reader, read) == self.cell => theme.style(Role::Cursor),
                Some(style) => style,
                None => theme.style(Role::Muted),
            };
            row = row.and(at, format!("{words:>width$}", width = usize::from(self.each)), style);
        }
        row
    }

    /// A share as a figure, or in one cell as a step; nothing to see below half a percent.
    fn share(&self, share: f32) -> (String, Option<ratatui::style::Style>) {
        let theme: &Theme = self.shown.theme;
        let level = level(share);
        let small = share < 0.005;
        if self.each == 1 {
            let glyph = if small { " " } else { theme.symbols.column[level] };
            return (glyph.to_owned(), Some(theme.mag(level)));
        }
        let words = if small { "0".to_owned() } else { number::decimals(f64::from(share) * 100.0, 0) };
        (words, if small { None } else { Some(theme.mag(level)) })
    }

    /// The selected cell in words, and what the marks mean.
    fn told(&self, width: u16) -> Vec<Row> {
        let (shown, theme) = (self.shown, self.shown.theme);
        let (reader, read) = self.cell;
        let weight = f64::from(self.rows.weight(reader, read).unwrap_or_default()) * 100.0;
        let name = |at: usize| format!("#{at} {}", text::cut(&shown.token(at), 14));
        let words = format!("{} reads {}: {} %", name(reader), name(read), number::decimals(weight, 1));
        let dot = if theme.symbols.ascii { "." } else { "·" };
        let mut marks = vec![format!("{dot} comes later")];
        if self.rows.seen_from.iter().any(|seen| *seen > 0) {
            marks.push("/ outside the window".into());
        }
        if self.each == 1 {
            marks.push(format!("{}{} 0–100 %", theme.symbols.column[1], theme.symbols.column[8]));
        }
        let mut rows = vec![Row::of(1, text::cut(&words, width.saturating_sub(2)), theme.style(Role::Text))];
        rows.extend(row::packed(&marks, 1, width, theme.style(Role::Muted)));
        rows
    }
}

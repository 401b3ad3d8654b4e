//! The grid of heads: a row a block, a cell a head, grouped by key-value heads.
//!
//! Invariant: the order is the model's; where there are far more blocks than rows, two share a row as half blocks, and
//! what does not fit is scrolled so that the opened head stays in view.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Cells, Shown, strength};
use crate::inspect::trace::{HeadClass, HeadReading};
use crate::theme::{Role, Theme};
use crate::ui::widgets::row::{self, Row};

/// Columns of the mark and the block's number.
const LEFT: u16 = 4;
/// Most heads that get a letter and a bar each.
const LETTERED: u16 = 12;
/// Rows of the numbers of groups and heads.
const TITLES: u16 = 2;

/// Where the cells stand.
struct HeadColumns {
    /// First head in view, and how many are.
    first: u16,
    heads: u16,
    /// Cells of a head: 3 with letter and bar, 1 with either.
    each: u16,
    /// Heads of a group; a group is set off by a blank where it is more than one.
    group: u16,
}

impl HeadColumns {
    fn of(shown: &Shown<'_>, width: u16) -> Self {
        let heads = shown.attention.overview.iter().map(Vec::len).max().unwrap_or(0);
        let heads = u16::try_from(heads).unwrap_or(u16::MAX).min(4096);
        let group = u16::try_from(shown.group()).unwrap_or(1);
        let mut columns = Self { first: 0, heads, each: 3, group };
        if heads > LETTERED || columns.end() > width {
            columns.each = 1;
        }
        if columns.end() > width {
            columns.group = 1;
        }
        if columns.end() > width {
            let fits = width.saturating_sub(LEFT + 1).max(1).min(heads);
            let opened = u16::try_from(shown.opened.1).unwrap_or(0);
            columns.first = opened.saturating_sub(fits / 2).min(heads - fits);
            columns.heads = fits;
        }
        columns
    }

    /// Column of a head's gap, or of its one cell.
    fn at(&self, head: u16) -> u16 {
        let gaps = if self.group > 1 { head / self.group - self.first / self.group } else { 0 };
        LEFT + (head - self.first) * self.each + gaps
    }

    /// Columns in all, with one for the closing bracket.
    fn end(&self) -> u16 {
        match self.heads {
            0 => LEFT,
            heads => self.at(self.first + heads - 1).saturating_add(self.each + 1),
        }
    }

    fn seen(&self) -> std::ops::Range<u16> {
        self.first..self.first + self.heads
    }
}

/// Columns that the grid takes of at most so many.
pub fn width(shown: &Shown<'_>, most: u16) -> u16 {
    HeadColumns::of(shown, most).end().min(most)
}

/// The letter of a sort of reading.
fn letter(class: HeadClass, theme: &Theme) -> &'static str {
    match class {
        HeadClass::Sink => "s",
        HeadClass::Previous => "p",
        HeadClass::Induction => "i",
        HeadClass::Duplicate => "d",
        HeadClass::Own => "x",
        HeadClass::Local => "n",
        HeadClass::Other => theme.symbols.other,
    }
}

/// Whether two blocks share a row, since there are half as many more of them as an area has rows; for fewer it is
/// scrolled, and they keep their letters. Half blocks take fills.
fn folded(shown: &Shown<'_>, height: u16) -> bool {
    let fills = shown.theme.has_fills() && !shown.theme.symbols.ascii;
    fills && 2 * shown.attention.overview.len() > 3 * usize::from(height.saturating_sub(TITLES))
}

/// What a head is in so much room.
pub fn cells(shown: &Shown<'_>, room: Rect) -> Cells {
    if folded(shown, room.height) {
        Cells::Halves
    } else if HeadColumns::of(shown, room.width).each == 1 {
        Cells::Bars
    } else {
        Cells::Lettered
    }
}

/// What the letters and bars mean, or the half blocks.
pub fn legend(shown: &Shown<'_>, width: u16, folded: bool) -> Vec<Row> {
    let theme = shown.theme;
    if folded {
        let mut texts = vec![
            "▀ two layers a row, the upper one first".to_owned(),
            "fill: how much it writes, 0–24 % of ‖h‖".to_owned(),
        ];
        texts.extend(windowed(shown));
        return row::packed(&texts, 1, width, theme.style(Role::Muted));
    }
    let sorts = [
        (HeadClass::Sink, "rests on token 0"),
        (HeadClass::Previous, "previous"),
        (HeadClass::Induction, "induction"),
        (HeadClass::Duplicate, "copy"),
        (HeadClass::Own, "itself"),
        (HeadClass::Local, "near"),
        (HeadClass::Other, "other"),
    ];
    let mut texts: Vec<String> =
        sorts.iter().map(|(class, name)| format!("{} {name}", letter(*class, theme))).collect();
    texts.push(format!("{}{} writes 0–24 % of ‖h‖", theme.symbols.column[1], theme.symbols.column[8]));
    texts.extend(windowed(shown));
    row::packed(&texts, 1, width, theme.style(Role::Muted))
}

/// Draws heads' numbers and the blocks that fit.
pub fn draw(shown: &Shown<'_>, area: Rect, folded: bool, buf: &mut Buffer) {
    let theme = shown.theme;
    let columns = HeadColumns::of(shown, area.width);
    let muted = theme.style(Role::Muted);
    let titles = titles(shown, &columns, muted);
    let titles = if area.height > 6 { titles } else { Vec::new() };
    let at = row::stack(&titles, area, 0, buf);
    let layers = shown.attention.overview.len();
    let room = usize::from(area.height.saturating_sub(at));
    if folded {
        let rows = layers.div_ceil(2);
        let room = room.min(rows);
        let first = (shown.opened.0 as usize / 2).saturating_sub(room / 2).min(rows - room);
        for (pair, line) in (first..first + room).zip(at..) {
            self::pair(shown, &columns, 2 * pair).draw(area, line, buf);
        }
        return;
    }
    let room = room.min(layers);
    let first = (shown.opened.0 as usize).saturating_sub(room / 2).min(layers - room);
    let blocks = shown.attention.overview.iter().enumerate().skip(first).take(room);
    for ((layer, heads), line) in blocks.zip(at..) {
        block(shown, &columns, layer, heads).draw(area, line, buf);
    }
}

/// Key-value heads and heads by number; where a head has one cell, how many there are.
fn titles(shown: &Shown<'_>, columns: &HeadColumns, muted: Style) -> Vec<Row> {
    if columns.each == 1 {
        let all = shown.attention.overview.iter().map(Vec::len).max().unwrap_or(0);
        let seen = columns.seen();
        let last = seen.end.saturating_sub(1);
        let words = if usize::from(columns.heads) < all {
            format!("heads {}–{last} of {all}", seen.start)
        } else {
            format!("heads 0–{last}")
        };
        return vec![Row::of(LEFT, words, muted)];
    }
    let mut groups = Row::default();
    let mut numbers = Row::default();
    for head in columns.seen() {
        let at = columns.at(head);
        if columns.group > 1 && head % columns.group == 0 {
            groups = groups.and(at + 1, format!("keys {}", head / columns.group), muted);
        }
        let style = if u32::from(head) == shown.opened.1 { shown.theme.style(Role::Strong) } else { muted };
        numbers = numbers.and(at + 1, head.to_string(), style);
    }
    if columns.group > 1 { vec![groups, numbers] } else { vec![numbers] }
}

/// `w512: layers that see 512 tokens`, once the text is longer.
fn windowed(shown: &Shown<'_>) -> Option<String> {
    let window = shown.layer()?.window?;
    Some(format!("w{window} L{} sees {window} tokens", shown.opened.0))
}

/// Two blocks in a row: the upper half of each cell is the first one's.
fn pair(shown: &Shown<'_>, columns: &HeadColumns, upper: usize) -> Row {
    let theme = shown.theme;
    let strong = theme.style(Role::Strong);
    let opened = shown.opened.0 as usize;
    let here = opened / 2 == upper / 2;
    let named = if here { opened } else { upper };
    let mut row = Row::default().until(
        LEFT - 1,
        named.to_string(),
        if here { strong } else { theme.style(Role::Muted) },
    );
    if here {
        row = row.and(0, theme.symbols.here, strong);
    }
    let fill = |layer: usize, head: u16| {
        let reading = shown.attention.overview.get(layer)?.get(usize::from(head))?;
        theme.mag(reading.written.map_or(0, strength)).bg
    };
    for head in columns.seen() {
        let at = columns.at(head);
        let style = Style { fg: fill(upper, head), bg: fill(upper + 1, head), ..Style::default() };
        let chosen = here && u32::from(head) == shown.opened.1;
        row = match (columns.each, chosen) {
            (1, true) => row.and(at, if opened == upper { "▀" } else { "▄" }, theme.style(Role::Cursor)),
            (1, false) => row.and(at, "▀", style),
            (_, true) => row.and(at, "[", strong).and(at + 1, "▀▀", style).and(at + 3, "]", strong),
            (_, false) => row.and(at + 1, "▀▀", style),
        };
    }
    row
}

fn block(shown: &Shown<'_>, columns: &HeadColumns, layer: usize, heads: &[HeadReading]) -> Row {
    let theme = shown.theme;
    let strong = theme.style(Role::Strong);
    let here = layer == shown.opened.0 as usize;
    let style = if here { strong } else { theme.style(Role::Muted) };
    let mut row = Row::default().until(LEFT - 1, layer.to_string(), style);
    if here {
        row = row.and(0, theme.symbols.here, strong);
    }
    if heads.is_empty() {
        return row.and(LEFT, "none", theme.style(Role::Muted));
    }
    for head in columns.seen() {
        let Some(reading) = heads.get(usize::from(head)) else { break };
        let at = columns.at(head);
        let opened = here && u32::from(head) == shown.opened.1;
        let level = reading.written.map_or(0, strength);
        let (letter, bar) = (letter(reading.class, theme), theme.symbols.column[level]);
        let style = match (opened, reading.class) {
            (true, _) => theme.style(Role::AttnStrong),
            (false, HeadClass::Sink) => theme.style(Role::Muted),
            _ => theme.mag(level),
        };
        row = match (columns.each, opened) {
            (1, true) => row.and(at, letter, theme.style(Role::Cursor)),
            (1, false) => row.and(at, bar, style),
            (_, true) => {
                row.and(at, "[", strong).and(at + 1, format!("{letter}{bar}"), style).and(at + 3, "]", strong)
            }
            (_, false) => row.and(at + 1, format!("{letter}{bar}"), style),
        };
    }
    row
}

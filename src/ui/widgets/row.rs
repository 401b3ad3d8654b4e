//! Rows made of pieces at columns, words as rows, and bars around zero.
//!
//! Invariant: a piece stands at its column or not at all; a bar's scale is fixed and never follows the data.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text;
use crate::theme::{Role, Theme};

/// A row: texts at columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row(Vec<(u16, String, Style)>);

impl Row {
    /// A row of one text.
    pub fn of(at: u16, text: impl Into<String>, style: Style) -> Self {
        Self::default().and(at, text, style)
    }

    /// With a text more.
    pub fn and(mut self, at: u16, text: impl Into<String>, style: Style) -> Self {
        self.0.push((at, text.into(), style));
        self
    }

    /// With a text that ends before a column.
    pub fn until(self, end: u16, text: impl Into<String>, style: Style) -> Self {
        let text = text.into();
        self.and(end.saturating_sub(text::width(&text)), text, style)
    }

    /// With the mark of what is selected before it, if it is.
    pub fn marked(self, here: bool, theme: &Theme) -> Self {
        if here { self.and(0, theme.symbols.here, theme.style(Role::Strong)) } else { self }
    }

    /// Draws it.
    pub fn draw(&self, area: Rect, row: u16, buf: &mut Buffer) {
        for (at, words, style) in &self.0 {
            let room = text::row(area, row, *at);
            text::put(buf, room, &text::cut(words, room.width), *style);
        }
    }
}

/// Draws rows one under the other, as many as there is room for; gives how many that were.
pub fn stack(rows: &[Row], area: Rect, at: u16, buf: &mut Buffer) -> u16 {
    let room = area.height.saturating_sub(at);
    for (row, line) in rows.iter().zip(at..area.height) {
        row.draw(area, line, buf);
    }
    room.min(u16::try_from(rows.len()).unwrap_or(u16::MAX))
}

/// Words as rows of one style, wrapped to a width.
pub fn wrapped(words: &str, at: u16, width: u16, style: Style) -> Vec<Row> {
    let lines = text::wrap(words, width.saturating_sub(at + 1));
    lines.into_iter().map(|line| Row::of(at, line, style)).collect()
}

/// Short texts one after the other with gaps, in as many rows as they need; none is broken.
pub fn packed(texts: &[String], at: u16, width: u16, style: Style) -> Vec<Row> {
    let room = width.saturating_sub(at + 1);
    let mut lines: Vec<String> = Vec::new();
    for each in texts {
        match lines.last_mut() {
            Some(line) if text::width(line) + 3 + text::width(each) <= room => {
                line.push_str("   ");
                line.push_str(each);
            }
            _ => lines.push(each.clone()),
        }
    }
    lines.into_iter().map(|line| Row::of(at, line, style)).collect()
}

/// A bar that floats from zero on a fixed scale, with `▸` or `◂` where the value lies beyond.
#[derive(Clone, Copy, Debug)]
pub struct Signed {
    /// Value at the left end.
    pub low: f32,
    /// Value at the right end.
    pub high: f32,
    /// Cells.
    pub cells: u16,
}

impl Signed {
    /// Its cells: text and role of the negative part, the zero, and the positive part, with columns.
    pub fn row(&self, row: Row, at: u16, value: f32, theme: &Theme) -> Row {
        let ascii = theme.symbols.ascii;
        let cell = |value: f32| {
            let share = (value - self.low) / (self.high - self.low);
            (share.clamp(0.0, 1.0) * f32::from(self.cells.saturating_sub(1))).round() as u16
        };
        let zero = cell(0.0);
        let row = row.and(at + zero, if ascii { ":" } else { "┊" }, theme.style(Role::Rule));
        if !value.is_finite() {
            return row;
        }
        let end = cell(value);
        let beyond = value < self.low || value > self.high;
        if value < 0.0 {
            let filled = if ascii { "-" } else { "▒" }.repeat(usize::from(zero - end));
            let row = row.and(at + end, filled, theme.style(Role::RivalBar));
            if beyond { row.and(at + end, "◂", theme.style(Role::RivalBar)) } else { row }
        } else {
            let filled = theme.symbols.bar[8].repeat(usize::from(end - zero));
            let row = row.and(at + zero + 1, filled, theme.style(Role::TokenChosen));
            if beyond { row.and(at + end, "▸", theme.style(Role::TokenChosen)) } else { row }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing;

    fn bar(value: f32, ascii: bool) -> String {
        let scale = Signed { low: -24.0, high: 8.0, cells: 17 };
        let mut buf = testing::buffer(17, 1);
        scale.row(Row::default(), 0, value, &testing::theme(ascii)).draw(buf.area, 0, &mut buf);
        testing::rows(&buf).remove(0)
    }

    #[test]
    fn a_bar_floats_from_zero_and_says_when_it_lies_beyond() {
        assert_eq!(bar(-8.0, false), "        ▒▒▒▒┊");
        assert_eq!(bar(4.0, false), "            ┊██");
        assert_eq!(bar(0.0, false), "            ┊");
        assert_eq!(bar(99.0, false), "            ┊███▸");
        assert_eq!(bar(-99.0, false), "◂▒▒▒▒▒▒▒▒▒▒▒┊");
        assert_eq!(bar(f32::NAN, false), "            ┊");
        assert_eq!(bar(-8.0, true), "        ----:");
        assert_eq!(bar(4.0, true), "            :##");
    }
}

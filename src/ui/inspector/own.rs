//! What the stations of a token's own pass share: rows made of pieces, subjects, captions, bars around zero.
//!
//! Invariant: a piece stands at its column or not at all; a bar's scale is fixed and never follows the data.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::App;
use crate::engine::protocol::Inspected;
use crate::theme::{Role, Theme};
use crate::token::{TokenId, Vocabulary};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::{text, token};

/// These stations are drawn at most this wide.
pub const WIDEST: u16 = 120;

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

/// The caption under the subject; nothing where captions are off or the screen is low.
pub fn caption(app: &App, theme: &Theme, area: Rect, words: &str) -> Vec<Row> {
    if app.config.inspector.captions && area.height > 14 {
        wrapped(words, 1, area.width, theme.style(Role::Muted))
    } else {
        Vec::new()
    }
}

/// The subject of a station, and at the right end what it costs, where there is room.
pub fn subject(theme: &Theme, area: Rect, words: &[(&str, Role)], price: &str, buf: &mut Buffer) {
    let at = text::row(area, 0, 1);
    let pieces: Vec<_> = words.iter().map(|(words, role)| (*words, theme.style(*role))).collect();
    let taken = text::put_all(buf, at, &pieces);
    if taken + text::width(price) + 3 <= at.width {
        let until = Rect { width: at.width - 1, ..at };
        text::put_right(buf, until, price, theme.style(Role::Muted));
    }
}

/// What the pass on display cost: read again, or opened while it was written.
pub fn price(app: &App, seen: &Inspected) -> String {
    // A pass that was opened as it was written needed no decoding of its own.
    if seen.decoded > 0 {
        return format!("read again {:.0} ms", seen.ms);
    }
    live_price(app).unwrap_or_else(|| format!("{:.1} ms as it was written", seen.ms))
}

/// What looking costs while a reply is written.
pub fn live_price(app: &App) -> Option<String> {
    app.display().live_price().map(|(ms, every)| match every {
        0 | 1 => format!("{ms:.1} ms a token"),
        every => format!("{ms:.1} ms, looks every {every} tokens"),
    })
}

/// Where nothing is known: what the station would show, and why it does not.
pub fn empty(theme: &Theme, area: Rect, subject: &str, caption: &[Row], why: &str, buf: &mut Buffer) {
    Row::of(1, subject, theme.style(Role::Text)).draw(area, 0, buf);
    let at = 1 + stack(caption, area, 1, buf);
    let gap = u16::from(at + 2 < area.height);
    stack(&wrapped(why, 1, area.width, theme.style(Role::Text)), area, at + gap, buf);
}

/// Why there is nothing to show of the token on display.
pub fn missing(app: &App) -> String {
    app.display().inside_missing().unwrap_or_else(|| "not read yet".into())
}

/// The vocabulary of the token on display.
pub fn vocabulary(app: &App) -> Option<&Vocabulary> {
    let hash = app.display().shown_step()?.vocabulary.as_ref()?;
    app.talk.vocabularies.get(hash).map(AsRef::as_ref)
}

/// The text of an entry of that vocabulary.
pub fn name(app: &App, theme: &Theme, id: TokenId) -> String {
    token::named(id, vocabulary(app), &theme.symbols)
}

/// The text of the token on display: by its recorded bytes where its vocabulary is not there.
pub fn shown_name(app: &App, theme: &Theme) -> String {
    let Some(shown) = app.display().shown_step() else { return String::new() };
    let step = &shown.step;
    match step.id.filter(|_| vocabulary(app).is_some() || step.bytes.is_empty()) {
        Some(id) => name(app, theme, id),
        None => token::shown(&step.bytes, crate::token::TokenKind::Normal, &theme.symbols),
    }
}

/// Which pass is on display: `read "…France is" → chose ␣Paris`, or the pass at the token itself.
pub fn chose(app: &App, theme: &Theme, width: u16) -> String {
    let Some(shown) = app.display().shown_step() else { return "no token on display".into() };
    let name = text::cut(&shown_name(app, theme), 14);
    if app.display().own_pass() {
        return format!("reading {name} itself");
    }
    if width < INSPECTOR.0 {
        return format!("chose {name}");
    }
    let read = token::one_line(&shown.context_tail, &theme.symbols);
    format!("read \"{}\" → chose {name}", text::tail(&read, 12))
}

/// The place of the token on display in what was read, as counted from 0; `None` where it is not known.
pub fn place(app: &App) -> Option<usize> {
    let at = app.display().shown_step().filter(|shown| shown.chat == app.talk.chat.head.id)?.cursor();
    app.view().place_in_context(&app.view().token_at(at)?)
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

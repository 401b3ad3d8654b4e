//! The text that was read, each token shaded by its share of the opened head's reading.
//!
//! Invariant: the last token read is always there; nine fixed steps from 0 to 100 %; where there are no fills the
//! step stands under the token's first cell.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::reading::Reading;
use super::{Shown, level};
use crate::app::{App, Grain, Ink};
use crate::theme::{Role, Theme};
use crate::ui::inspector::frame;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::{number, text};

/// What colours the text of the chat, in words: whose reading, and the scale.
pub fn line(app: &App, theme: &Theme) -> Option<String> {
    let inked = app.ink()?;
    let view = &app.inspector.attention;
    let name = inked.ids.get(inked.here).map_or_else(String::new, |id| frame::name(app, theme, *id));
    let first = match inked.first {
        Some(share) => {
            let share = number::decimals(f64::from(share) * 100.0, 1);
            format!("token 0 left out, it held {share} %")
        }
        None => "token 0 included".to_owned(),
    };
    let grain = match view.grain {
        Grain::Token => "",
        Grain::Word => ", by word",
        Grain::Sentence => ", by sentence",
    };
    let gamma = if view.contrast > 0 { format!(", γ {}", inked.gamma) } else { String::new() };
    let cause = if view.ink == Ink::All && !view.read_by { " (mixing, not cause)" } else { "" };
    Some(format!("ink: {}{cause} at {name}, {first}{grain}, 0–100 %{gamma}", inked.whose))
}

/// Draws the last tokens that fit under a row that says what is drawn.
pub fn draw(shown: &Shown<'_>, reading: &Reading<'_>, area: Rect, buf: &mut Buffer) {
    let theme = shown.theme;
    let bare = !theme.has_fills();
    let most = usize::from(area.height.saturating_sub(1) / if bare { 2 } else { 1 });
    let room = area.width.saturating_sub(2);
    if most == 0 || room < 4 {
        return;
    }
    let lines = lines(shown, reading.len(), most, room);
    let mut rows = vec![Row::of(1, "text by share read, 0–100 %", theme.style(Role::Muted))];
    for line in lines {
        let (mut words, mut steps) = (Row::default(), Row::default());
        for (at, position, name) in line {
            let level = level(reading.share(position));
            let style = if bare { theme.style(Role::Text) } else { theme.mag(level) };
            words = words.and(at + 1, name, style);
            steps = steps.and(at + 1, theme.symbols.column[level], theme.style(Role::Muted));
        }
        rows.push(words);
        if bare {
            rows.push(steps);
        }
    }
    row::stack(&rows, area, 0, buf);
}

/// A line: column, position and text of each token.
type Line = Vec<(u16, usize, String)>;

/// The last tokens that fill at most so many lines; no token is broken.
fn lines(shown: &Shown<'_>, count: usize, most: usize, room: u16) -> Vec<Line> {
    // A token takes a cell at least, so no more than these can be in view.
    let first = count.saturating_sub(most * usize::from(room));
    let mut lines: Vec<Line> = vec![Vec::new()];
    let mut at = 0;
    for position in first..count {
        let name = text::cut(&shown.token(position), room);
        let width = text::width(&name);
        if at + width > room {
            lines.push(Vec::new());
            at = 0;
        }
        if let Some(line) = lines.last_mut() {
            line.push((at, position, name));
        }
        at += width;
    }
    let hidden = lines.len().saturating_sub(most);
    lines.split_off(hidden)
}

//! The tour's words: where the composer is otherwise, or under a station that is alone on the screen.
//!
//! Invariant: its height follows the width alone, so nothing moves from step to step, and no station is covered.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows;
use super::widgets::text;
use crate::app::{App, TOUR, Tour};
use crate::sanitize;
use crate::theme::{Role, Theme};

/// The longest that a step says, cells.
pub const LONGEST: u16 = 210;

/// Rows that the tour needs at a width: its rule, the longest step, wrapped.
pub fn height(width: u16) -> u16 {
    // A wrapped line is on average half a word short.
    let line = width.saturating_sub(6).max(20);
    1 + LONGEST.div_ceil(line)
}

/// Draws rule and words.
pub fn draw(app: &App, theme: &Theme, tour: &Tour, area: Rect, buf: &mut Buffer) {
    let place = format!("{} of {}", tour.at + 1, TOUR.len());
    rows::title(buf, theme, text::row(area, 0, 0), "Tour", &place, true);
    let said = sanitize::for_display(&tour.words(app.display())).replace('␣', theme.symbols.space);
    let lines = text::wrap(&said, area.width.saturating_sub(2).max(1));
    for (line, row) in lines.iter().zip(1..area.height) {
        // Figures and their units are kept on one line by blanks that do not break.
        let line = line.replace('\u{a0}', " ");
        text::put(buf, text::row(area, row, 1), &line, theme.style(Role::Text));
    }
}

//! Placeholder until the transcript's part is merged.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::theme::Theme;

/// Rows wanted, the rule included.
#[must_use]
pub fn height(_: &App, _: u16, most: u16) -> u16 {
    most.min(2)
}

/// Draws nothing yet.
#[must_use]
pub fn draw(_: &App, _: &Theme, area: Rect, _: &mut Buffer) -> Option<(u16, u16)> {
    (area.height > 1).then_some((area.x, area.y + 1))
}

//! Placeholder until the transcript's part is merged.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Area, Now};
use crate::chat::ConversationId;
use crate::theme::Theme;

/// Draws nothing yet.
#[must_use]
pub fn draw(_: &App, _: &Theme, _: Rect, _: &mut Buffer, _: Now) -> Vec<(ConversationId, Area)> {
    Vec::new()
}

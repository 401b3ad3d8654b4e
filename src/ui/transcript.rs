//! Placeholder until the transcript's part is merged.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Area, Scroll};
use crate::chat::TurnId;
use crate::theme::Theme;
use crate::ui::cache::Cache;

/// What drawing the transcript learned.
#[derive(Clone, Debug, Default)]
pub struct TranscriptGeometry {
    /// The resolved anchor.
    pub scroll: Scroll,
    /// Rows of the view.
    pub view_rows: u16,
    /// Rows of the whole transcript.
    pub total_rows: usize,
    /// Rows hidden below the view.
    pub rows_below: usize,
    /// Messages on the screen.
    pub turns: Vec<(TurnId, Area)>,
}

/// Draws nothing yet.
pub fn draw(app: &App, _: &Theme, _: &mut Cache, area: Rect, _: &mut Buffer) -> TranscriptGeometry {
    TranscriptGeometry { scroll: app.transcript.scroll, view_rows: area.height, ..Default::default() }
}

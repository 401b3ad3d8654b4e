//! Horizontal bars in eighths of a cell, on a fixed scale.
//!
//! Invariant: under half an eighth nothing is drawn, and a full bar is exactly as wide as its scale.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text;

/// The cells of a bar: `share` (0 to 1) of `cells`, without trailing blanks.
pub fn glyphs(share: f64, cells: u16, bar: &[&'static str; 9]) -> String {
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    let eighths = (share * f64::from(cells) * 8.0).round() as usize;
    let mut cells = bar[8].repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        cells.push_str(bar[eighths % 8]);
    }
    cells
}

/// The same, with `▸` in its last cell where the share is more than all.
pub fn marked(share: f64, cells: u16, bar: &[&'static str; 9]) -> String {
    if share <= 1.0001 || share.is_nan() {
        return glyphs(share, cells, bar);
    }
    format!("{}▸", bar[8].repeat(usize::from(cells.saturating_sub(1))))
}

/// Draws a bar at the left of a row, `cells` wide when full.
pub fn draw(buf: &mut Buffer, at: Rect, share: f64, cells: u16, bar: &[&'static str; 9], style: Style) {
    text::put(buf, at, &glyphs(share, cells, bar), style);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::Symbols;

    #[test]
    fn sixteen_cells_show_the_drawn_lengths() {
        let check = |percent: f64, expected: &str| {
            assert_eq!(glyphs(percent / 100.0, 16, &Symbols::FULL.bar), expected, "{percent}");
        };
        check(54.84, "████████▊");
        check(25.26, "████");
        check(14.99, "██▍");
        check(0.55, "▏");
        check(0.32, "");
        check(2.42, "▍");
        check(100.0, "████████████████");
        check(f64::NAN, "");
    }

    #[test]
    fn without_eighths_cells_are_rounded() {
        assert_eq!(glyphs(0.5484, 16, &Symbols::ASCII.bar), "#########");
        assert_eq!(glyphs(0.1499, 16, &Symbols::ASCII.bar).trim_end(), "##");
    }
}

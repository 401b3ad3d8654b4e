//! A strip chart: one column a value, on a fixed scale, over one row or more.
//!
//! Invariant: every value shows at least the lowest step, so a token is never invisible; one that is not known has no
//! step; the newest is always in view.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text;

/// Draws the last values that fit; `top` is the value of a full column.
pub fn draw(
    buf: &mut Buffer,
    area: Rect,
    values: impl DoubleEndedIterator<Item = f32>,
    top: f32,
    column: &[&'static str; 9],
    style: Style,
) {
    let mut last: Vec<f32> = values.rev().take(usize::from(area.width)).collect();
    last.reverse();
    let steps = usize::from(area.height) * 8;
    for line in 0..area.height {
        let floor = usize::from(area.height - 1 - line) * 8;
        let glyphs: String = last
            .iter()
            .map(|value| match level(*value, top, steps).saturating_sub(floor) {
                0 => " ",
                filled => column[filled.min(8)],
            })
            .collect();
        text::put(buf, text::row(area, line, 0), &glyphs, style);
    }
}

/// Eighths of a row that a value fills: at least one, where it is known.
fn level(value: f32, top: f32, steps: usize) -> usize {
    if value.is_nan() {
        return 0;
    }
    ((value / top * steps as f32).round().max(1.0) as usize).min(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::Symbols;

    fn drawn(height: u16, values: &[f32]) -> Buffer {
        let mut buf = Buffer::empty(Rect::new(0, 0, 4, height));
        let area = buf.area;
        draw(&mut buf, area, values.iter().copied(), 8.0, &Symbols::FULL.column, Style::new());
        buf
    }

    #[test]
    fn two_rows_have_half_bit_steps_and_one_row_has_bits() {
        assert_eq!(drawn(2, &[0.0, 1.99, 6.0, 99.0]), Buffer::with_lines(["  ▄█", "▁▄██"]));
        assert_eq!(drawn(1, &[0.0, 1.99, 6.0, 99.0]), Buffer::with_lines(["▁▂▆█"]));
    }

    #[test]
    fn what_is_not_known_has_no_column() {
        assert_eq!(drawn(1, &[8.0, f32::NAN, 0.0]), Buffer::with_lines(["█ ▁ "]));
    }

    #[test]
    fn the_newest_values_stay_in_view() {
        assert_eq!(drawn(1, &[8.0, 0.0, 0.0, 0.0, 4.0]), Buffer::with_lines(["▁▁▁▄"]));
    }
}

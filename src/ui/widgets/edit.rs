//! A one-line input: its text, scrolled so that the cursor is in view.
//!
//! Invariant: the cursor is always inside the given row, after the character it follows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use super::text;
use crate::sanitize;

/// Draws the text (or, while it is empty, what could be typed) and gives the cursor's cell.
pub fn draw(
    buf: &mut Buffer,
    at: Rect,
    (content, cursor): (&str, usize),
    placeholder: (&str, Style),
    style: Style,
) -> Option<(u16, u16)> {
    if at.is_empty() {
        return None;
    }
    if content.is_empty() {
        text::put(buf, at, &text::cut(placeholder.0, at.width), placeholder.1);
        return Some((at.x, at.y));
    }
    let before = sanitize::for_display(content.get(..cursor).unwrap_or(content));
    let after = sanitize::for_display(content.get(cursor..).unwrap_or(""));
    let mut start = 0;
    let mut left = text::width(&before);
    for (index, grapheme) in before.grapheme_indices(true) {
        if left < at.width {
            break;
        }
        left -= text::width(grapheme);
        start = index + grapheme.len();
    }
    text::put_all(buf, at, &[(&before[start..], style), (&after, style)]);
    Some((at.x + left.min(at.width - 1), at.y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_scrolls_to_its_cursor() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 6, 1));
        let area = buf.area;
        let style = Style::new();
        let cursor = draw(&mut buf, area, ("abcdefgh", 8), ("", style), style);
        assert_eq!(buf, Buffer::with_lines(["defgh "]));
        assert_eq!(cursor, Some((5, 0)));
    }

    #[test]
    fn an_empty_input_says_what_to_type() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 20, 1));
        let area = buf.area;
        let cursor = draw(&mut buf, area, ("", 0), ("type to filter", Style::new()), Style::new());
        assert_eq!(buf, Buffer::with_lines(["type to filter      "]));
        assert_eq!(cursor, Some((0, 0)));
    }
}

//! The frame of an overlay: heavy top edge, light sides, clearing what it covers.
//!
//! Invariant: a wide character that an edge would cut in half is cleared with it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::text;

/// How a frame looks.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Title, at the left of the top edge.
    pub title: &'a str,
    /// What stands at its right end; may be empty.
    pub right: &'a str,
    /// Style of the top edge.
    pub heavy: Style,
    /// Style of the other edges.
    pub light: Style,
    /// Style of the title.
    pub strong: Style,
    /// Whether only ASCII is drawn.
    pub ascii: bool,
}

/// A rectangle of at most that size, its centre as near to the centre of `over` as `screen` allows.
pub fn centred(screen: Rect, over: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(screen.width), height.min(screen.height));
    let place = |middle: u16, size: u16, low: u16, room: u16| {
        middle.saturating_sub(size / 2).clamp(low, low + (room - size))
    };
    let x = place(over.x + over.width / 2, width, screen.x, screen.width);
    let y = place(over.y + over.height / 2, height, screen.y, screen.height);
    Rect::new(x, y, width, height)
}

/// Clears the area, draws the frame, and gives what is inside, a blank column at each side left out.
pub fn draw(buf: &mut Buffer, area: Rect, frame: &Frame<'_>) -> Rect {
    clear(buf, area);
    if area.width < 4 || area.height < 2 {
        return Rect::new(area.x, area.y, 0, 0);
    }
    let inner = usize::from(area.width) - 2;
    let (corners, heavy, light, side) = if frame.ascii {
        (["+", "+", "+", "+"], "=", "-", "|")
    } else {
        (["┍", "┑", "└", "┘"], "━", "─", "│")
    };
    let top = format!("{}{}{}", corners[0], heavy.repeat(inner), corners[1]);
    text::put(buf, text::row(area, 0, 0), &top, frame.heavy);
    let bottom = format!("{}{}{}", corners[2], light.repeat(inner), corners[3]);
    text::put(buf, text::row(area, area.height - 1, 0), &bottom, frame.light);
    for line in 1..area.height - 1 {
        text::put(buf, text::row(area, line, 0), side, frame.light);
        text::put(buf, text::row(area, line, area.width - 1), side, frame.light);
    }
    let title = text::cut(frame.title, area.width.saturating_sub(8));
    text::put(buf, text::row(area, 0, 2), &format!(" {title} "), frame.strong);
    let taken = 6 + text::width(&title);
    let right = format!(" {} ", frame.right);
    if !frame.right.is_empty() && taken + text::width(&right) + 2 < area.width {
        let at = area.width - 2 - text::width(&right);
        text::put(buf, text::row(area, 0, at), &right, frame.heavy);
    }
    Rect::new(area.x + 2, area.y + 1, area.width - 4, area.height - 2)
}

/// Blanks an area and the halves of wide characters at its edges.
pub fn clear(buf: &mut Buffer, area: Rect) {
    let area = area.intersection(buf.area);
    for y in area.top()..area.bottom() {
        for x in area.left().saturating_sub(1)..area.right() {
            let cell = &mut buf[(x, y)];
            if x >= area.left() || cell.symbol().width() > 1 {
                cell.reset();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain<'a>(title: &'a str, right: &'a str) -> Frame<'a> {
        let style = Style::new();
        Frame { title, right, heavy: style, light: style, strong: style, ascii: false }
    }

    #[test]
    fn the_frame_clears_what_it_covers_and_halves_no_wide_character() {
        let mut buf = Buffer::with_lines(["漢漢漢漢漢漢漢漢漢漢漢漢"; 3]);
        let inside = draw(&mut buf, Rect::new(1, 0, 22, 3), &plain("Help", "1 of 2"));
        assert_eq!(inside, Rect::new(3, 1, 18, 1));
        let expected = [" ┍━ Help ━━━━━━ 1 of 2 ━┑ ", " │                    │ ", " └────────────────────┘ "];
        let drawn: Vec<String> = (0..3).map(|y| (0..24).map(|x| buf[(x, y)].symbol()).collect()).collect();
        assert_eq!(drawn[1], expected[1]);
        assert_eq!(drawn[2], expected[2]);
        assert!(drawn[0].starts_with(" ┍━ Help ━") && drawn[0].contains(" 1 of 2 ━┑"), "{}", drawn[0]);
    }

    #[test]
    fn centring_stays_on_the_screen() {
        let screen = Rect::new(0, 0, 120, 40);
        let transcript = Rect::new(21, 2, 52, 36);
        assert_eq!(centred(screen, transcript, 100, 14), Rect::new(0, 13, 100, 14));
        assert_eq!(centred(screen, transcript, 40, 14), Rect::new(27, 13, 40, 14));
        assert_eq!(centred(screen, transcript, 500, 500), screen);
    }
}

//! ratatui's backend, for terminals that count one cell for an emoji of two.
//!
//! Invariant: after a symbol whose width is disputed the cursor is moved, never trusted: its second cell is cleared first,
//! the symbol is drawn over it, and what follows is placed anew. So a row is the same whatever the terminal counts.

use std::io::{self, Write};

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

/// Turns a character of one cell into an emoji, of two by the standard.
const EMOJI_SELECTOR: char = '\u{FE0F}';

/// The backend.
#[derive(Debug)]
pub struct Placed<W: Write> {
    inner: CrosstermBackend<W>,
}

impl<W: Write> Placed<W> {
    pub fn new(writer: W) -> Self {
        Self { inner: CrosstermBackend::new(writer) }
    }
}

impl<W: Write> Write for Placed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(&mut self.inner)
    }
}

impl<W: Write> Backend for Placed<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut run: Vec<(u16, u16, &Cell)> = Vec::new();
        let mut content = content.peekable();
        while let Some((x, y, cell)) = content.next() {
            if !cell.symbol().contains(EMOJI_SELECTOR) {
                run.push((x, y, cell));
                continue;
            }
            self.inner.draw(std::mem::take(&mut run).into_iter())?;
            if let Some(second) = content.next_if(|next| next.0 == x + 1 && next.1 == y) {
                self.inner.draw(std::iter::once(second))?;
            }
            self.inner.draw(std::iter::once((x, y, cell)))?;
        }
        self.inner.draw(run.into_iter())
    }

    fn append_lines(&mut self, lines: u16) -> io::Result<()> {
        self.inner.append_lines(lines)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.inner.clear_region(region)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.inner)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    use super::*;

    #[test]
    fn nothing_behind_an_emoji_rests_on_the_width_that_a_terminal_counts() {
        let area = Rect::new(0, 0, 8, 1);
        let (before, mut after) = (Buffer::with_lines(["xxxxxxxx"]), Buffer::empty(area));
        after.set_string(0, 0, "a⚠\u{FE0F} b", ratatui::style::Style::new());
        let mut sent = Vec::new();
        Placed::new(&mut sent).draw(before.diff(&after).into_iter()).unwrap();
        let sent = String::from_utf8(sent).unwrap();
        let places: Vec<&str> =
            sent.split("\u{1B}[1;").skip(1).map(|part| part.split('H').next().unwrap()).collect();
        assert_eq!(places, ["1", "3", "2", "4"], "a, the second cell, the emoji, the rest: {sent:?}");
    }
}

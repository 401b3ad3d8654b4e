//! Overlays: one file each, in one frame: heavy top edge, light sides, centred on the transcript.
//!
//! Invariant: an overlay's size follows the screen and its whole source, so it never resizes while filtering;
//! below 80 columns it fills the screen.

mod about;
mod ahead;
mod alternatives;
#[cfg(test)]
mod branch_tests;
mod compare;
pub mod completion;
mod help;
mod hub;
mod ledger;
mod microscope;
mod models;
mod palette;
mod personas;
mod search;
mod served;
mod settings;
mod sheet;
mod small;
mod steer;
mod themes;
mod tree;
#[cfg(test)]
mod trial_tests;
mod weights;
mod what_if;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, LineEdit, Overlay, Picker, overlay_list};
use crate::theme::{Role, Theme};
use crate::ui::widgets::{edit, popup, text};

/// What an overlay is drawn with.
struct Canvas<'a> {
    app: &'a App,
    theme: &'a Theme,
    screen: Rect,
    over: Rect,
    buf: &'a mut Buffer,
    /// The last row that a scrolled text can begin at.
    furthest: u16,
}

/// What drawing an overlay gives back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// The cell of its cursor, if it has one.
    pub cursor: Option<(u16, u16)>,
    /// How far it can be scrolled, rows.
    pub furthest: u16,
}

/// Draws an overlay over `over` (the transcript).
pub fn draw(
    app: &App,
    theme: &Theme,
    overlay: &Overlay,
    (screen, over): (Rect, Rect),
    buf: &mut Buffer,
) -> Drawn {
    let mut canvas = Canvas { app, theme, screen, over, buf, furthest: 0 };
    let cursor = of_kind(overlay, &mut canvas);
    Drawn { cursor, furthest: canvas.furthest }
}

/// How an overlay of one kind is drawn; gives the cell of its cursor, if it has one.
trait Draw {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)>;
}

macro_rules! drawn {
    ($($kind:ident)+) => {
        fn of_kind(overlay: &Overlay, on: &mut Canvas<'_>) -> Option<(u16, u16)> {
            match overlay { $( Overlay::$kind(open) => open.draw(on), )+ }
        }
    };
}
overlay_list!(drawn);

impl Canvas<'_> {
    /// Clears and frames the overlay; gives what is inside.
    fn frame(&mut self, title: &str, right: &str, width: u16, height: u16) -> Rect {
        let area = if self.screen.width < 80 {
            self.screen
        } else {
            popup::centred(self.screen, self.over, width, height)
        };
        self.framed(area, title, right)
    }

    /// Clears and frames the whole of the place that is free beside the transcript; gives what is inside.
    fn docked(&mut self, title: &str, right: &str) -> Rect {
        self.framed(self.over, title, right)
    }

    fn framed(&mut self, area: Rect, title: &str, right: &str) -> Rect {
        let frame = popup::Frame {
            title,
            right,
            heavy: self.theme.style(Role::FocusBorder),
            light: self.theme.style(Role::Rule),
            strong: self.theme.style(Role::Strong),
            ascii: self.theme.symbols.ascii,
        };
        popup::draw(self.buf, area, &frame)
    }

    /// The filter line; gives the cursor's cell.
    fn filter(&mut self, inside: Rect, input: &LineEdit, placeholder: &str) -> Option<(u16, u16)> {
        let style = self.theme.style(Role::Strong);
        text::put(self.buf, text::row(inside, 0, 1), self.theme.symbols.here, style);
        let at = text::row(inside, 0, 3);
        let muted = self.theme.style(Role::Muted);
        let typed = (input.text.as_str(), input.cursor);
        edit::draw(self.buf, at, typed, (placeholder, muted), self.theme.style(Role::Text))
    }

    /// The line of keys at the bottom; what has no key is not offered.
    fn keys(&mut self, inside: Rect, offered: Vec<(String, &str)>) {
        let Some(last) = inside.height.checked_sub(1) else { return };
        let with_key: Vec<_> = offered.into_iter().filter(|(key, _)| !key.is_empty()).collect();
        crate::ui::rows::keys(self.buf, self.theme, text::row(inside, last, 0), &with_key);
    }

    /// The first row shown of a scrolled text of so many rows; learns how far it can be scrolled.
    fn scrolled(&mut self, scroll: u16, rows: usize, height: u16) -> usize {
        self.furthest = u16::try_from(rows.saturating_sub(height.into())).unwrap_or(u16::MAX);
        scroll.min(self.furthest).into()
    }

    /// The rows of a list that fit, each with its row on the screen and whether it is selected, marked.
    fn list(&mut self, area: Rect, len: usize, selected: usize) -> Vec<(usize, Rect, bool)> {
        let rows = usize::from(area.height);
        let first = (selected + 1).saturating_sub(rows);
        let shown = (first..len).take(rows).zip(0..area.height);
        let shown: Vec<_> =
            shown.map(|(index, row)| (index, text::row(area, row, 0), index == selected)).collect();
        for (_, at, _) in shown.iter().filter(|(_, _, selected)| *selected) {
            self.mark(*at);
        }
        shown
    }

    /// Marks the selected row.
    fn mark(&mut self, at: Rect) {
        self.buf.set_style(at, self.theme.style(Role::Select));
        let style = self.theme.style(Role::Select).patch(self.theme.style(Role::Strong));
        text::put(self.buf, text::row(at, 0, 1), self.theme.symbols.drawn, style);
    }

    /// Text at a column of a row, at most so many cells.
    fn cell(&mut self, at: Rect, left: u16, most: u16, content: &str, role: Role) {
        let to = text::row(at, 0, left);
        let shown = text::cut(content, most.min(to.width));
        text::put(self.buf, to, &shown, self.theme.style(role));
    }

    /// Text that ends before a column of a row.
    fn cell_right(&mut self, at: Rect, end: u16, content: &str, role: Role) {
        let until = Rect { width: end.min(at.width), ..at };
        text::put_right(self.buf, until, content, self.theme.style(role));
    }
}

/// Rows between the filter line (and the blank under it) and what stands below the list.
fn body(inside: Rect, above: u16, below: u16) -> Rect {
    let above = above.min(inside.height);
    Rect { y: inside.y + above, height: inside.height.saturating_sub(above + below), ..inside }
}

/// `3 of 12`.
fn count(picker: &Picker, all: usize) -> String {
    format!("{} of {all}", picker.rows.len())
}

/// A list's rows in a frame that the whole source would fill, up to a limit.
fn rows_for(all: usize, most: u16) -> u16 {
    u16::try_from(all).unwrap_or(u16::MAX).clamp(1, most)
}

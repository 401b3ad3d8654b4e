//! What the composer offers after `/`, over the composer.
//!
//! Invariant: it never covers the line that is typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Canvas;
use crate::app::{App, Completion, Offers};
use crate::sanitize;
use crate::theme::{Role, Theme};
use crate::ui::widgets::{popup, text};

/// Rows offered at once.
const ROWS: u16 = 8;

/// Draws the offers above the composer.
pub fn draw(
    app: &App,
    theme: &Theme,
    completion: &Completion,
    (screen, composer): (Rect, Rect),
    buf: &mut Buffer,
) {
    let room = composer.y.saturating_sub(screen.y);
    let height = (u16::try_from(completion.items.len()).unwrap_or(ROWS).min(ROWS) + 2).min(room);
    if completion.items.is_empty() || height < 3 {
        return;
    }
    let width = composer.width.max(60).min(screen.right() - composer.x);
    let area = Rect::new(composer.x, composer.y - height, width, height);
    let frame = popup::Frame {
        title: if completion.of == Offers::Lines { "Commands" } else { "Files" },
        right: "",
        heavy: theme.style(Role::FocusBorder),
        light: theme.style(Role::Rule),
        strong: theme.style(Role::Strong),
        ascii: theme.symbols.ascii,
    };
    let inside = popup::draw(buf, area, &frame);
    let mut canvas = Canvas { app, theme, screen, over: area, buf, furthest: 0 };
    for (index, at, _) in canvas.list(inside, completion.items.len(), completion.selected) {
        let (line, help) = &completion.items[index];
        let line = sanitize::for_display(line);
        canvas.cell(at, 3, 28, &line, Role::Strong);
        let left = (4 + text::width(&line)).clamp(18, 33);
        canvas.cell(at, left, at.width, &sanitize::for_display(help), Role::Muted);
    }
}

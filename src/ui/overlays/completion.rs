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
    let rows = canvas.list(inside, completion.items.len(), completion.selected);
    let names: Vec<_> =
        rows.iter().map(|(index, ..)| sanitize::for_display(&completion.items[*index].0)).collect();
    let widest = names.iter().map(|name| text::width(name)).max().unwrap_or(0);
    let left = (widest + 5).clamp(18, 33);
    for ((index, at, _), name) in rows.iter().zip(&names) {
        canvas.cell(*at, 3, 28, name, Role::Strong);
        canvas.cell(*at, left, at.width, &sanitize::for_display(&completion.items[*index].1), Role::Muted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing;

    #[test]
    fn what_each_command_does_stands_in_one_column() {
        let names = ["/attach", "/attention-rollout", "/attention"];
        let items = names.iter().map(|name| ((*name).into(), "Does it".into())).collect();
        let completion = Completion { items, selected: 0, walked: false, of: Offers::Lines };
        let (app, theme) = (testing::app(), testing::theme(false));
        let mut buf = testing::buffer(80, 10);
        let places = (buf.area, Rect::new(0, 9, 80, 1));
        draw(&app, &theme, &completion, places, &mut buf);
        let rows = testing::rows(&buf);
        let column = |row: &String| row.find("Does it").map(|at| row[..at].chars().count());
        let columns: Vec<_> = rows.iter().filter_map(column).collect();
        assert_eq!(columns, [columns[0]; 3], "{rows:#?}");
    }
}

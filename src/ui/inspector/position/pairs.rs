//! What each hand gives to the score: the strongest first, turned and unturned.
//!
//! Invariant: the parts add up to the score; the scale of a part is fixed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Shown, hands};
use crate::theme::Role;
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::number;
use crate::ui::widgets::row::Signed;
use crate::ui::widgets::table::{Cell, Column, Table};

/// Ends of the scale of a part.
const PART: f32 = 4.0;

/// Draws a head and the strongest pairs down to the end of the area; gives the rows it took.
pub fn draw(shown: &Shown<'_>, area: Rect, at: u16, buf: &mut Buffer) -> u16 {
    let (theme, rotation) = (shown.theme, shown.rotation);
    let rows = usize::from(area.height.saturating_sub(at + 1));
    if rows == 0 || rotation.pairs.is_empty() {
        return 0;
    }
    let full = area.width >= INSPECTOR.0;
    let (text, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let scale = Signed { low: -PART, high: PART, cells: if full { 25 } else { 13 } };
    let columns = [
        Column::right("angle", 14),
        Column::right("part", 22),
        Column::right("unturned", 31),
        Column::bar(("−4", "4"), 32, scale.cells),
    ];
    let table = Table::of(theme, columns);
    table.heads().and(1, "hand", muted).draw(area, at, buf);
    let order = shown.strongest();
    let selected = shown.app.inspector.position.pair.min(order.len() - 1);
    let first = (selected + 1).saturating_sub(rows);
    let mut used = 1;
    for (place, pair) in order.into_iter().enumerate().skip(first).take(rows) {
        let here = place == selected;
        let style = if here { theme.style(Role::Strong) } else { text };
        let part = rotation.pairs[pair];
        let frequency = rotation.frequencies.get(pair).copied().unwrap_or(f32::NAN);
        let unrotated = rotation.unrotated.get(pair).copied().unwrap_or(f32::NAN);
        let eighth = hands::eighth(frequency, shown.distance());
        let row = table.row([
            Cell::of(degrees(frequency, shown.distance()), style),
            Cell::of(number::decimals(part.into(), 2), style),
            Cell::of(number::decimals(unrotated.into(), 2), muted),
            Cell::Signed(part, scale),
        ]);
        let row = row.and(2, pair.to_string(), style).and(6, hands::hand(eighth, theme), style);
        row.marked(here, theme).draw(area, at + used, buf);
        used += 1;
    }
    used
}

/// How far the hand has turned, as `57 deg`, whole turns left out.
fn degrees(frequency: f32, distance: u32) -> String {
    let angle = (f64::from(frequency) * f64::from(distance)).to_degrees().rem_euclid(360.0);
    if angle.is_finite() { format!("{} deg", angle.round() as u32 % 360) } else { "–".into() }
}

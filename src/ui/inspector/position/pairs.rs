//! What each hand gives to the score: the strongest first, turned and unturned.
//!
//! Invariant: the parts add up to the score; the scale of a part is fixed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Shown, hands};
use crate::theme::Role;
use crate::ui::inspector::own::{Row, Signed};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::number;

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
    let bars = 32;
    let scale = Signed { low: -PART, high: PART, cells: if full { 25 } else { 13 } };
    Row::of(1, "hand", muted)
        .until(14, "angle", muted)
        .until(22, "part", muted)
        .until(31, "unturned", muted)
        .and(bars, "−4", muted)
        .until(bars + scale.cells, "4", muted)
        .draw(area, at, buf);
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
        let mut row = Row::of(2, pair.to_string(), style)
            .and(6, hands::hand(eighth, theme), style)
            .until(14, degrees(frequency, shown.distance()), style)
            .until(22, number::decimals(part.into(), 2), style)
            .until(31, number::decimals(unrotated.into(), 2), theme.style(Role::Muted));
        row = scale.row(row, bars, part, theme);
        if here {
            row = row.and(0, theme.symbols.here, style);
        }
        row.draw(area, at + used, buf);
        used += 1;
    }
    used
}

/// How far the hand has turned, as `57 deg`, whole turns left out.
fn degrees(frequency: f32, distance: u32) -> String {
    let angle = (f64::from(frequency) * f64::from(distance)).to_degrees().rem_euclid(360.0);
    if angle.is_finite() { format!("{} deg", angle.round() as u32 % 360) } else { "–".into() }
}

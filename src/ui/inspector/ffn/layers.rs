//! The list of layers: how much each feed-forward writes, how few neurons make half of it, and how it pushes.
//!
//! Invariant: the bar's scale is the model's, set once and printed; where there is no room for rows the layers are a
//! strip on the same scale.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Shown, signed};
use crate::inspect::feed_forward::FfnLayer;
use crate::theme::{Role, Theme};
use crate::ui::widgets::row::Row;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text};

/// Columns of the list.
pub const WIDTH: u16 = 40;
/// Cells of a bar.
const BAR: u16 = 10;

/// Draws the list with the opened layer in view; gives the rows it took.
pub fn list(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) -> u16 {
    let columns = [
        Column::right("", 5),
        Column::right("write", 14),
        Column::bar(("0", format!("{:.0}", shown.scale)), 15, BAR),
        Column::right("half", 31),
        Column::right("push", 39),
    ];
    let table = Table::of(shown.theme, columns);
    table.heads().and(1, "layer", shown.theme.style(Role::Muted)).draw(area, 0, buf);
    let room = usize::from(area.height.saturating_sub(1));
    let opened = shown.ffn.layer as usize;
    let total = shown.seen.ffn_layers.len();
    let first = total.saturating_sub(room).min(opened);
    let mut at = 1;
    for line in shown.seen.ffn_layers.iter().skip(first).take(room) {
        row(shown, &table, line).draw(area, at, buf);
        at += 1;
    }
    at
}

fn row(shown: &Shown<'_>, table: &Table<'_, 5>, line: &FfnLayer) -> Row {
    let theme = shown.theme;
    let here = line.layer == shown.ffn.layer;
    let style = theme.style(if here { Role::Strong } else { Role::Text });
    let half = line.half.map_or_else(|| "–".to_owned(), |half| number::grouped(half.into()));
    let row = table.row([
        Cell::of(line.layer.to_string(), style),
        Cell::of(number::decimals(line.write.into(), 1), style),
        Cell::Bar(f64::from(line.write / shown.scale), theme.style(Role::PartFfn)),
        Cell::of(half, style),
        push(line.push, theme),
    ]);
    let active = !shown.app.inspector.ffn.on_neurons;
    if here { row.and(0, if active { theme.symbols.here } else { theme.symbols.other }, style) } else { row }
}

/// A push, in the colour of the token that it is for.
pub fn push(push: Option<f32>, theme: &Theme) -> Cell {
    match push {
        Some(push) => {
            let role = if push < 0.0 { Role::TokenRival } else { Role::TokenChosen };
            Cell::of(signed(push), theme.style(role))
        }
        None => Cell::of("–", theme.style(Role::Muted)),
    }
}

/// The layers as a strip of columns, the opened one marked below.
pub fn strip(shown: &Shown<'_>, width: u16) -> Vec<Row> {
    let theme = shown.theme;
    let layers = &shown.seen.ffn_layers;
    let label = format!("writes 0–{:.0} ", shown.scale);
    let left = 1 + text::width(&label);
    let cells = usize::from(width.saturating_sub(left + 1)).min(layers.len());
    if cells == 0 {
        return Vec::new();
    }
    // The opened layer stays in view where not all have a cell.
    let first = (layers.len() - cells).min(shown.ffn.layer as usize);
    let column = |line: &FfnLayer| {
        let share = (line.write / shown.scale).clamp(0.0, 1.0);
        let level = if share.is_nan() { 0 } else { (share * 8.0).round() as usize };
        theme.symbols.column[if theme.symbols.ascii { level } else { level.max(1) }]
    };
    let columns: String = layers.iter().skip(first).take(cells).map(column).collect();
    let mark = left + (shown.ffn.layer as usize).saturating_sub(first) as u16;
    let line = layers.get(shown.ffn.layer as usize);
    let half =
        line.and_then(|line| line.half).map_or_else(String::new, |half| format!("   half by {half} neurons"));
    let push =
        line.and_then(|line| line.push).map_or_else(String::new, |push| format!("   push {}", signed(push)));
    let words = format!("{} L{}{half}{push}", theme.symbols.here, shown.ffn.layer);
    let at = mark.min(width.saturating_sub(text::width(&words) + 1)).max(1);
    vec![
        Row::of(1, label, theme.style(Role::Muted)).and(left, columns, theme.style(Role::PartFfn)),
        Row::of(at, words, theme.style(Role::Text)),
    ]
}

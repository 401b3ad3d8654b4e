//! How hard all neurons fire: how many in each of the fixed bins.
//!
//! Invariant: bins are the same for every model; a bin with anything in it shows something.

use super::Shown;
use crate::inspect::feed_forward::EDGES;
use crate::theme::Role;
use crate::ui::widgets::number;
use crate::ui::widgets::row::Row;

/// Cells of a bin where there is room.
const CELL: u16 = 5;
/// Columns of the labels.
const LEFT: u16 = 9;

/// Columns it takes.
pub const WIDTH: u16 = LEFT + CELL * (EDGES.len() as u16 + 1) + 1;

/// Its rows; none where there is no room for the figures.
pub fn rows(shown: &Shown<'_>, width: u16) -> Vec<Row> {
    let counts = &shown.ffn.histogram;
    if width < WIDTH || counts.len() != EDGES.len() + 1 {
        return Vec::new();
    }
    let theme = shown.theme;
    let (text, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let all: u32 = counts.iter().sum();
    let level = |count: u32| match count {
        0 => 0,
        // By powers of two of the share, so that the few that fire hard are seen beside the many that do not.
        count => (8 - (f64::from(all) / f64::from(count)).log2().floor().min(7.0) as usize).clamp(1, 8),
    };
    let title = format!("how hard all {} fire", number::grouped(all.into()));
    let mut figures = Row::of(1, "neurons", muted);
    let mut columns = Row::default();
    let mut edges = Row::of(1, "from", muted).until(LEFT + CELL, "−∞", muted);
    for (count, at) in counts.iter().zip(1..) {
        let end = LEFT + at * CELL;
        figures = figures.until(end, number::grouped((*count).into()), text);
        let column = theme.symbols.column[level(*count)];
        columns = columns.until(end, column, theme.style(Role::PartFfn));
    }
    for (edge, at) in EDGES.iter().zip(2..) {
        edges = edges.until(LEFT + at * CELL, edge_text(*edge), muted);
    }
    vec![Row::of(1, title, text), figures, columns, edges]
}

/// `−10`, `−.5`, `.05`
fn edge_text(edge: f32) -> String {
    if edge.abs() >= 1.0 {
        return number::decimals(edge.into(), 0);
    }
    let digits = if edge.abs() < 0.1 { 2 } else { 1 };
    number::decimals(edge.into(), digits).replacen("0.", ".", 1)
}

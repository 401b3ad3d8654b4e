//! A table laid out to the width: columns as wide as they need to be, wrapped where they must, and a list of records
//! where even that would not be read.
//!
//! Invariant: a row of the table begins a row of cells, and all its bytes are in the source of some cell.

use std::ops::Range;

use pulldown_cmark::Alignment;

use super::build::{Builder, Piece};
use super::unit::Unit;
use super::{Look, Tone};

/// Columns are not made narrower than this.
const LEAST: u16 = 8;
/// Cells that one table may have; a larger one is shown as it was written.
pub(super) const MOST_CELLS: usize = 3000;

/// One cell of a table.
#[derive(Debug)]
pub(super) struct TableCell<'a> {
    pub range: Range<usize>,
    pub pieces: Vec<Piece<'a>>,
}

/// A table as it was read.
#[derive(Debug, Default)]
pub(super) struct Table<'a> {
    pub alignments: Vec<Alignment>,
    /// The heads, then the other rows; with the bytes of each row.
    pub rows: Vec<(Range<usize>, Vec<TableCell<'a>>)>,
}

impl Table<'_> {
    /// Lays it out.
    pub fn lay(&self, builder: &mut Builder<'_>) {
        let columns = self.alignments.len().max(1);
        let lines = 3 * (columns as u16).saturating_sub(1);
        let room = builder.room().saturating_sub(lines);
        match widths(&self.natural(builder, columns), room) {
            Some(widths) => self.lay_grid(builder, &widths),
            None => self.lay_records(builder),
        }
    }

    /// How wide each column is if nothing is wrapped.
    fn natural(&self, builder: &Builder<'_>, columns: usize) -> Vec<u16> {
        let mut widest = vec![1; columns];
        for (_, cells) in &self.rows {
            for (cell, widest) in cells.iter().zip(&mut widest) {
                let unit = lay_cell(builder, cell, u16::MAX / 2, cell.range.start);
                let rows = 0..unit.rows.len();
                let taken = rows.map(|row| {
                    unit.cells[unit.row_cells(row)].iter().map(|cell| u16::from(cell.width)).sum()
                });
                *widest = taken.max().unwrap_or(0).max(*widest);
            }
        }
        widest
    }

    fn lay_grid(&self, builder: &mut Builder<'_>, widths: &[u16]) {
        for (number, (range, cells)) in self.rows.iter().enumerate() {
            if number == 0 {
                builder.begin_block(range.start);
            } else {
                builder.next_row();
            }
            self.lay_row(builder, range, cells, widths);
            if number == 0 {
                builder.next_row();
                let until = self.rows.get(1).map_or(builder.text.len(), |(next, _)| next.start);
                rule_row(builder, widths, range.end, until);
            }
        }
    }

    fn lay_row(
        &self,
        builder: &mut Builder<'_>,
        range: &Range<usize>,
        cells: &[TableCell<'_>],
        widths: &[u16],
    ) {
        let mut from = builder.covered().max(range.start);
        builder.cover(cells.first().map_or(from, |cell| cell.range.start.max(from)));
        from = builder.covered();
        let mut laid: Vec<(Range<usize>, Unit)> = Vec::new();
        for (cell, width) in cells.iter().zip(widths) {
            let start = cell.range.start.max(from);
            let unit = lay_cell(builder, cell, *width, start);
            let line = from..start;
            from = cell.range.end.max(start);
            laid.push((line, unit));
        }
        let deep = laid.iter().map(|(_, unit)| unit.rows.len()).max().unwrap_or(0).max(1);
        for row in 0..deep {
            if row > 0 {
                builder.next_row();
            }
            for (column, width) in widths.iter().enumerate() {
                let empty = (from..from, Unit::default());
                let (line, unit) = laid.get(column).unwrap_or(&empty);
                if column > 0 {
                    let source = if row == 0 { line.clone() } else { 0..0 };
                    separator(builder, source, " │ ");
                }
                let taken = || unit.cells[unit.row_cells(row)].iter().map(|cell| u16::from(cell.width)).sum();
                let taken: u16 = if row < unit.rows.len() { taken() } else { 0 };
                let blank = width.saturating_sub(taken);
                let shift = match self.alignments.get(column) {
                    Some(Alignment::Right) => blank,
                    Some(Alignment::Center) => blank / 2,
                    _ => 0,
                };
                builder.put_laid(unit, row, *width, shift);
            }
            if row == 0 {
                builder.covered_to(from);
            }
        }
        builder.cover(range.end.max(from));
    }

    /// The heads, then each row as a list of `head: cell`.
    fn lay_records(&self, builder: &mut Builder<'_>) {
        let Some(((range, heads), rows)) = self.rows.split_first() else { return };
        builder.begin_block(range.start);
        for (at, head) in heads.iter().enumerate() {
            if at > 0 {
                builder.put(&decoration(" │ ".into(), Tone::Line));
            }
            head.pieces.iter().for_each(|piece| builder.put(piece));
        }
        builder.cover(range.end);
        for (at, (range, cells)) in rows.iter().enumerate() {
            builder.next_row();
            let until = if at == 0 { range.start } else { builder.covered() };
            let length = usize::from(builder.room().min(8));
            let source = builder.covered()..until.max(builder.covered());
            separator(builder, source, &"─".repeat(length));
            for (cell, head) in cells.iter().zip(heads) {
                builder.next_row();
                let label: String = head.pieces.iter().map(|piece| piece.text.as_ref()).collect();
                builder.put(&decoration(format!("{}: ", cut(&label, builder.room() / 2)), Tone::Muted));
                cell.pieces.iter().for_each(|piece| builder.put(piece));
                builder.cover(cell.range.end);
            }
            builder.cover(range.end);
        }
        if rows.is_empty() {
            builder.next_row();
            let source = builder.covered()..builder.text.len();
            separator(builder, source, "────────");
        }
    }
}

fn decoration(text: String, tone: Tone) -> Piece<'static> {
    Piece { text: text.into(), source: 0..0, exact: false, look: Look::of(tone) }
}

/// A label in so many cells.
fn cut(label: &str, most: u16) -> String {
    let mut width = 0;
    let fits = crate::sanitize::clusters(label).take_while(|cluster| {
        width += u16::from(cluster.width);
        width <= most
    });
    fits.map(|cluster| cluster.shown.into_owned()).collect()
}

fn lay_cell(builder: &Builder<'_>, cell: &TableCell<'_>, width: u16, from: usize) -> Unit {
    let mut inner = Builder::new(builder.text, width, true).starting_at(from);
    inner.begin_block(from);
    for piece in &cell.pieces {
        inner.put(piece);
    }
    inner.finish(cell.range.end.max(from))
}

/// A line between two cells, which stands for what separates them.
fn separator(builder: &mut Builder<'_>, source: Range<usize>, sign: &str) {
    let look = Look::of(Tone::Line);
    if source.is_empty() {
        builder.decorate(sign, look);
    } else {
        builder.put_sign(sign, source, look);
    }
}

/// The line under the heads, which stands for the row that says how columns are aligned.
fn rule_row(builder: &mut Builder<'_>, widths: &[u16], from: usize, until: usize) {
    let line: Vec<String> = widths.iter().map(|width| "─".repeat(usize::from(*width))).collect();
    let from = from.max(builder.covered());
    let end = builder.text[from..until.max(from)].find('\n').map_or(until.max(from), |at| from + at);
    builder.cover(from);
    separator(builder, from..end, &line.join("─┼─"));
    builder.cover((end + 1).min(until.max(end)));
}

/// As wide as wanted where there is room; else the widest columns give way. `None` where they would be too narrow.
fn widths(natural: &[u16], room: u16) -> Option<Vec<u16>> {
    let total = |most: u16| natural.iter().map(|width| u32::from(*width.min(&most))).sum::<u32>();
    let (mut least, mut most) = (0, natural.iter().copied().max().unwrap_or(1));
    if total(most) > u32::from(room) {
        while least + 1 < most {
            let middle = least.midpoint(most);
            if total(middle) <= u32::from(room) { least = middle } else { most = middle }
        }
        most = least;
    }
    let narrow = natural.iter().any(|width| *width > most) && most < LEAST;
    (!narrow && most > 0).then(|| natural.iter().map(|width| *width.min(&most)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_columns_give_way() {
        assert_eq!(widths(&[4, 6], 20), Some(vec![4, 6]));
        assert_eq!(widths(&[4, 60, 30], 44), Some(vec![4, 20, 20]));
        assert_eq!(widths(&[40, 60, 30], 20), None);
        assert_eq!(widths(&[3, 3, 3], 4), None);
    }
}

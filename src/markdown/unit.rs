//! A unit laid out: rows of cells, each with the bytes that it stands for.
//!
//! Invariant: every byte of the unit is in the source of some cell, shown or not; cells without a source are
//! decoration. Where the cells are not in the order of their sources, `order` lists those that have one so.

use std::ops::Range;

use crate::sanitize::Kind;

use super::Look;

/// A cell as it is kept. Its source counts from the unit's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub at: u32,
    pub end: u32,
    /// Where what it shows stands among all that is shown.
    pub shown: u32,
    pub length: u8,
    pub width: u8,
    pub kind: Kind,
    pub look: Look,
}

impl Cell {
    pub fn is_decoration(&self) -> bool {
        self.at == self.end
    }
}

/// A row of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Its first cell.
    pub first: u32,
    /// The column from which it is filled as code is.
    pub fill: Option<u16>,
}

/// A line of code that waits for its colours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeLine {
    /// Where the first line of its block begins, which tells blocks apart.
    pub block: usize,
    /// Which of its block's lines it is.
    pub number: usize,
    /// Where it begins.
    pub at: usize,
    /// The language as the block names it.
    pub language: String,
    /// The line with its end.
    pub code: String,
}

/// A unit laid out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    pub cells: Vec<Cell>,
    pub shown: String,
    pub rows: Vec<Row>,
    pub order: Option<Vec<u32>>,
    /// Labels that were looked for beyond the unit.
    pub asked: Vec<String>,
    /// What they were resolved to.
    pub resolved: Vec<Option<String>>,
    /// Labels that it defines, with their address.
    pub defines: Vec<(String, String)>,
    /// Its links that may be followed: bytes of each and where it leads.
    pub links: Vec<(Range<u32>, String)>,
    /// Its lines of code; places count from the unit's first byte.
    pub code: Vec<CodeLine>,
}

impl Unit {
    /// Puts the index in place once all cells are known.
    pub fn settle(&mut self) {
        let sourced = || (0..self.cells.len() as u32).filter(|at| !self.cells[*at as usize].is_decoration());
        let mut before = 0;
        let sorted = sourced().all(|at| {
            let at = self.cells[at as usize].at;
            std::mem::replace(&mut before, at) <= at
        });
        self.order = (!sorted).then(|| {
            let mut order: Vec<u32> = sourced().collect();
            order.sort_by_key(|at| (self.cells[*at as usize].at, *at));
            order
        });
    }

    /// The cells of a row.
    pub fn row_cells(&self, row: usize) -> Range<usize> {
        let first = |row: usize| self.rows.get(row).map_or(self.cells.len(), |row| row.first as usize);
        first(row)..first(row + 1)
    }

    pub fn row_of_cell(&self, cell: usize) -> usize {
        self.rows.partition_point(|row| row.first as usize <= cell).saturating_sub(1)
    }

    pub fn column_of(&self, cell: usize) -> u16 {
        let first = self.row_cells(self.row_of_cell(cell)).start;
        self.cells[first..cell].iter().map(|cell| u16::from(cell.width)).sum()
    }

    /// The cells that share a byte with a stretch, in the order of their sources.
    pub fn cells_of(&self, bytes: Range<u32>) -> Vec<usize> {
        let shares = |cell: &Cell| cell.at < bytes.end && cell.end > bytes.start;
        let Some(order) = &self.order else {
            // Sources may nest where one mark shows several cells, never by more than their own stretch.
            let first = self.cells.partition_point(|cell| cell.end <= bytes.start && cell.at <= bytes.start);
            let near = self.cells[first..].iter().enumerate();
            let near = near.take_while(|(_, cell)| cell.is_decoration() || cell.at < bytes.end);
            return near
                .filter(|(_, cell)| !cell.is_decoration() && shares(cell))
                .map(|(at, _)| first + at)
                .collect();
        };
        let cell = |at: &u32| &self.cells[*at as usize];
        let first = order.partition_point(|at| cell(at).end <= bytes.start);
        let near = order[first..].iter().take_while(|at| cell(at).at < bytes.end);
        near.filter(|at| shares(cell(at))).map(|at| *at as usize).collect()
    }

    /// What a cell shows.
    pub fn shown(&self, cell: &Cell) -> &str {
        &self.shown[cell.shown as usize..cell.shown as usize + usize::from(cell.length)]
    }

    /// The first byte that a row stands for, if it stands for any.
    pub fn row_start(&self, row: usize) -> Option<u32> {
        let cells = &self.cells[self.row_cells(row)];
        cells.iter().filter(|cell| !cell.is_decoration()).map(|cell| cell.at).min()
    }
}

//! Tables: where each column stands, what stands over it, and rows of cells.
//!
//! Invariant: a column keeps its place whatever its cells hold; one that has no room shows neither head nor cell.

use ratatui::style::Style;

use super::bar;
use super::row::{Row, Signed};
use super::text;
use crate::theme::{Role, Theme};

/// Where the cells of a column stand.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// They begin here, and have so many cells.
    From(u16, u16),
    /// They end before this column.
    Until(u16),
    /// There is no room for them.
    Nowhere,
}

/// A column: its head, and where it stands.
#[derive(Clone, Debug)]
pub struct Column {
    head: String,
    /// What stands over its last cells: the upper end of a bar's scale.
    end: String,
    place: Place,
    style: Option<Style>,
}

impl Column {
    /// Texts that begin at a column, of at most so many cells.
    pub fn left(head: impl Into<String>, at: u16, cells: u16) -> Self {
        Self { head: head.into(), end: String::new(), place: Place::From(at, cells), style: None }
    }

    /// Figures that end before a column.
    pub fn right(head: impl Into<String>, end: u16) -> Self {
        Self { head: head.into(), end: String::new(), place: Place::Until(end), style: None }
    }

    /// Bars of so many cells, with the ends of their scale over them.
    pub fn bar((low, high): (impl Into<String>, impl Into<String>), at: u16, cells: u16) -> Self {
        Self { end: high.into(), ..Self::left(low, at, cells) }
    }

    /// The column, if there is room for it.
    pub fn when(self, room: bool) -> Self {
        Self { place: if room { self.place } else { Place::Nowhere }, ..self }
    }

    /// With a head in a style of its own.
    pub fn styled(self, style: Style) -> Self {
        Self { style: Some(style), ..self }
    }
}

/// What stands in a column of a row.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A text, cut where it is longer than its column.
    Text(String, Style),
    /// A bar of a share of its column, with `▸` where the share is more than all.
    Bar(f64, Style),
    /// A bar around zero.
    Signed(f32, Signed),
}

impl Cell {
    /// A text.
    pub fn of(text: impl Into<String>, style: Style) -> Self {
        Self::Text(text.into(), style)
    }

    /// A text that is not always there.
    pub fn maybe(text: Option<String>, style: Style) -> Self {
        text.map_or(Self::Empty, |text| Self::Text(text, style))
    }
}

/// A table of so many columns.
pub struct Table<'a, const N: usize> {
    /// The theme it is drawn in.
    pub theme: &'a Theme,
    columns: [Column; N],
}

impl<'a, const N: usize> Table<'a, N> {
    /// A table of these columns.
    pub fn of(theme: &'a Theme, columns: [Column; N]) -> Self {
        Self { theme, columns }
    }

    /// Where the texts or bars of a column begin, and how many cells they have; `None` where it has no room.
    pub fn place(&self, column: usize) -> Option<(u16, u16)> {
        match self.columns[column].place {
            Place::From(at, cells) => Some((at, cells)),
            Place::Until(_) | Place::Nowhere => None,
        }
    }

    /// The row of heads.
    pub fn heads(&self) -> Row {
        let muted = self.theme.style(Role::Muted);
        let head = |row: Row, column: &Column| {
            let style = column.style.unwrap_or(muted);
            match column.place {
                Place::From(at, cells) => {
                    row.and(at, column.head.clone(), style).until(at + cells, column.end.clone(), style)
                }
                Place::Until(end) => row.until(end, column.head.clone(), style),
                Place::Nowhere => row,
            }
        };
        self.columns.iter().fold(Row::default(), head)
    }

    /// A row of cells, one for each column.
    pub fn row(&self, cells: [Cell; N]) -> Row {
        let put = |row: Row, (column, cell): (&Column, Cell)| match (column.place, cell) {
            (Place::From(at, most), Cell::Text(words, style)) => row.and(at, text::cut(&words, most), style),
            (Place::From(at, most), Cell::Bar(share, style)) => {
                row.and(at, bar::marked(share, most, &self.theme.symbols.bar), style)
            }
            (Place::From(at, _), Cell::Signed(value, scale)) => scale.row(row, at, value, self.theme),
            (Place::Until(end), Cell::Text(words, style)) => row.until(end, words, style),
            _ => row,
        };
        self.columns.iter().zip(cells).fold(Row::default(), put)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing::design::theme;
    use crate::ui::testing::{buffer, rows};

    #[test]
    fn columns_keep_their_places_and_one_without_room_is_left_out() {
        let theme = theme();
        let style = theme.style(Role::Text);
        let table = Table::of(
            &theme,
            [
                Column::left("token", 1, 6),
                Column::right("%", 12),
                Column::right("rank", 18).when(false),
                Column::bar(("0", "1"), 13, 4),
            ],
        );
        let row = |name: &str, share| {
            let figure = Cell::of(format!("{share:.2}"), style);
            table.row([Cell::of(name, style), figure, Cell::of("7", style), Cell::Bar(share, style)])
        };
        let mut buf = buffer(20, 4);
        for (at, row) in (0..).zip([table.heads(), row("a", 0.5), row("a longer one", 1.0), row("", 2.0)]) {
            row.draw(buf.area, at, &mut buf);
        }
        assert_eq!(
            rows(&buf),
            [" token     % 0  1", " a      0.50 ██", " a lon… 1.00 ████", "        2.00 ███▸"]
        );
    }
}

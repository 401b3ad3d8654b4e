//! The grid: layers over the last tokens, in each cell what that layer would have said there.
//!
//! Invariants: a cell's fill is what its layer gave to the token that was really written, on the fixed scale of six
//! powers of ten; a column keeps its place while the others come.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Grid};
use crate::inspect::depth::{Depth, DepthCell};
use crate::theme::{Role, Theme};
use crate::ui::inspector::frame::{self, Frame};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::text;

const CAPTION: &str = "What each layer would have said in each place: down is onward, right is later in the text. \
                       Bright: the layer already sees the word that came.";
/// Cells of a column.
const CELL: u16 = 7;
/// Cells of the layer's number.
const LEFT: u16 = 5;
/// Powers of ten of the fill.
const POWERS: f32 = 6.0;

/// Draws it under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let Some(frame) = Frame::of(app, theme, area, CAPTION) else { return };
    let area = frame.area;
    let chose = frame::chose(app, theme, area.width);
    let Some((grid, column)) = app.display().shown_grid().filter(|(grid, _)| !grid.tokens.is_empty()) else {
        let why =
            app.display().grid_missing().unwrap_or_else(|| "every layer of these tokens is read…".into());
        return frame.empty(&chose, &why, buf);
    };
    subject(app, theme, grid, column, area, buf);
    let under = frame.close_under(buf);
    let legend = legend(theme, area.width);
    let legend = if under.height > 6 + legend.len() as u16 { legend } else { Vec::new() };
    let room = under.height - legend.len() as u16;
    row::stack(&legend, under, room, buf);
    let under = Rect { height: room, ..under };
    let fits = usize::from(area.width.saturating_sub(LEFT) / CELL).max(1);
    let first = (column + 1)
        .saturating_sub(fits)
        .max((grid.ids.len() - grid.from as usize).min(column + 1 + fits / 4).saturating_sub(fits));
    let shown = Shown { app, theme, grid, column, first, fits };
    shown.heads(under, buf);
    shown.rows(text::below(under, 1), buf);
}

/// `read "…France is" → chose ␣Paris   decided at layer 29`
fn subject(app: &App, theme: &Theme, grid: &Grid, column: usize, area: Rect, buf: &mut Buffer) {
    let chose = frame::chose(app, theme, area.width);
    let decided = match grid.tokens.get(column).map(|token| token.decided) {
        Some(Some(layer)) => format!("   decided at layer {layer}"),
        Some(None) => "   not the first choice".into(),
        None => "   coming…".into(),
    };
    let price = app.inspector.depths.price.1.map_or_else(String::new, |ms| format!("{ms:.0} ms a token"));
    frame::subject(theme, area, &[(&chose, Role::Text), (&decided, Role::Strong)], &price, buf);
}

fn legend(theme: &Theme, width: u16) -> Vec<Row> {
    let scale = if width >= INSPECTOR.0 {
        "fill: log₁₀ p of what was written, −6 to 0"
    } else {
        "fill: log₁₀ p, −6 to 0"
    };
    let texts = [scale, "[ ] it is on top", "◆ decided"];
    row::packed(&texts.map(str::to_owned), 1, width, theme.style(Role::Muted))
}

/// Step of the ramp for ln p, 0 to 8.
fn level(logprob: f32) -> usize {
    let share = (logprob / std::f32::consts::LN_10 + POWERS) / POWERS;
    if share.is_nan() { 0 } else { (share.clamp(0.0, 1.0) * 8.0).round() as usize }
}

struct Shown<'a> {
    app: &'a App,
    theme: &'a Theme,
    grid: &'a Grid,
    /// Index of the token on display.
    column: usize,
    /// Index of the first column in view, and how many there are.
    first: usize,
    fits: usize,
}

impl Shown<'_> {
    /// The columns in view, each with its place on the screen.
    fn columns(&self) -> impl Iterator<Item = (usize, u16)> + '_ {
        let all = self.grid.ids.len() - self.grid.from as usize;
        (self.first..all.min(self.first + self.fits)).zip(0..).map(|(column, at)| (column, LEFT + at * CELL))
    }

    /// The tokens that were written, the one on display marked.
    fn heads(&self, area: Rect, buf: &mut Buffer) {
        let theme = self.theme;
        let mut row = Row::of(1, "read", theme.style(Role::Muted));
        for (column, at) in self.columns() {
            let id = self.grid.ids[self.grid.from as usize + column];
            let here = column == self.column;
            let name = frame::name(self.app, theme, id);
            let style = theme.style(if here { Role::TokenChosen } else { Role::Text });
            if here {
                row = row.and(at, theme.symbols.drawn, style);
            }
            row = row.and(at + 1, text::cut(&name, CELL - 1), style);
        }
        row.draw(area, 0, buf);
    }

    /// The layers that fit, the selected one among them, the last ones where all cannot.
    fn rows(&self, area: Rect, buf: &mut Buffer) {
        let total = self.grid.tokens.iter().map(|token| token.cells.len()).max().unwrap_or_default();
        let selected = self.app.display().opened_layer() as usize + 1;
        let first = total.saturating_sub(usize::from(area.height)).min(selected);
        for (depth, line) in (first..total).zip(0..area.height) {
            let theme = self.theme;
            let here = depth == selected;
            let style = theme.style(if here { Role::Strong } else { Role::Muted });
            let label = depth.checked_sub(1).map_or_else(|| "em".to_owned(), |layer| layer.to_string());
            let mut row =
                Row::of(0, if here { theme.symbols.here } else { " " }, style).until(LEFT - 1, label, style);
            for (column, at) in self.columns() {
                if let Some(token) = self.grid.tokens.get(column)
                    && let Some(cell) = token.cells.get(depth)
                {
                    row = self.cell(row, at, token, cell, depth);
                }
            }
            row.draw(area, line, buf);
        }
    }

    fn cell(&self, row: Row, at: u16, token: &Depth, cell: &DepthCell, depth: usize) -> Row {
        let theme = self.theme;
        let level = level(cell.logprob);
        let plain = !theme.has_fills();
        let style = if plain { theme.style(Role::Text) } else { theme.mag(level) };
        let on_top = cell.best == token.id;
        let decided = depth > 0 && token.decided == Some(depth as u32 - 1);
        let room = CELL - 2 - u16::from(plain);
        let name = text::cut(&frame::name(self.app, theme, cell.best), room);
        let (open, close) = if on_top { ("[", "]") } else { (" ", " ") };
        let filled = format!("{open}{name}{}{close}", " ".repeat(usize::from(room - text::width(&name))));
        let row = row.and(at, filled, style);
        let row = if decided { row.and(at, theme.symbols.decided, style) } else { row };
        if plain { row.and(at + CELL - 1, level.to_string(), theme.style(Role::Muted)) } else { row }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fill_goes_by_powers_of_ten() {
        let at = |power: f32| level(power * std::f32::consts::LN_10);
        assert_eq!([0.0, -0.75, -3.0, -6.0, -9.0].map(at), [8, 7, 4, 0, 0]);
        assert_eq!((level(f32::NEG_INFINITY), level(f32::NAN)), (0, 0));
    }
}

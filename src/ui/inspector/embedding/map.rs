//! The map: the span's tokens on the two directions that hold most of their spread.
//!
//! Invariant: every token has a point where it lies; a name stands where nothing else stands or not at all, and
//! how many have none is said.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Shown;
use crate::theme::Role;
use crate::token::TokenId;
use crate::ui::widgets::row::Row;
use crate::ui::widgets::{number, text};

/// Most cells of a name.
const NAME: u16 = 12;

/// A point of the map.
struct Point {
    id: TokenId,
    at: (u16, u16),
    /// Where in its cell: one dot of a braille character.
    dot: char,
}

/// The bits of a braille character's dots, row by row.
const DOTS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// Which cells are taken.
struct Grid {
    width: u16,
    taken: Vec<bool>,
}

impl Grid {
    fn new(width: u16, height: u16) -> Self {
        Self { width, taken: vec![false; usize::from(width) * usize::from(height)] }
    }

    fn cell(&self, x: u16, y: u16) -> usize {
        usize::from(y) * usize::from(self.width) + usize::from(x)
    }

    /// Takes so many cells of a row, if all are free.
    fn take(&mut self, x: u16, y: u16, cells: u16) -> bool {
        if x + cells > self.width {
            return false;
        }
        let range = self.cell(x, y)..self.cell(x, y) + usize::from(cells);
        let Some(cells) = self.taken.get_mut(range) else { return false };
        let free = !cells.iter().any(|taken| *taken);
        if free {
            cells.fill(true);
        }
        free
    }
}

/// Draws the map with its head and what it holds.
pub fn draw(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let theme = shown.theme;
    if area.height < 4 || area.width < 12 {
        return;
    }
    let points: Vec<(TokenId, (f32, f32))> = once_each(shown);
    let muted = theme.style(Role::Muted);
    if points.is_empty() {
        let words = "map: no tokens to put on it";
        Row::of(1, words, muted).draw(area, 0, buf);
        return;
    }
    let (first, second) = shown.facts.explained;
    let field = Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 3 };
    let unnamed = scatter(shown, &points, field, buf);
    let of = if shown.app.inspector.embedding.map_near { "with its neighbours" } else { "of the text" };
    let counted = format!("map: {}", number::counted(points.len(), "token"));
    let of = format!("{counted} {of}");
    let heads = [format!("{of}, on two directions"), of, counted];
    Row::of(1, text::widest(&heads, area.width - 1), theme.style(Role::Text)).draw(area, 0, buf);
    let left_out = if unnamed == 0 { String::new() } else { format!(", {unnamed} unnamed") };
    let held = format!("{:.0} + {:.0} %", first * 100.0, second * 100.0);
    let words = [format!("{held} of the spread{left_out}"), format!("{held} of spread{left_out}"), held];
    Row::of(1, text::widest(&words, area.width - 1), muted).draw(area, area.height - 2, buf);
    Row::of(1, "flattened: near may be far", muted).draw(area, area.height - 1, buf);
}

/// The map's tokens with their places, each token once.
fn once_each(shown: &Shown<'_>) -> Vec<(TokenId, (f32, f32))> {
    let mut seen = std::collections::BTreeSet::new();
    let places = shown.facts.mapped.iter().copied().zip(shown.facts.map.iter().copied());
    places.filter(|(id, (x, y))| x.is_finite() && y.is_finite() && seen.insert(*id)).collect()
}

/// Draws points and names; gives how many names had no room.
fn scatter(shown: &Shown<'_>, points: &[(TokenId, (f32, f32))], field: Rect, buf: &mut Buffer) -> usize {
    let theme = shown.theme;
    let mut grid = Grid::new(field.width, field.height);
    // In dots: two to a cell's width, four to its height.
    let dots = |value: f32, dots: u16| {
        (f32::midpoint(value.clamp(-1.0, 1.0), 1.0) * f32::from(dots.saturating_sub(1))).round() as u16
    };
    // The first direction goes to the right, the second up.
    let placed: Vec<Point> = points
        .iter()
        .map(|(id, (x, y))| {
            let (x, y) = (dots(*x, 2 * field.width), dots(-*y, 4 * field.height));
            let bit = DOTS[usize::from(y % 4)][usize::from(x % 2)];
            Point { id: *id, at: (x / 2, y / 4), dot: char::from_u32(0x2800 + bit).unwrap_or('.') }
        })
        .collect();
    for point in &placed {
        grid.take(point.at.0, point.at.1, 1);
    }
    let own = shown.step.step.id;
    let is_own = |point: &Point| Some(point.id) == own;
    // The token on display comes last, so that its point is on top; its name is placed first.
    for point in
        placed.iter().filter(|point| !is_own(point)).chain(placed.iter().filter(|point| is_own(point)))
    {
        let (glyph, role) = match (is_own(point), theme.symbols.ascii) {
            (true, _) => (theme.symbols.decided.to_owned(), Role::TokenChosen),
            (false, true) => (theme.symbols.other.to_owned(), Role::Text),
            (false, false) => (point.dot.to_string(), Role::Text),
        };
        text::put(buf, text::row(field, point.at.1, point.at.0), &glyph, theme.style(role));
    }
    let mut unnamed = 0;
    for point in
        placed.iter().filter(|point| is_own(point)).chain(placed.iter().filter(|point| !is_own(point)))
    {
        let name = text::cut(&shown.name(point.id), NAME);
        let cells = text::width(&name);
        let (x, y) = point.at;
        let right = (x + 1 < field.width).then_some(x + 1);
        let left = x.checked_sub(cells);
        // A blank is kept to what stands beside it: the place is taken one cell wider.
        let at = right
            .filter(|at| grid.take(*at, y, cells + 1))
            .or_else(|| right.filter(|at| at + cells == field.width && grid.take(*at, y, cells)))
            .or_else(|| left.filter(|at| *at > 0 && grid.take(at - 1, y, cells + 1)))
            .or_else(|| left.filter(|at| *at == 0 && grid.take(0, y, cells)))
            .map(|at| (at, y));
        let within = x.min(field.width.saturating_sub(cells));
        let rows = [y.checked_sub(1), Some(y + 1).filter(|below| *below < field.height)];
        let at = at.or_else(|| {
            let free = rows.into_iter().flatten().find(|row| grid.take(within, *row, cells));
            free.map(|row| (within, row))
        });
        let role = if is_own(point) { Role::TokenChosen } else { Role::Text };
        match at {
            Some((at, y)) => {
                text::put(buf, text::row(field, y, at), &name, theme.style(role));
            }
            None => unnamed += 1,
        }
    }
    unnamed
}

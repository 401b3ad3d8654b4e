//! Cosines among the tokens of the span, as shaded cells with their figures.
//!
//! Invariant: the ramp's middle is 0 and its ends are −1 and 1, whatever the data; a figure stands in each cell.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Shown, cosine_text};
use crate::config::ColorDepth;
use crate::theme::Role;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::text;

/// Cells of a figure, the blank before it included.
const CELL: u16 = 5;
/// Most cells of a row's name.
const NAME: u16 = 11;

/// The cosines that are shown: as they are, or with the mean of the table taken off.
fn cosines<'a>(shown: &'a Shown<'_>) -> &'a [f32] {
    if shown.app.inspector.embedding.centred { &shown.facts.centred } else { &shown.facts.cosines }
}

/// How many of the last tokens fit.
fn fitting(shown: &Shown<'_>, width: u16) -> usize {
    let count = shown.span.len();
    let whole = count > 0 && cosines(shown).len() == count * count;
    if whole { count.min(usize::from(width.saturating_sub(NAME + 3) / CELL)) } else { 0 }
}

/// Columns that the matrix takes of at most so many.
pub fn width(shown: &Shown<'_>, most: u16) -> u16 {
    match fitting(shown, most) {
        0 => 0,
        fits => (NAME + 3 + fits as u16 * CELL).max(34).min(most),
    }
}

/// Its rows: head, names, a row a token, the scale, the pair most and least alike.
pub fn rows(shown: &Shown<'_>, width: u16) -> Vec<Row> {
    let count = shown.span.len();
    let fits = fitting(shown, width);
    if fits == 0 {
        return Vec::new();
    }
    let theme = shown.theme;
    let muted = theme.style(Role::Muted);
    let first = count - fits;
    let all = cosines(shown);
    let cosine = |row: usize, column: usize| all[row * count + column];
    let end = |column: usize| NAME + 2 + CELL * (column - first + 1) as u16;
    let name = |index: usize, most: u16| text::cut(&shown.name(shown.span[index]), most);
    let what = if shown.app.inspector.embedding.centred { "centred cosines" } else { "cosines" };
    let head = if fits < count {
        format!("{what} among the last {fits} of {count} tokens")
    } else {
        format!("{what} within the span")
    };
    let mut rows = vec![Row::of(1, head, theme.style(Role::Text))];
    let names = (first..count).fold(Row::default(), |row, at| row.until(end(at), name(at, CELL - 1), muted));
    rows.push(names);
    for at in first..count {
        let row = Row::of(1, name(at, NAME), theme.style(Role::Text));
        rows.push((first..count).fold(row, |row, column| {
            let value = cosine(at, column);
            let step = (value.clamp(-1.0, 1.0) * 4.0).round() as i8;
            let figure = format!("{:>4}", cosine_text(value, 2));
            row.until(end(column), figure, theme.div(step))
        }));
    }
    if theme.depth != ColorDepth::None {
        rows.push(Row::of(1, "orange −1   grey 0   blue +1", muted));
    }
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for one in first..count {
        pairs.extend(
            (one + 1..count).filter(|other| shown.span[*other] != shown.span[one]).map(|other| (one, other)),
        );
    }
    pairs.sort_by(|a, b| cosine(b.0, b.1).total_cmp(&cosine(a.0, a.1)));
    for (label, pair) in [("most alike", pairs.first()), ("least", pairs.last())] {
        if let Some(&(one, other)) = pair {
            let row = Row::of(1, label, muted).and(
                12,
                format!("{} {}", name(one, NAME - 2), name(other, NAME - 2)),
                theme.style(Role::Text),
            );
            rows.push(row.until(36.min(width), cosine_text(cosine(one, other), 2), theme.style(Role::Text)));
        }
    }
    rows
}

/// Draws it.
pub fn draw(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    row::stack(&rows(shown, area.width), area, 0, buf);
}

//! Positions of models that turn nothing: learned vectors, slopes a head, or none.
//!
//! Invariant: cosines and slopes lie on the fixed scale 0 to 1.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Shown;
use crate::inspect::position::LearnedPosition;
use crate::inspect::trace::PositionKind;
use crate::theme::Role;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{chart, number};

/// Cells of a bar.
const BAR: u16 = 16;

/// Draws it; gives the rows it took.
pub fn draw(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) -> u16 {
    let theme = shown.theme;
    let position = shown.seen.trace.position;
    let words = match shown.rotation.kind {
        PositionKind::Learned => format!(
            "learned: a vector of its own for position {position} is added to the token's embedding. Nothing is \
             turned; distance is what the heads make of these vectors."
        ),
        PositionKind::Alibi => "ALiBi: every head lowers its score by its own slope times the distance. Nothing is \
                                added to the embedding and nothing is turned."
            .into(),
        _ => "none: the network is told no positions. Order enters only because a token reads what came before \
              it and nothing after."
            .into(),
    };
    let at = row::stack(&row::wrapped(&words, 1, area.width, theme.style(Role::Text)), area, 0, buf) + 1;
    let room = Rect { y: area.y + at.min(area.height), height: area.height.saturating_sub(at), ..area };
    if let Some(learned) = &shown.rotation.learned {
        return at + vector(shown, learned, position, room, buf);
    }
    if !shown.rotation.slopes.is_empty() {
        return at + row::stack(&slopes(shown), room, 0, buf);
    }
    at
}

/// A learned vector: its length, the positions like it, its cosine with all before it.
fn vector(shown: &Shown<'_>, learned: &LearnedPosition, position: u32, area: Rect, buf: &mut Buffer) -> u16 {
    let theme = shown.theme;
    let (text, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let length = number::decimals(learned.norm.into(), 2);
    let count = number::grouped(learned.count.into());
    let columns =
        [Column::left("most alike", 1, 18), Column::right("cos", 21), Column::bar(("0", "1"), 22, BAR)];
    let table = Table::of(theme, columns);
    let mut rows =
        vec![Row::of(1, format!("length {length}   one of {count} such vectors"), text), table.heads()];
    for (other, cosine) in &learned.nearest {
        let apart = i64::from(*other) - i64::from(position);
        rows.push(table.row([
            Cell::of(format!("#{other} ({apart:+})"), text),
            Cell::of(number::decimals((*cosine).into(), 3), text),
            Cell::Bar((*cosine).into(), theme.style(Role::ProbBar)),
        ]));
    }
    let fits = learned.cosines.len().min(usize::from(area.width.saturating_sub(2)));
    let first = learned.cosines.len() - fits;
    rows.push(Row::of(1, format!("cosine with #{first} to #{position}, 0 to 1"), muted));
    let at = row::stack(&rows, area, 0, buf);
    if at < area.height && fits > 0 {
        let strip = Rect { x: area.x + 1, y: area.y + at, width: area.width - 2, height: 1 };
        let values = learned.cosines[first..].iter().map(|cosine| cosine.max(0.0));
        chart::draw(buf, strip, values, 1.0, &theme.symbols.column, theme.style(Role::ProbBar));
    }
    at + 1
}

/// How fast each head's score falls, and what that makes of the chosen distance.
fn slopes(shown: &Shown<'_>) -> Vec<Row> {
    let theme = shown.theme;
    let columns = [
        Column::left("head", 1, 8),
        Column::right("slope", 14),
        Column::bar(("0", "1"), 15, BAR),
        Column::right(format!("at {} apart", shown.distance()), 46),
    ];
    let table = Table::of(theme, columns);
    let chosen = shown.rotation.head.1 as usize;
    let mut rows = vec![table.heads()];
    rows.extend(shown.rotation.slopes.iter().enumerate().map(|(head, slope)| {
        let style = theme.style(if head == chosen { Role::Strong } else { Role::Text });
        let lowered = -f64::from(*slope) * f64::from(shown.distance());
        let row = table.row([
            Cell::of(format!(" {head}"), style),
            Cell::of(number::decimals((*slope).into(), 4), style),
            Cell::Bar((*slope).into(), theme.style(Role::ProbBar)),
            Cell::of(number::decimals(lowered, 2), style),
        ]);
        row.marked(head == chosen, theme)
    }));
    rows
}

//! The embedding station: the row of numbers a token enters the network with, and what lies near it.
//!
//! Invariants: the list is over the whole table; the map flattens, and how much it holds is printed beside it;
//! scales are fixed.

mod map;
mod matrix;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, LiveStep};
use crate::inspect::trace::EmbeddingFacts;
use crate::theme::{Role, Theme};
use crate::token::TokenId;
use crate::ui::inspector::frame::{self, Frame};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text};

/// Columns from which on list, map and matrix stand side by side.
const THREE: u16 = 114;
/// Columns of the list where something stands beside it.
const LIST: u16 = 34;
/// Rows that a map needs to be one.
const MAP: u16 = 8;

const CAPTION: &str = "The numbers this token enters the network with, and the tokens whose numbers point the \
                       same way.";

/// What is on display.
struct Shown<'a> {
    app: &'a App,
    theme: &'a Theme,
    step: &'a LiveStep,
    facts: &'a EmbeddingFacts,
    /// The tokens of the map and the matrix.
    span: &'a [TokenId],
}

impl<'a> Shown<'a> {
    fn of(app: &'a App, theme: &'a Theme) -> Option<Self> {
        let step = app.display().shown_step()?;
        let facts = app.display().shown_embedding()?;
        let known = app.inspector.embedding.embeddings.iter().rev();
        let asked = known.into_iter().find(|(_, _, other)| Arc::ptr_eq(other, facts));
        let span = asked.map_or(&[] as &[TokenId], |(_, asked, _)| asked.span.as_slice());
        Some(Self { app, theme, step, facts, span })
    }

    fn name(&self, id: TokenId) -> String {
        frame::name(self.app, self.theme, id)
    }
}

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let Some(frame) = Frame::of(app, theme, area, CAPTION) else { return };
    let Some(shown) = Shown::of(app, theme) else {
        return frame.empty_of_token("", " itself", &frame::missing(app), buf);
    };
    let area = frame.area;
    subject(&shown, area, buf);
    let under = frame.under(buf);
    if area.width >= THREE {
        let (left, rest) = text::split(under, LIST + 2);
        let (middle, right) = text::split(rest, rest.width - matrix::width(&shown, 46));
        list(&shown, left, buf);
        map::draw(&shown, middle, buf);
        matrix::draw(&shown, right, buf);
    } else if area.width >= INSPECTOR.0 {
        two_columns(&shown, under, buf);
    } else {
        one_column(&shown, under, buf);
    }
}

/// List and map beside each other, the matrix under them; where it does not fit, what is opened.
fn two_columns(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let matrix = matrix::rows(shown, area.width).len() as u16;
    let fits = area.height >= matrix + MAP + 5;
    let above = if fits { area.height - matrix - 1 } else { area.height };
    let upper = Rect { height: above, ..area };
    let (left, right) = text::split(upper, LIST);
    list(shown, left, buf);
    if fits {
        map::draw(shown, right, buf);
        matrix::draw(shown, text::below(area, above + 1), buf);
    } else if shown.app.inspector.inside.opened {
        matrix::draw(shown, right, buf);
    } else {
        map::draw(shown, right, buf);
    }
}

/// The list, under it map and matrix where they fit; opened, these alone.
fn one_column(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let matrix = matrix::rows(shown, area.width).len() as u16;
    let mut rest = area;
    let roomy = area.height >= MAP + 16;
    if !roomy && shown.app.inspector.embedding.map_near && area.height >= MAP {
        return map::draw(shown, area, buf);
    }
    if !shown.app.inspector.inside.opened {
        let most = if roomy { 14 } else { area.height };
        let used = list(shown, Rect { height: most.min(area.height), ..area }, buf);
        rest = text::below(area, used + 1);
        if rest.height < MAP {
            return;
        }
    }
    let both = rest.height >= matrix + MAP + 2;
    if both {
        let over = rest.height - matrix - 1;
        map::draw(shown, Rect { height: over, ..rest }, buf);
        matrix::draw(shown, text::below(rest, over + 1), buf);
    } else if shown.app.inspector.inside.opened && matrix > 0 {
        matrix::draw(shown, rest, buf);
    } else {
        map::draw(shown, rest, buf);
    }
}

/// `#5 ␣Paris itself: row 7042 of the token table, before any layer`, or the sum that was asked for.
fn subject(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let price = format!("one pass over the table {:.0} ms", shown.facts.ms);
    if let Some(asked) = &shown.app.inspector.embedding.arithmetic {
        let words = text::cut(&sum_text(shown, &asked.terms), area.width.saturating_sub(2));
        return frame::subject(shown.theme, area, &[(&words, Role::TokenChosen)], &price, buf);
    }
    let place = frame::place(shown.app).map_or_else(String::new, |place| format!("#{place} "));
    let id = shown.step.step.id.and_then(TokenId::number).map_or_else(String::new, |id| id.to_string());
    let words = if area.width >= INSPECTOR.0 {
        format!(" itself: row {id} of the token table, before any layer")
    } else {
        format!(": row {id} of the token table")
    };
    let room = area.width.saturating_sub(text::width(&place) + text::width(&words) + 2);
    let name = text::cut(&frame::shown_name(shown.app, shown.theme), room);
    let pieces =
        [(place.as_str(), Role::Text), (name.as_str(), Role::TokenChosen), (words.as_str(), Role::Text)];
    frame::subject(shown.theme, area, &pieces, &price, buf);
}

/// `␣king − ␣man + ␣woman`
fn sum_text(shown: &Shown<'_>, terms: &[(TokenId, f32)]) -> String {
    let mut words = String::new();
    for (id, sign) in terms {
        let sign = match (words.is_empty(), *sign < 0.0) {
            (true, false) => "",
            (true, true) => "−",
            (false, false) => " + ",
            (false, true) => " − ",
        };
        words = words + sign + &shown.name(*id);
    }
    words
}

/// The nearest tokens with their cosines, and what is known of the row; gives the rows it took.
fn list(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) -> u16 {
    let (theme, facts) = (shown.theme, shown.facts);
    let (text_style, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let name = (area.width / 3).clamp(8, 18);
    let bars = name + 9;
    let cells = area.width.saturating_sub(bars + 2).min(16);
    let asked = shown.app.inspector.embedding.arithmetic.is_some();
    let heads = if asked {
        ["nearest to the sum, its words left out", "nearest to the sum"]
    } else {
        ["nearest in the whole table", "nearest in the table"]
    };
    Row::of(1, text::widest(&heads, area.width.saturating_sub(1)), text_style).draw(area, 0, buf);
    let columns = [
        Column::left("token", 2, name),
        Column::right("cos", name + 8),
        Column::bar((cosine_text(facts.median, 2), "1"), bars, cells),
    ];
    let table = Table::of(theme, columns);
    table.heads().draw(area, 1, buf);
    let known = known(shown, area.width);
    let after = match area.height {
        0..=6 => 0,
        7..=15 => known.len().min(2),
        _ => known.len(),
    };
    let below = if after > 0 { after as u16 + 1 } else { 0 };
    let rows = usize::from(area.height.saturating_sub(2 + below));
    let selected = shown.app.inspector.inside.row.min(facts.neighbours.len().saturating_sub(1));
    let first = (selected + 1).saturating_sub(rows);
    let mut at = 2;
    if facts.neighbours.is_empty() {
        Row::of(1, "none were asked for", muted).draw(area, at, buf);
        at += 1;
    }
    for (index, (id, value)) in facts.neighbours.iter().enumerate().skip(first).take(rows) {
        let here = index == selected;
        let style = if here { theme.style(Role::Strong) } else { text_style };
        // From what a random token gets up to 1; without that every neighbour looks close.
        let share = f64::from((value - facts.median) / (1.0 - facts.median).max(1e-6));
        let row = table.row([
            Cell::of(shown.name(*id), style),
            Cell::of(cosine_text(*value, 3), style),
            Cell::Bar(share, theme.style(Role::ProbBar)),
        ]);
        row.marked(here, theme).draw(area, at, buf);
        at += 1;
    }
    let gap = u16::from(after > 1 && at + below < area.height);
    at + row::stack(&known[..after], area, at + gap, buf) + gap
}

/// What is known of the row, the most telling first.
fn known(shown: &Shown<'_>, width: u16) -> Vec<Row> {
    let (facts, theme) = (shown.facts, shown.theme);
    let (text_style, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let short = |value: f32| number::decimals(value.into(), 2);
    let mut rows =
        vec![Row::of(1, format!("{} is what a random token gets", cosine_text(facts.median, 2)), muted)];
    let (least, most) = facts.lengths;
    rows.push(Row::of(
        1,
        format!("length {}   in table {}–{}", short(facts.norm), short(least), short(most)),
        text_style,
    ));
    rows.push(Row::of(1, format!("values {}…{}", short(facts.values.0), short(facts.values.1)), text_style));
    if !facts.largest.is_empty() {
        let dims = facts.largest.iter().map(|(dim, value)| format!("{dim} {}", short(*value)));
        rows.push(Row::of(1, format!("largest dim {}", dims.collect::<Vec<_>>().join(", ")), text_style));
    }
    if let Some(asked) = &shown.app.inspector.embedding.arithmetic {
        rows.extend(asked.notes.iter().flat_map(|note| row::wrapped(note, 1, width, muted)));
    }
    let tied = if facts.tied {
        "tied: this model writes with the same table that it reads with"
    } else {
        "untied: it writes with another table"
    };
    rows.extend(row::wrapped(tied, 1, width, muted));
    rows
}

/// `.59`, `−.10`, `1`: a cosine with so many digits.
fn cosine_text(value: f32, digits: usize) -> String {
    let text = number::decimals(value.into(), digits);
    let whole = text.strip_suffix(&"0".repeat(digits)).and_then(|text| text.strip_suffix('.'));
    match whole {
        Some("1") => "1".into(),
        Some("−1") => "−1".into(),
        _ => text.replacen("0.", ".", 1),
    }
}

//! The draw: the last column laid out as a line from 0 to 1, and the number that fell on it.
//!
//! Invariant: tokens lie on the line in the order that the chain left them in; where that is not known only
//! the drawn one's place is shown.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Shown;
use crate::inspect::stages::{SamplerTrace, StageName};
use crate::theme::Role;
use crate::ui::widgets::text;

/// How far rounding may move an end.
const ROUNDING: f64 = 2e-3;

/// Where listed tokens lie on the line: index, from, to, in order; `None` where nothing was drawn by chance.
pub fn places(trace: &SamplerTrace) -> Option<Vec<(usize, f64, f64)>> {
    let drawn = trace.tokens.iter().position(|id| *id == trace.drawn)?;
    let (from, to) = trace.interval?;
    let last = trace.stages.last()?;
    let mut places = Vec::new();
    let mut end = 0.0;
    for (at, probability) in last.probabilities.iter().enumerate() {
        if let Some(probability) = probability {
            let start = end;
            end += f64::from(*probability);
            places.push((at, start, end.min(1.0)));
        }
    }
    let agrees = places
        .iter()
        .any(|(at, a, b)| *at == drawn && (a - from).abs() < ROUNDING && (b - to).abs() < ROUNDING);
    Some(if agrees { places } else { vec![(drawn, from, to)] })
}

/// Draws the line with its label and the names under it, or the note that stands for it.
pub fn draw(shown: &Shown<'_>, area: Rect, at: u16, buf: &mut Buffer) {
    let theme = shown.theme;
    if let Some(note) = words(shown) {
        let room = area.width.saturating_sub(2);
        for (line, row) in text::wrap(&note, room).iter().zip(at..at + 2) {
            text::put(buf, text::row(area, row, 1), line, theme.style(Role::Text));
        }
        return;
    }
    let labelled = area.height > 24;
    let left = if labelled { 12 } else { 1 };
    if labelled {
        text::put(buf, text::row(area, at, 1), "the draw", theme.style(Role::Text));
    }
    line(shown, text::row(area, at, left), buf);
    names(shown, text::row(area, at + 1, left), buf);
}

/// What is said where there is no line.
fn words(shown: &Shown<'_>) -> Option<String> {
    if let Some(note) = &shown.note {
        return Some(format!("! {note}"));
    }
    match shown.trace.stages.last().map(|stage| stage.name) {
        Some(StageName::Greedy) => {
            Some("greedy: the likeliest of what is left is taken; nothing is drawn by chance".into())
        }
        _ if shown.trace.interval.is_none() && shown.trying => {
            Some("the token that was drawn would have been thrown out".into())
        }
        _ => None,
    }
}

/// The cells of the line in a row.
fn span(at: Rect) -> u16 {
    at.width.saturating_sub(4)
}

fn cell(share: f64, cells: u16) -> u16 {
    ((share * f64::from(cells)) as u16).min(cells.saturating_sub(1))
}

/// Draws `0 ────▲────┼── 1`.
pub fn line(shown: &Shown<'_>, at: Rect, buf: &mut Buffer) {
    let (theme, cells) = (shown.theme, span(at));
    let (muted, ascii) = (theme.style(Role::Muted), theme.symbols.ascii);
    if let Some(note) = words(shown) {
        text::put(buf, at, &text::cut(&note, at.width), muted);
        return;
    }
    text::put(buf, at, "0", muted);
    text::put(buf, text::row(at, 0, 2), &theme.symbols.rule.repeat(usize::from(cells)), muted);
    text::put(buf, text::row(at, 0, 3 + cells), "1", muted);
    let ends = places(&shown.trace).unwrap_or_default();
    for share in ends.iter().flat_map(|(_, from, to)| [*from, *to]).filter(|s| (0.001..0.999).contains(s)) {
        text::put(buf, text::row(at, 0, 2 + cell(share, cells)), if ascii { "+" } else { "┼" }, muted);
    }
    if let Some(u) = shown.trace.u {
        let mark = if ascii { "^" } else { "▲" };
        text::put(buf, text::row(at, 0, 2 + cell(u, cells)), mark, theme.style(Role::TokenChosen));
    }
}

/// The names under the line: the number first, then each token where its stretch begins, if there is room.
fn names(shown: &Shown<'_>, at: Rect, buf: &mut Buffer) {
    let (theme, cells) = (shown.theme, span(at));
    let mut taken: Vec<(u16, u16)> = Vec::new();
    let mut put = |start: u16, words: &str, role: Role| {
        let start = start.min(cells.saturating_sub(text::width(words)));
        let end = start + text::width(words);
        if taken.iter().all(|(from, to)| end < *from || start > *to) {
            taken.push((start, end));
            text::put(buf, text::row(at, 0, 2 + start), words, theme.style(role));
        }
    };
    if let Some(u) = shown.trace.u {
        put(cell(u, cells), &format!("u {u:.4}"), Role::Text);
    }
    for (index, from, _) in places(&shown.trace).unwrap_or_default() {
        let drawn = shown.trace.tokens[index] == shown.trace.drawn;
        let role = if drawn { Role::TokenChosen } else { Role::Text };
        put(cell(from, cells), &text::cut(&shown.name(index), 16), role);
    }
}

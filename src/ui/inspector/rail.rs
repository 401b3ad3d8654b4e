//! The rail: the softmax station in three rows, over the composer of a narrow screen.
//!
//! Invariant: three slots in rank order at fixed columns; no bar of a slot can reach the next one, since the
//! second token has at most half of the probability and the third a third.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::live::Live;
use super::sampler;
use crate::app::{App, Station};
use crate::theme::{Role, Theme};
use crate::ui::rows;
use crate::ui::widgets::{bar, chart, number, text};

/// Cells of a bar of 100 %.
const BAR: u16 = 8;
/// Longest bar of each slot.
const SLOT_BARS: [u16; 3] = [8, 4, 3];
/// Columns kept for `‹others› 4.91`.
const OTHERS: u16 = 14;

/// Draws the rail.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    if app.inspector.station == Station::Sampler {
        return sampler::rail(app, theme, area, buf);
    }
    let head = text::row(area, 0, 0);
    rows::title(buf, theme, head, "Softmax", "", false);
    let Some(live) = Live::of(app) else {
        let words = "the likeliest next tokens stand here while the model writes";
        text::put(buf, text::row(area, 1, 1), words, theme.style(Role::Muted));
        return;
    };
    figures(theme, &live, head, buf);
    for slot in 0..3 {
        candidate(theme, &live, text::row(area, 1, 0), slot, buf);
    }
    others(theme, &live, text::row(area, 1, 0), buf);
    strip(theme, &live, text::row(area, 2, 0), buf);
}

fn figures(theme: &Theme, live: &Live<'_>, at: Rect, buf: &mut Buffer) {
    let step = &live.step.step;
    let mut parts = vec![
        format!("uncertainty {} bit", number::decimals(step.entropy_bits().into(), 2)),
        format!("surprise {} bit", number::decimals(step.surprisal_bits().into(), 2)),
        format!("rank {}", number::rank(step.rank)),
    ];
    if let Some(mark) = live.odds.mark() {
        // Of a part of the vocabulary there is no uncertainty.
        parts[0] = mark;
    }
    while text::width(&parts.join("   ")) + 15 > at.width && parts.len() > 1 {
        parts.remove(0);
    }
    let words = format!(" {} ", parts.join("   "));
    let until = Rect { width: at.width.saturating_sub(1), ..at };
    text::put_right(buf, until, &words, theme.style(Role::Text));
}

/// Where a slot begins and how many columns it has; without bars where these have no room.
fn slot_columns(width: u16, slot: u16) -> (u16, u16, bool) {
    if width < 76 {
        let each = width.saturating_sub(OTHERS) / 3;
        return (1 + slot * each, each, false);
    }
    let start = |slot: u16| 1 + slot * (width - 33) / 2;
    let end = if slot == 2 { width - OTHERS + 1 } else { start(slot + 1) };
    (start(slot), end - start(slot), true)
}

fn candidate(theme: &Theme, live: &Live<'_>, at: Rect, slot: u16, buf: &mut Buffer) {
    let step = &live.step.step;
    let index = usize::from(slot);
    let Some(candidate) = step.candidates.get(index) else { return };
    let (start, columns, bars) = slot_columns(at.width, slot);
    let probability = f64::from(candidate.logprob).exp();
    let figure = number::percent(probability);
    let bar_room = if bars { SLOT_BARS[index] + 1 } else { 0 };
    let room = columns.saturating_sub(2 + 1 + text::width(&figure) + bar_room + 1);
    let name = text::cut(&live.candidate(index, &theme.symbols), room);
    let chosen = step.chosen_index() == Some(index);
    let (mark, style) = if chosen {
        (theme.symbols.drawn, theme.style(Role::TokenChosen).add_modifier(Modifier::BOLD))
    } else {
        (" ", theme.style(Role::Text))
    };
    let words = format!("{mark} {name} {figure} ");
    let taken = text::put(buf, text::row(at, 0, start), &words, style);
    if bars {
        let style = if chosen { style } else { theme.style(Role::ProbBar) };
        bar::draw(buf, text::row(at, 0, start + taken), probability, BAR, &theme.symbols.bar, style);
    }
}

fn others(theme: &Theme, live: &Live<'_>, at: Rect, buf: &mut Buffer) {
    let listed = live.step.step.chosen_index().is_some_and(|index| index < 3);
    let figure = number::percent(live.others(3));
    let (text, role) = if listed {
        (format!("‹others› {figure}"), Role::Muted)
    } else {
        (format!("!‹others› {figure}"), Role::Warn)
    };
    text::put_right(buf, at, &text, theme.style(role));
}

fn strip(theme: &Theme, live: &Live<'_>, at: Rect, buf: &mut Buffer) {
    let label = "surprise of each token, 0–8 bit";
    text::put_right(buf, at, label, theme.style(Role::Muted));
    let room = Rect { width: at.width.saturating_sub(text::width(label) + 3), ..text::row(at, 0, 1) };
    let values = live.surprises.iter().copied();
    chart::draw(buf, room, values, 8.0, &theme.symbols.column, theme.style(Role::ProbBar));
}

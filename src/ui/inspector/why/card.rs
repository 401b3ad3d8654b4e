//! The card of the why station: the odds as they were, with parts off, and what changed.
//!
//! Invariant: tokens are matched by id; a probability that is not among the kept ones is not shown as 0.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::own::{self, Row};
use crate::app::{App, change_words};
use crate::command::Command;
use crate::theme::{Role, Theme};
use crate::token::Candidate;
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::text;

/// Rows with everything.
pub const ROWS: u16 = 13;
/// Tokens of a list.
const TOKENS: usize = 8;

/// Draws it, or how to get one.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let muted = theme.style(Role::Muted);
    if app.inspector.why.tried.is_empty() {
        let key = |command| app.keymap.shown(command);
        let words = [
            format!("{} off here", key(Command::SwitchOff)),
            format!("{} everywhere", key(Command::SwitchOffEverywhere)),
            format!("{} patch", key(Command::Patch)),
            format!(
                "{} {}",
                key(Command::WhyAskOff),
                if app.inspector.why.asks_off { "ask one by one" } else { "ask for all of off" }
            ),
            format!("{} blocks, heads, neurons", key(Command::SortParts)),
        ];
        own::stack(&own::packed(&words, 1, area.width, muted), area, u16::from(area.height > 2), buf);
        return;
    }
    let said = change_words(&app.inspector.why.tried, area.width >= INSPECTOR.0);
    let Some(card) = app.display().shown_card() else {
        let words = format!("{said}: {}", own::missing(app));
        own::stack(&own::wrapped(&words, 1, area.width, theme.style(Role::Text)), area, 0, buf);
        return;
    };
    let trace = &card.trace;
    let title = text::cut(&said, area.width.saturating_sub(16));
    let kl = trace.kl_from_original.map_or_else(String::new, |kl| format!("KL {kl:.2} nat"));
    own::subject(theme, area, &[(title.as_str(), Role::Strong)], &kl, buf);
    let Some((before, _)) = &trace.original else { return };
    table(app, theme, before, &trace.next, Rect { y: area.y + 1, height: area.height - 1, ..area }, buf);
    if area.height >= ROWS {
        let key = |command| app.keymap.shown(command);
        let bits = trace.entropy / std::f32::consts::LN_2;
        let (undo, pin, keep) = (key(Command::UndoChange), key(Command::WhyPin), key(Command::KeepOff));
        let words = format!("uncertainty H now {bits:.2} bit   {undo} undo   {pin} pin   {keep} keep off");
        Row::of(1, text::cut(&words, area.width.saturating_sub(2)), muted).draw(area, area.height - 1, buf);
    }
}

fn table(app: &App, theme: &Theme, before: &[Candidate], after: &[Candidate], area: Rect, buf: &mut Buffer) {
    let muted = theme.style(Role::Muted);
    let full = area.width >= INSPECTOR.0;
    let width: u16 = 15;
    let heads = Row::of(1, "before", muted)
        .until(width, "%", muted)
        .and(width + 2, "after", muted)
        .until(2 * width + 1, "%", muted)
        .and(2 * width + 3, if full { "difference" } else { "change" }, muted);
    let heads = if full { heads.and(50, "points 0–20", muted).until(66, "rank", muted) } else { heads };
    heads.draw(area, 0, buf);
    let share = |list: &[Candidate], id| list.iter().find(|c| c.id == id).map(|c| 100.0 * c.logprob.exp());
    // What is in one list alone had at most the other's least: the change is at least so large.
    let least = |list: &[Candidate]| list.iter().map(|c| 100.0 * c.logprob.exp()).fold(100.0, f32::min);
    let (least_before, least_after) = (least(before), least(after));
    let change = |id| match (share(before, id), share(after, id)) {
        (Some(before), Some(after)) => (after - before, ""),
        (Some(before), None) => ((least_after - before).min(0.0), "≤"),
        (None, Some(after)) => ((after - least_before).max(0.0), "≥"),
        (None, None) => (0.0, ""),
    };
    let mut changes: Vec<(crate::token::TokenId, (f32, &str))> =
        before.iter().chain(after).map(|c| (c.id, change(c.id))).collect();
    changes.sort_by_key(|(id, _)| id.0);
    changes.dedup_by_key(|(id, _)| id.0);
    changes.sort_by(|a, b| b.1.0.abs().total_cmp(&a.1.0.abs()));
    let rows = TOKENS.min(usize::from(area.height.saturating_sub(2)));
    for index in 0..rows {
        let mut row = Row::default();
        if let Some(one) = before.get(index) {
            row = listed(app, theme, row, *one, 1, width);
        }
        if let Some(one) = after.get(index) {
            row = listed(app, theme, row, *one, width + 2, 2 * width + 1);
        }
        if let Some((id, (change, bound))) = changes.get(index) {
            let at = 2 * width + 3;
            let name = text::cut(&own::name(app, theme, *id), if full { 8 } else { 5 });
            let end = at + if full { 16 } else { 12 };
            row = row.and(at, name, theme.style(Role::Text)).until(
                end,
                format!("{bound}{change:+.1}").replace('-', "−"),
                theme.style(Role::Text),
            );
            if full {
                let ranks = format!("{}→{}", rank(before, *id), rank(after, *id));
                row = points(row, end + 1, *change, theme).until(66, ranks, muted);
            }
        }
        row.draw(area, index as u16 + 1, buf);
    }
    if area.height >= ROWS - 2 {
        others(theme, (before, after), (rows, width), area, buf);
    }
}

/// Points that a bar of differences spans, and its cells.
const POINTS: (f32, u16) = (20.0, 9);

/// The length of a difference: `█` for more, `▒` for less, `▸` beyond the scale.
fn points(row: Row, at: u16, change: f32, theme: &Theme) -> Row {
    let (glyph, role) = if change >= 0.0 { ("█", Role::TokenChosen) } else { ("▒", Role::RivalBar) };
    let share = (change.abs() / POINTS.0).min(1.0);
    let filled = (share * f32::from(POINTS.1)).round() as usize;
    let row = row.and(at, glyph.repeat(filled), theme.style(role));
    if change.abs() > POINTS.0 { row.and(at + POINTS.1 - 1, "▸", theme.style(role)) } else { row }
}

/// A token's rank in a list of the likeliest.
fn rank(list: &[Candidate], id: crate::token::TokenId) -> String {
    let at = list.iter().position(|one| one.id == id);
    at.map_or_else(|| format!(">{}", list.len()), |at| (at + 1).to_string())
}

/// What is left for the tokens under the listed ones.
fn others(
    theme: &Theme,
    (before, after): (&[Candidate], &[Candidate]),
    (rows, width): (usize, u16),
    area: Rect,
    buf: &mut Buffer,
) {
    let rest = |list: &[Candidate]| {
        let listed: f32 = list.iter().take(rows).map(|one| one.logprob.exp()).sum();
        100.0 * (1.0 - listed).clamp(0.0, 1.0)
    };
    let muted = theme.style(Role::Muted);
    let (before, after) = (rest(before), rest(after));
    let at = 2 * width + 3;
    Row::of(1, "‹others›", muted)
        .until(width, format!("{before:.2}"), muted)
        .and(width + 2, "‹others›", muted)
        .until(2 * width + 1, format!("{after:.2}"), muted)
        .until(
            at + if area.width >= INSPECTOR.0 { 16 } else { 12 },
            format!("{:+.1}", after - before).replace('-', "−"),
            muted,
        )
        .draw(area, rows as u16 + 1, buf);
}

fn listed(app: &App, theme: &Theme, row: Row, one: Candidate, at: u16, end: u16) -> Row {
    let chosen = app.display().shown_step().and_then(|shown| shown.step.id) == Some(one.id);
    let role = if chosen { Role::TokenChosen } else { Role::Text };
    let name = text::cut(&own::name(app, theme, one.id), end.saturating_sub(at + 7));
    row.and(at, name, theme.style(role)).until(
        end,
        format!("{:.2}", 100.0 * one.logprob.exp()),
        theme.style(role),
    )
}

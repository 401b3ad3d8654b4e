//! The card of the why station: the odds as they were, with parts off, and what changed.
//!
//! Invariant: tokens are matched by id; a probability that is not among the kept ones is not shown as 0.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, change_words};
use crate::command::Command;
use crate::theme::{Role, Theme};
use crate::token::Candidate;
use crate::ui::inspector::frame;
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::table::{Cell, Column, Table};
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
        row::stack(&row::packed(&words, 1, area.width, muted), area, u16::from(area.height > 2), buf);
        return;
    }
    let said = change_words(&app.inspector.why.tried, area.width >= INSPECTOR.0);
    let Some(card) = app.display().shown_card() else {
        let words = format!("{said}: {}", frame::missing(app));
        row::stack(&row::wrapped(&words, 1, area.width, theme.style(Role::Text)), area, 0, buf);
        return;
    };
    let trace = &card.trace;
    let title = text::cut(&said, area.width.saturating_sub(16));
    let kl = trace.kl_from_original.map_or_else(String::new, |kl| format!("KL {kl:.2} nat"));
    frame::subject(theme, area, &[(title.as_str(), Role::Strong)], &kl, buf);
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
    let (style, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let full = area.width >= INSPECTOR.0;
    let columns = [
        Column::left("before", 1, 8),
        Column::right("%", 15),
        Column::left("after", 17, 8),
        Column::right("%", 31),
        Column::left(if full { "difference" } else { "change" }, 33, if full { 8 } else { 5 }),
        Column::right("", if full { 49 } else { 45 }),
        Column::left("points 0–20", 50, POINTS.1).when(full),
        Column::right("rank", 66).when(full),
    ];
    let table = Table::of(theme, columns);
    table.heads().draw(area, 0, buf);
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
        let [before_name, before_share] = listed(app, theme, before.get(index));
        let [after_name, after_share] = listed(app, theme, after.get(index));
        let most = changes.get(index);
        let change = most.map(|(_, (change, bound))| format!("{bound}{}", by(*change)));
        let ranks = most.map(|(id, _)| format!("{}→{}", rank(before, *id), rank(after, *id)));
        let row = table.row([
            before_name,
            before_share,
            after_name,
            after_share,
            Cell::maybe(most.map(|(id, _)| frame::name(app, theme, *id)), style),
            Cell::maybe(change, style),
            most.map_or(Cell::Empty, |(_, (change, _))| points(*change, theme)),
            Cell::maybe(ranks, muted),
        ]);
        row.draw(area, index as u16 + 1, buf);
    }
    if area.height >= ROWS - 2 {
        let [before, after] = [before, after].map(|list| {
            let listed: f32 = list.iter().take(rows).map(|one| one.logprob.exp()).sum();
            100.0 * (1.0 - listed).clamp(0.0, 1.0)
        });
        // What is left for the tokens under the listed ones.
        let others = || Cell::of("‹others›", muted);
        let row = table.row([
            others(),
            Cell::of(format!("{before:.2}"), muted),
            others(),
            Cell::of(format!("{after:.2}"), muted),
            Cell::Empty,
            Cell::of(by(after - before), muted),
            Cell::Empty,
            Cell::Empty,
        ]);
        row.draw(area, rows as u16 + 1, buf);
    }
}

/// `+1.2`, `−0.4`.
fn by(change: f32) -> String {
    format!("{change:+.1}").replace('-', "−")
}

/// Points that a bar of differences spans, and its cells.
const POINTS: (f32, u16) = (20.0, 9);

/// The length of a difference: `█` for more, `▒` for less, `▸` beyond the scale.
fn points(change: f32, theme: &Theme) -> Cell {
    let (glyph, role) = if change >= 0.0 { ("█", Role::TokenChosen) } else { ("▒", Role::RivalBar) };
    let beyond = change.abs() > POINTS.0;
    let share = (change.abs() / POINTS.0).min(1.0);
    let filled = (share * f32::from(POINTS.1)).round() as usize - usize::from(beyond);
    Cell::of(glyph.repeat(filled) + if beyond { "▸" } else { "" }, theme.style(role))
}

/// A token's rank in a list of the likeliest.
fn rank(list: &[Candidate], id: crate::token::TokenId) -> String {
    let at = list.iter().position(|one| one.id == id);
    at.map_or_else(|| format!(">{}", list.len()), |at| (at + 1).to_string())
}

/// A token of a list and its share.
fn listed(app: &App, theme: &Theme, one: Option<&Candidate>) -> [Cell; 2] {
    let Some(one) = one else { return [Cell::Empty, Cell::Empty] };
    let chosen = app.display().shown_step().and_then(|shown| shown.step.id) == Some(one.id);
    let style = theme.style(if chosen { Role::TokenChosen } else { Role::Text });
    let name = text::cut(&frame::name(app, theme, one.id), 7);
    [Cell::of(name, style), Cell::of(format!("{:.2}", 100.0 * one.logprob.exp()), style)]
}

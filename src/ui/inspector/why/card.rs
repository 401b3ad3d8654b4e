//! The card of the why station: the odds as they were, with parts off, and what changed.
//!
//! Invariant: tokens are matched by id; a probability that is not among the kept ones is not shown as 0.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::own::{self, Row, Signed};
use crate::app::{App, part_name};
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
    let inside = &app.inspector.inside;
    let muted = theme.style(Role::Muted);
    if inside.off.is_empty() {
        let keys = [
            (Command::SwitchOff, "switches the selected part off here"),
            (Command::SwitchOffEverywhere, "everywhere"),
        ];
        let words = keys.map(|(command, does)| format!("{} {does}", app.keymap.shown(command))).join(", ");
        own::stack(&own::wrapped(&words, 1, area.width, muted), area, u16::from(area.height > 2), buf);
        return;
    }
    let names: Vec<String> = inside.off.iter().map(|part| part_name(*part)).collect();
    let place = match (inside.everywhere, area.width >= INSPECTOR.0) {
        (true, true) => "at every position",
        (true, false) => "everywhere",
        (false, true) => "at this position only",
        (false, false) => "here",
    };
    let Some(card) = app.shown_card() else {
        let words = format!("{} off {place}: {}", names.join(", "), own::missing(app));
        own::stack(&own::wrapped(&words, 1, area.width, theme.style(Role::Text)), area, 0, buf);
        return;
    };
    let trace = &card.trace;
    let title = format!("{} off {place}", names.join(", "));
    let kl = trace.kl_from_original.map_or_else(String::new, |kl| format!("KL {kl:.2} nat"));
    own::subject(theme, area, &[(title.as_str(), Role::Strong)], &kl, buf);
    let Some((before, _)) = &trace.original else { return };
    table(app, theme, before, &trace.next, Rect { y: area.y + 1, height: area.height - 1, ..area }, buf);
    if area.height >= ROWS {
        let keep = app.keymap.shown(Command::KeepOff);
        let words = format!(
            "uncertainty now {:.2} bit   {keep} keeps it off",
            trace.entropy / std::f32::consts::LN_2
        );
        Row::of(1, words, muted).draw(area, area.height - 1, buf);
    }
}

fn table(app: &App, theme: &Theme, before: &[Candidate], after: &[Candidate], area: Rect, buf: &mut Buffer) {
    let muted = theme.style(Role::Muted);
    let full = area.width >= INSPECTOR.0;
    let width: u16 = if full { 18 } else { 15 };
    let heads = Row::of(1, "before", muted)
        .until(width, "%", muted)
        .and(width + 2, "after", muted)
        .until(2 * width + 1, "%", muted)
        .and(2 * width + 3, "change", muted);
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
    let bars = Signed { low: -20.0, high: 20.0, cells: 13 };
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
            let name = text::cut(&own::name(app, theme, *id), if full { 9 } else { 5 });
            let end = at + if full { 17 } else { 12 };
            row = row.and(at, name, theme.style(Role::Text)).until(
                end,
                format!("{bound}{change:+.1}").replace('-', "−"),
                theme.style(Role::Text),
            );
            if full {
                row = bars.row(row, end + 1, *change, theme);
            }
        }
        row.draw(area, index as u16 + 1, buf);
    }
}

fn listed(app: &App, theme: &Theme, row: Row, one: Candidate, at: u16, end: u16) -> Row {
    let chosen = app.shown_step().and_then(|shown| shown.step.id) == Some(one.id);
    let role = if chosen { Role::TokenChosen } else { Role::Text };
    let name = text::cut(&own::name(app, theme, one.id), end.saturating_sub(at + 7));
    row.and(at, name, theme.style(role)).until(
        end,
        format!("{:.2}", 100.0 * one.logprob.exp()),
        theme.style(role),
    )
}

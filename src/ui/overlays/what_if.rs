//! A message changed on trial: what became of the replies' tokens, beside the transcript that is inked by it.
//!
//! Invariant: before and after were read in the same way; a bit halves or doubles the odds, and the bars' scale is
//! ±4 bit whatever the data.

use ratatui::layout::Rect;

use super::{Canvas, Draw, body};
use crate::app::{App, Change, Keys, Origin, RereadReply, Status, TurnToken, WhatIf, WhatIfPanel};
use crate::chat::Role as Speaker;
use crate::command::Command;
use crate::theme::{Role, Theme};
use crate::ui::widgets::row::Signed;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text, token};

/// Changes that rounding makes in any case, bits.
const HARDLY: f64 = 0.5;

impl Draw for WhatIfPanel {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let app = canvas.app;
        let what_if = app.what_if.as_deref()?;
        let inside = canvas.docked("What if", "nothing is sent");
        let mut at = edit(canvas, what_if, inside);
        at = verdict(canvas, what_if, inside, at);
        let key = Keys(&app.keymap);
        let offered = vec![
            (key.list(), "token"),
            (key.of(Command::WhatIfSend), "send as a version"),
            (key.of(Command::WhatIf), "edit on"),
            (key.of(Command::Escape), "leave"),
        ];
        canvas.keys(inside, offered);
        if !what_if.is_done() {
            return None;
        }
        let roomy = inside.height > 14;
        let list = body(inside, at + u16::from(roomy), 2 + u16::from(roomy));
        let changes = what_if.changes();
        table(canvas, &changes, what_if.selected, list);
        if let Some(change) = changes.get(what_if.selected) {
            let words = instead(app, canvas.theme, what_if, change);
            canvas.cell(
                text::row(inside, inside.height.saturating_sub(2), 0),
                1,
                inside.width,
                &words,
                Role::Muted,
            );
        }
        None
    }
}

/// What was changed; gives the next row.
fn edit(canvas: &mut Canvas<'_>, what_if: &WhatIf, inside: Rect) -> u16 {
    let theme = canvas.theme;
    let whose = match what_if.role {
        Speaker::User => "your message",
        Speaker::Assistant => "the reply",
        Speaker::System => "the system prompt",
    };
    let (old, new) = what_if.edit();
    let line = |words: &str| token::one_line(words.trim(), &theme.symbols);
    let room = inside.width.saturating_sub(4);
    let rows = [("−", line(old), Role::TokenCut), ("+", line(new), Role::TokenChosen)];
    let rows = rows.map(|(sign, words, role)| {
        if words.is_empty() { (sign, "nothing".to_owned(), Role::Muted) } else { (sign, words, role) }
    });
    canvas.cell(inside, 1, inside.width, &format!("in {whose}"), Role::Muted);
    for (row, (sign, words, role)) in (1..).zip(rows) {
        let at = text::row(inside, row, 0);
        canvas.cell(at, 1, 1, sign, Role::Strong);
        canvas.cell(at, 3, room, &text::cut(&words, room), role);
    }
    3
}

/// What became of the replies, in a sentence; gives the next row.
fn verdict(canvas: &mut Canvas<'_>, what_if: &WhatIf, inside: Rect, at: u16) -> u16 {
    let at = at + u16::from(inside.height > 14);
    if let Some(why) = canvas.app.what_if.as_ref().and_then(|what_if| what_if.missing(canvas.app.view())) {
        return lines(canvas, &why, Role::Warn, inside, at);
    }
    if !what_if.is_done() {
        let read = what_if.replies.iter().filter(|reply| reply.after.is_some()).count();
        let which = match what_if.replies.len() {
            1 => "the reply".to_owned(),
            of => format!("reply {} of {of}", read + 1),
        };
        let far = match what_if.next().map(|next| what_if.reading.status(&next)) {
            Some(Status::Reading(Some((done, of)))) => {
                format!(": {} of {} tokens", number::grouped(done.into()), number::grouped(of.into()))
            }
            _ => "…".to_owned(),
        };
        return lines(canvas, &format!("the model reads {which} again{far}"), Role::Text, inside, at);
    }
    let bits = |replies: &[RereadReply]| replies.iter().filter_map(RereadReply::bits).sum::<f64>();
    let next = what_if.replies.first().and_then(RereadReply::bits).unwrap_or_default();
    let mut at = lines(canvas, &sentence(next), Role::Strong, inside, at);
    if what_if.replies.len() > 1 {
        let all = number::signed(bits(&what_if.replies));
        let words = format!("all {} replies after it together: {all} bit", what_if.replies.len());
        at = lines(canvas, &words, Role::Text, inside, at);
    }
    if canvas.app.config.inspector.captions && inside.height > 14 {
        let words = "Nothing new was written: the same words were read again after your edit. Each bit halves or \
                     doubles the odds.";
        at = lines(canvas, words, Role::Muted, inside, at);
    }
    at
}

/// How much likelier a reply became, in words.
fn sentence(bits: f64) -> String {
    let size = number::decimals(bits.abs(), 1);
    match bits {
        bits if bits.is_infinite() => "The reply became impossible.".to_owned(),
        bits if bits.abs() < HARDLY => format!("The reply hardly changed: {} bit.", number::signed(bits)),
        bits if bits < 0.0 => format!("The reply became {size} bit less likely."),
        _ => format!("The reply became {size} bit more likely."),
    }
}

pub(super) fn lines(canvas: &mut Canvas<'_>, words: &str, role: Role, inside: Rect, at: u16) -> u16 {
    let mut at = at;
    for line in text::wrap(&crate::sanitize::for_display(words), inside.width.saturating_sub(2)) {
        if at >= inside.height {
            break;
        }
        canvas.cell(text::row(inside, at, 0), 1, inside.width, &line, role);
        at += 1;
    }
    at
}

fn table(canvas: &mut Canvas<'_>, changes: &[Change], selected: usize, area: Rect) {
    let (app, theme) = (canvas.app, canvas.theme);
    let name_cells = if area.width >= 58 { 16 } else { 10 };
    let change = name_cells + 26;
    let bar = Signed { low: -4.0, high: 4.0, cells: area.width.saturating_sub(change + 2).min(17) };
    let columns = [
        Column::left("token", 3, name_cells - 2),
        Column::right("before %", name_cells + 9),
        Column::right("after %", name_cells + 17),
        Column::right("bit", change),
        Column::bar(("−4", "+4"), change + 1, bar.cells).when(bar.cells >= 9),
    ];
    let table = Table::of(theme, columns);
    let heads = table.heads();
    let middle = table.place(4).map(|(at, cells)| at + cells / 2);
    let heads = match middle {
        Some(at) => heads.and(at, "0", theme.style(Role::Muted)),
        None => heads,
    };
    heads.draw(area, 0, canvas.buf);
    for (index, at, selected) in canvas.list(body(area, 1, 0), changes.len(), selected) {
        let change = &changes[index];
        let name = app.view().token_at(change.at).map_or_else(String::new, |token| name(app, theme, &token));
        let base = theme.style(if selected { Role::Select } else { Role::Text });
        let style = base.patch(theme.style(Role::Text));
        let percent = |logprob: f32| Cell::of(number::percent(f64::from(logprob).exp()), style);
        let row = table.row([
            Cell::of(name, style),
            percent(change.before),
            percent(change.after),
            Cell::of(number::signed(change.bits()), style),
            Cell::Signed(change.bits() as f32, bar),
        ]);
        row.draw(at, 0, canvas.buf);
    }
}

fn name(app: &App, theme: &Theme, token: &TurnToken<'_>) -> String {
    let (Origin::Written { run, .. } | Origin::Scored { run, .. }) = token.origin;
    let vocabulary = app.talk.runs.get(&run).and_then(|run| run.vocabulary.as_ref());
    let vocabulary = vocabulary.and_then(|hash| app.talk.vocabularies.get(hash)).map(AsRef::as_ref);
    token::written(token.step.id, &token.step.bytes, vocabulary, &theme.symbols)
}

/// What the model would rather have written in the selected token's place.
fn instead(app: &App, theme: &Theme, what_if: &WhatIf, change: &Change) -> String {
    let reply = what_if.replies.iter().find(|reply| reply.turn == change.at.turn);
    let step = reply.and_then(|reply| reply.after.as_ref()?.steps.get(change.at.index));
    let Some(step) = step else { return String::new() };
    let Some(likeliest) = step.candidates.first() else { return String::new() };
    let share = number::percent(f64::from(likeliest.logprob).exp());
    if step.id == Some(likeliest.id) {
        return format!("still the likeliest token here, with {share} %");
    }
    let vocabulary = app.view().ready().and_then(|loaded| app.talk.vocabularies.get(&loaded.vocabulary));
    let name = token::named(likeliest.id, vocabulary.map(AsRef::as_ref), &theme.symbols);
    format!("now rank {} here; likeliest is {name} with {share} %", number::rank(step.rank))
}

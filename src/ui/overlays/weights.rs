//! What each sentence of the prompt weighs for a reply, beside the transcript that is inked by it.
//!
//! Invariant: a weight is how many bits of the reply's log-probability go with the sentence; the scale is ±16 bit for
//! a whole reply and ±4 bit for one token, whatever the data. The cost is said before anything is read.

use ratatui::layout::Rect;

use super::what_if::lines;
use super::{Canvas, Draw, body};
use crate::app::{App, Keys, Part, TokenCursor, Weights, WeightsPanel};
use crate::chat::Role as Speaker;
use crate::command::Command;
use crate::theme::{Role, Theme};
use crate::ui::widgets::row::Signed;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, token};

/// Rows for the whole text of the selected sentence.
const WHOLE: u16 = 3;

impl Draw for WeightsPanel {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let app = canvas.app;
        let weights = app.weights.as_deref()?;
        let what = if weights.by_message { "messages" } else { "sentences" };
        let far = match (weights.started, weights.is_done()) {
            (false, _) => {
                number::counted(weights.parts.len(), if weights.by_message { "message" } else { "sentence" })
            }
            (true, false) => format!("{} of {} read", weights.done(), weights.parts.len()),
            (true, true) => String::new(),
        };
        let inside = canvas.docked(&format!("What the {what} weigh"), &far);
        let at = subject(canvas, weights, inside);
        if weights.started {
            keys_of_list(canvas, weights, inside);
            list(canvas, weights, body(inside, at, 1), inside);
        } else {
            let other = if weights.by_message { "by sentence" } else { "by message" };
            let key = Keys(&app.keymap);
            let offered = vec![
                (key.of(Command::Choose), "read"),
                (key.of(Command::WeightsGrain), other),
                (key.of(Command::Escape), "leave"),
            ];
            canvas.keys(inside, offered);
        }
        None
    }
}

fn keys_of_list(canvas: &mut Canvas<'_>, weights: &Weights, inside: Rect) {
    let key = Keys(&canvas.app.keymap);
    let mut offered = vec![
        (key.list(), "sentence"),
        (key.together(&[Command::TokenPrevious, Command::TokenNext]), "one token"),
        (key.of(Command::WhatIf), "edit it out"),
    ];
    if canvas.app.weights.as_ref().and_then(|weights| weights.token(&canvas.app.transcript)).is_some() {
        offered.insert(2, (key.of(Command::WeightsWhole), "whole reply"));
    }
    offered.push((key.of(Command::WeightsDrop), if weights.is_done() { "drop" } else { "stop" }));
    offered.push((key.of(Command::Escape), "close"));
    canvas.keys(inside, offered);
}

/// What the list is about, and what it costs; gives the next row.
fn subject(canvas: &mut Canvas<'_>, weights: &Weights, inside: Rect) -> u16 {
    let (app, roomy) = (canvas.app, inside.height > 14);
    let about = match app.weights.as_ref().and_then(|weights| weights.token(&app.transcript)) {
        Some(index) => format!("for {} alone", token_name(app, canvas.theme, weights, index)),
        None => match &weights.whole {
            Some(whole) => format!(
                "for the whole reply: {}, {} bit",
                number::counted(whole.steps.len(), "token"),
                number::decimals(-whole.logprob() / std::f64::consts::LN_2, 1)
            ),
            None => "for the whole reply".to_owned(),
        },
    };
    let mut at = lines(canvas, &about, Role::Strong, inside, 0);
    if app.config.inspector.captions && roomy {
        let words = "One sentence is left out at a time, and the same reply is read again after the rest. Its weight \
                     is how much less likely the reply then is: + it led to these words, − it spoke against them.";
        at = lines(canvas, words, Role::Muted, inside, at);
    }
    if let Some(why) = app.weights.as_ref().and_then(|weights| weights.missing(app.view())) {
        return lines(canvas, &why, Role::Warn, inside, at);
    }
    if weights.parts.is_empty() {
        return lines(canvas, "There is nothing before this reply to leave out.", Role::Text, inside, at);
    }
    if !weights.is_done() {
        at =
            lines(canvas, &cost(app, weights), Role::Text, inside, at + u16::from(!weights.started && roomy));
    }
    at + u16::from(roomy)
}

/// What is still to be read, and about how long that takes.
fn cost(app: &App, weights: &Weights) -> String {
    let (passes, tokens) = weights.left();
    let (read, ms) = weights.spent;
    let speed =
        if read > 0 && ms > 0.0 { Some(read as f64 / ms) } else { app.view().reading_speed(weights.reply) };
    let time =
        speed.map_or_else(String::new, |per_ms| format!(", about {}", duration(tokens as f64 / per_ms)));
    let what = if passes == 1 { "1 pass".to_owned() } else { format!("{passes} passes") };
    let all = number::grouped(tokens as u64);
    match (weights.started, app.talk.run.is_some()) {
        (true, true) => format!("{what} left; they wait for the reply"),
        (true, false) => format!("{what} left, {all} tokens in all{time}"),
        (false, _) => format!(
            "That takes {what}, {all} tokens in all{time}. It goes on in the background and gives way to everything \
             else."
        ),
    }
}

fn duration(ms: f64) -> String {
    let seconds = (ms / 1000.0).max(1.0);
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.0} h", seconds / 3600.0),
    }
}

fn token_name(app: &App, theme: &Theme, weights: &Weights, index: usize) -> String {
    let step = app.view().step_at(TokenCursor { turn: weights.reply, index });
    let Some(step) = step else { return "the token".into() };
    let vocabulary = app.view().ready().and_then(|loaded| app.talk.vocabularies.get(&loaded.vocabulary));
    token::written(step.id, &step.bytes, vocabulary.map(AsRef::as_ref), &theme.symbols)
}

fn list(canvas: &mut Canvas<'_>, weights: &Weights, area: Rect, inside: Rect) {
    let (app, theme) = (canvas.app, canvas.theme);
    let alone = weights.token(&app.transcript).is_some();
    let limit = if alone { 4.0 } else { 16.0 };
    let scale = Signed { low: -limit, high: limit, cells: if inside.width >= 58 { 17 } else { 11 } };
    let words = 12 + scale.cells;
    let columns = [
        Column::right("bit", 10),
        Column::bar((format!("−{limit}"), format!("+{limit}")), 11, scale.cells),
        Column::left("sentence", words, area.width.saturating_sub(words)),
    ];
    let table = Table::of(theme, columns);
    table.heads().and(11 + scale.cells / 2, "0", theme.style(Role::Muted)).draw(area, 0, canvas.buf);
    let roomy = inside.height > 14;
    let below = if roomy { WHOLE + 1 } else { 0 };
    let rows = body(area, 1, below);
    let weighed = weights.ranked(weights.token(&app.transcript));
    for (index, at, selected) in canvas.list(rows, weighed.len(), weights.selected) {
        let (part, bits) = (&weights.parts[weighed[index].0], weighed[index].1);
        let base = theme.style(if selected { Role::Select } else { Role::Text });
        let style = base.patch(theme.style(if bits.is_some() { Role::Text } else { Role::Muted }));
        let shown = format!("{}{}", speaker(part), token::one_line(&part.text, &theme.symbols));
        let row = table.row([
            Cell::of(bits.map_or_else(|| "·".to_owned(), number::signed), style),
            bits.map_or(Cell::Empty, |bits| Cell::Signed(bits as f32, scale)),
            Cell::of(shown, style),
        ]);
        row.draw(at, 0, canvas.buf);
    }
    let selected = weighed.get(weights.selected).map(|(at, _)| &weights.parts[*at]);
    if let Some(part) = selected.filter(|_| roomy) {
        whole_text(canvas, part, Rect { y: area.bottom().saturating_sub(WHOLE), height: WHOLE, ..area });
    }
}

/// The selected sentence, as much of it as there is room for.
fn whole_text(canvas: &mut Canvas<'_>, part: &Part, area: Rect) {
    let shown = token::one_line(&part.text, &canvas.theme.symbols);
    let said = match part.role {
        Speaker::User => format!("You: {shown}"),
        Speaker::Assistant => format!("Reply: {shown}"),
        Speaker::System => format!("System: {shown}"),
    };
    lines(canvas, &said, Role::Muted, area, 0);
}

/// Who says it, where that is not the user.
fn speaker(part: &Part) -> &'static str {
    match part.role {
        Speaker::User => "",
        Speaker::Assistant => "(reply) ",
        Speaker::System => "(system) ",
    }
}

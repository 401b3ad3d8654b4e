//! The candidates of the softmax station, one row each, and ‹others›.
//!
//! Invariant: columns have fixed places; a cut token keeps its row and its odds, and says which stage cut it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Form;
use super::live::{Fate, Live};
use crate::app::{App, Focus, Listed};
use crate::inspect::stages::StageName;
use crate::theme::{Role, Theme};
use crate::ui::widgets::{bar, number, text, token};

/// Logits below the largest that a bar spans.
const LOGITS: f64 = 16.0;
/// Decades that a bar on the logarithmic scale spans.
const DECADES: f64 = 6.0;

/// Draws the column heads with their scale; an open filter stands where the tokens' head is.
pub fn heads(app: &App, theme: &Theme, form: Form, at: Rect, buf: &mut Buffer) {
    let style = theme.style(Role::Muted);
    let until = |end: u16| Rect { width: end.min(at.width), ..at };
    let (unit, scale) = match (app.inspector.logits, app.inspector.log_scale) {
        (true, _) => ("logit", ["−16", "−8", "0"]),
        (false, true) => ("log₁₀", ["−6", "−3", "0"]),
        (false, false) => ("model", ["0", "50", "100"]),
    };
    match &app.inspector.list.filter {
        Some(filter) => {
            let typed = token::one_line(&filter.text, &theme.symbols);
            let caret = if app.inspector.list.typing { "▏" } else { "" };
            let words = text::tail(&typed, form.figure - 9);
            text::put(buf, text::row(at, 0, 1), &format!("/ {words}{caret}"), theme.style(Role::Strong));
        }
        None => {
            text::put(buf, text::row(at, 0, 3), "token", style);
        }
    }
    text::put_right(buf, until(form.figure), unit, style);
    let left = form.figure + 1;
    text::put(buf, text::row(at, 0, left), scale[0], style);
    text::put(buf, text::row(at, 0, left + form.bar / 2 - 1), scale[1], style);
    text::put_right(buf, until(left + form.bar + 1), scale[2], style);
    text::put_right(buf, until(form.width), "after", style);
}

/// The rows in view when there is room for so many: those from the first, or those around the selected one.
fn in_view(app: &App, lines: usize) -> (usize, Vec<Listed>) {
    let list = &app.inspector.list;
    let first = match list.selected {
        Some(selected) => list.first.min(selected).max((selected + 1).saturating_sub(lines)),
        None => 0,
    };
    (first, app.display().list_rows(first, lines))
}

/// Draws the rows.
pub fn candidates(
    app: &App,
    theme: &Theme,
    form: Form,
    live: &Live<'_>,
    area: Rect,
    (first, lines): (u16, u16),
    buf: &mut Buffer,
) {
    let step = &live.step.step;
    let (start, shown) = in_view(app, usize::from(lines));
    let chosen = shown.iter().position(|row| Some(row.id) == step.id);
    let top = step.candidates.first().map_or(0.0, |candidate| candidate.logprob);
    for (index, listed) in shown.iter().enumerate() {
        let fate = live.fate(listed.id, listed.candidate);
        let is_chosen = chosen == Some(index);
        let (figure, share) = figures(app, listed.logprob, top);
        let row = Row {
            mark: if is_chosen { theme.symbols.drawn } else { "" },
            name: live.listed(listed.id, &theme.symbols),
            figure,
            share,
            last: fate.map(|fate| fate_text(theme, fate)).unwrap_or_default(),
            style: row_style(theme, is_chosen, fate),
            bar: theme.style(if is_chosen { Role::TokenChosen } else { Role::ProbBar }),
        };
        let at = text::row(area, first + index as u16, 0);
        if app.inspector.list.selected == Some(start + index) && app.focus == Focus::Inspector {
            let style = theme.style(Role::Select);
            text::put(buf, at, &" ".repeat(usize::from(form.figure)), style);
            text::put(buf, at, theme.symbols.here, style);
        }
        row.draw(theme, form, at, buf);
    }
    others(app, theme, form, live, (&shown, chosen.is_none()), text::row(area, first + lines, 0), buf);
}

/// A row's figure and how much of its bar is filled.
fn figures(app: &App, logprob: f32, top: f32) -> (String, f64) {
    let probability = f64::from(logprob).exp();
    if app.inspector.logits {
        let below = f64::from(logprob - top);
        (number::decimals(below, 2), 1.0 + below / LOGITS)
    } else if app.inspector.log_scale {
        (number::percent(probability), on_log_scale(probability))
    } else {
        (number::percent(probability), probability)
    }
}

fn on_log_scale(probability: f64) -> f64 {
    if probability > 0.0 { (1.0 + probability.log10() / DECADES).max(0.0) } else { 0.0 }
}

fn others(
    app: &App,
    theme: &Theme,
    form: Form,
    live: &Live<'_>,
    (shown, chosen_is_there): (&[Listed], bool),
    at: Rect,
    buf: &mut Buffer,
) {
    let listed: f64 = shown.iter().map(|row| f64::from(row.logprob).exp()).sum();
    let probability = (1.0 - listed).clamp(0.0, 1.0);
    let count = live.entries.saturating_sub(shown.len() as u64);
    let share = match (app.inspector.logits, app.inspector.log_scale) {
        (true, _) => 0.0,
        (false, true) => on_log_scale(probability),
        (false, false) => probability,
    };
    let row = Row {
        mark: if chosen_is_there { "!" } else { "" },
        name: "‹others›".into(),
        figure: if app.inspector.logits { String::new() } else { number::percent(probability) },
        share,
        last: if count > 0 { number::grouped(count) } else { String::new() },
        style: theme.style(if chosen_is_there { Role::Warn } else { Role::Muted }),
        bar: theme.style(Role::ProbBar),
    };
    row.draw(theme, form, at, buf);
}

/// One row of the list.
struct Row {
    mark: &'static str,
    name: String,
    figure: String,
    share: f64,
    last: String,
    style: Style,
    bar: Style,
}

impl Row {
    fn draw(&self, theme: &Theme, form: Form, at: Rect, buf: &mut Buffer) {
        let until = |end: u16| Rect { width: end.min(at.width), ..at };
        text::put(buf, text::row(at, 0, 1), self.mark, self.style);
        text::put(buf, text::row(at, 0, 3), &text::cut(&self.name, form.figure - 10), self.style);
        text::put_right(buf, until(form.figure), &self.figure, self.style);
        text::put_right(buf, until(form.width - 1), &self.last, self.style);
        let to_bar = text::row(at, 0, form.figure + 1);
        bar::draw(buf, to_bar, self.share, form.bar, &theme.symbols.bar, self.bar);
    }
}

fn row_style(theme: &Theme, chosen: bool, fate: Option<Fate>) -> Style {
    match fate {
        _ if chosen => theme.style(Role::TokenChosen).add_modifier(Modifier::BOLD),
        Some(Fate::Cut(_)) => theme.style(Role::TokenCut),
        Some(Fate::Kept(_)) | None => theme.style(Role::Text),
    }
}

fn fate_text(theme: &Theme, fate: Fate) -> String {
    match fate {
        Fate::Kept(probability) => number::percent(probability),
        Fate::Cut(stage) => format!("{}{}", theme.symbols.cut, stage.map_or("", short)),
    }
}

/// A stage's name in five letters.
fn short(stage: StageName) -> &'static str {
    match stage {
        StageName::Chain(stage) => stage.about().brief,
        StageName::Mirostat => "miro",
        StageName::Greedy => "greed",
        StageName::Grammar => "gramm",
    }
}

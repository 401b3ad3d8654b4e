//! The candidates of the softmax station, one row each, and ‹others›.
//!
//! Invariant: columns have fixed places; a cut token keeps its row and its odds, and says which stage cut it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Form;
use super::live::Live;
use crate::app::{App, Focus, Listed};
use crate::inspect::chain::Fate;
use crate::inspect::stages::StageName;
use crate::theme::{Role, Theme};
use crate::ui::widgets::row::Row;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text, token};

/// Logits below the largest that a bar spans.
const LOGITS: f64 = 16.0;
/// Decades that a bar on the logarithmic scale spans.
const DECADES: f64 = 6.0;

/// The table of candidates: mark, token, the network's odds with their bar, and after the samplers. An open filter stands
/// where the tokens' head is.
fn table<'a>(app: &App, theme: &'a Theme, form: Form) -> Table<'a, 5> {
    let (unit, [low, ..]) = scale(app);
    let (filter, token) = match &app.inspector.list.filter {
        Some(filter) => {
            let typed = token::one_line(&filter.text, &theme.symbols);
            let caret = if app.inspector.list.typing { "▏" } else { "" };
            (format!("/ {}{caret}", text::tail(&typed, form.figure - 9)), "")
        }
        None => (String::new(), "token"),
    };
    let columns = [
        Column::left(filter, 1, 1).styled(theme.style(Role::Strong)),
        Column::left(token, 3, form.figure - 10),
        Column::right(unit, form.figure),
        Column::left(low, form.figure + 1, form.bar),
        Column::right("", form.width - 1),
    ];
    Table::of(theme, columns)
}

/// The unit of the odds, and the scale of their bar.
fn scale(app: &App) -> (&'static str, [&'static str; 3]) {
    match (app.inspector.logits, app.inspector.log_scale) {
        (true, _) => ("logit", ["−16", "−8", "0"]),
        (false, true) => ("log₁₀", ["−6", "−3", "0"]),
        (false, false) => ("model", ["0", "50", "100"]),
    }
}

/// Draws the column heads with their scale.
pub fn heads(app: &App, theme: &Theme, form: Form, at: Rect, buf: &mut Buffer) {
    let (style, left) = (theme.style(Role::Muted), form.figure + 1);
    let (_, [_, middle, high]) = scale(app);
    let heads = table(app, theme, form).heads().and(left + form.bar / 2 - 1, middle, style);
    heads.until(left + form.bar + 1, high, style).until(form.width - 1, "after", style).draw(at, 0, buf);
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
    let table = table(app, theme, form);
    let (start, shown) = in_view(app, usize::from(lines));
    let chosen = shown.iter().position(|row| Some(row.id) == step.id);
    let top = step.candidates.first().map_or(0.0, |candidate| candidate.logprob);
    for ((index, listed), line) in shown.iter().enumerate().zip(first..) {
        let fate = live.fate(listed.id, listed.candidate);
        let is_chosen = chosen == Some(index);
        let (figure, share) = figures(app, listed.logprob, top);
        let style = row_style(theme, is_chosen, fate);
        let bar = theme.style(if is_chosen { Role::TokenChosen } else { Role::ProbBar });
        if app.inspector.list.selected == Some(start + index) && app.focus == Focus::Inspector {
            let select = theme.style(Role::Select);
            let blank = Row::of(0, " ".repeat(usize::from(form.figure)), select);
            blank.and(0, theme.symbols.here, select).draw(area, line, buf);
        }
        let row = table.row([
            Cell::of(if is_chosen { theme.symbols.drawn } else { "" }, style),
            Cell::of(live.listed(listed.id, &theme.symbols), style),
            Cell::of(figure, style),
            Cell::Bar(share, bar),
            Cell::maybe(fate.map(|fate| fate_text(theme, fate)), style),
        ]);
        row.draw(area, line, buf);
    }
    others(app, live, (form, &table), (&shown, chosen.is_none())).draw(area, first + lines, buf);
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

/// Everything that is not listed; marked where the chosen token is among it. How many they are stands where the unit has
/// room, since a bare count would read as per cent.
fn others(
    app: &App,
    live: &Live<'_>,
    (form, table): (Form, &Table<'_, 5>),
    (shown, chosen_is_there): (&[Listed], bool),
) -> Row {
    let listed: f64 = shown.iter().map(|row| f64::from(row.logprob).exp()).sum();
    let none = live.step.step.candidates.is_empty() && shown.is_empty();
    let probability = if none { f64::NAN } else { (1.0 - listed).clamp(0.0, 1.0) };
    let count = live.entries.saturating_sub(shown.len() as u64);
    let share = match (app.inspector.logits, app.inspector.log_scale) {
        (true, _) => 0.0,
        (false, true) => on_log_scale(probability),
        (false, false) => probability,
    };
    let style = table.theme.style(if chosen_is_there { Role::Warn } else { Role::Muted });
    table.row([
        Cell::of(if chosen_is_there { "!" } else { "" }, style),
        Cell::of("‹others›", style),
        Cell::maybe((!app.inspector.logits).then(|| number::percent(probability)), style),
        Cell::Bar(share, table.theme.style(Role::ProbBar)),
        Cell::maybe((count > 0 && form.full).then(|| format!("{} tokens", number::grouped(count))), style),
    ])
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
        Fate::Cut(stage) => format!("{}{}", theme.symbols.cut, stage.map_or("cut", short)),
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

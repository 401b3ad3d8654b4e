//! The candidates of the softmax station, one row each, and ‹others›.
//!
//! Invariant: columns have fixed places; a cut token keeps its row and its odds, and says which stage cut it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Form;
use super::live::Live;
use crate::app::App;
use crate::inspect::after::After;
use crate::sampling::Stage;
use crate::theme::{Role, Theme};
use crate::ui::widgets::{bar, number, text};

/// Logits below the largest that a bar spans.
const LOGITS: f64 = 16.0;

/// Draws the column heads with their scale.
pub fn heads(app: &App, theme: &Theme, form: Form, at: Rect, buf: &mut Buffer) {
    let style = theme.style(Role::Muted);
    let until = |end: u16| Rect { width: end.min(at.width), ..at };
    let (unit, scale) =
        if app.inspector.logits { ("logit", ["−16", "−8", "0"]) } else { ("model", ["0", "50", "100"]) };
    text::put(buf, text::row(at, 0, 3), "token", style);
    text::put_right(buf, until(form.figure), unit, style);
    let left = form.figure + 1;
    text::put(buf, text::row(at, 0, left), scale[0], style);
    text::put(buf, text::row(at, 0, left + form.bar / 2 - 1), scale[1], style);
    text::put_right(buf, until(left + form.bar + 1), scale[2], style);
    text::put_right(buf, until(form.width), "after", style);
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
    let shown = usize::from(lines).min(step.candidates.len());
    let chosen = step.chosen_index().filter(|index| *index < shown);
    let top = step.candidates.first().map_or(0.0, |candidate| candidate.logprob);
    for (index, candidate) in step.candidates.iter().take(shown).enumerate() {
        let after = live.after.as_ref().and_then(|after| after.get(index));
        let is_chosen = chosen == Some(index);
        let (figure, share) = if app.inspector.logits {
            let below = f64::from(candidate.logprob - top);
            (number::decimals(below, 2), 1.0 + below / LOGITS)
        } else {
            let probability = f64::from(candidate.logprob).exp();
            (number::percent(probability), probability)
        };
        let row = Row {
            mark: if is_chosen { theme.symbols.drawn } else { "" },
            name: live.candidate(index, &theme.symbols),
            figure,
            share,
            last: after.map(|after| after_text(theme, *after)).unwrap_or_default(),
            style: row_style(theme, is_chosen, after),
            bar: theme.style(if is_chosen { Role::TokenChosen } else { Role::ProbBar }),
        };
        row.draw(theme, form, text::row(area, first + index as u16, 0), buf);
    }
    others(app, theme, form, live, (shown, chosen.is_none()), text::row(area, first + lines, 0), buf);
}

fn others(
    app: &App,
    theme: &Theme,
    form: Form,
    live: &Live<'_>,
    (shown, chosen_is_there): (usize, bool),
    at: Rect,
    buf: &mut Buffer,
) {
    let probability = live.others(shown);
    let count = live.entries.saturating_sub(shown as u64);
    let row = Row {
        mark: if chosen_is_there { "!" } else { "" },
        name: "‹others›".into(),
        figure: if app.inspector.logits { String::new() } else { number::percent(probability) },
        share: if app.inspector.logits { 0.0 } else { probability },
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

fn row_style(theme: &Theme, chosen: bool, after: Option<&After>) -> Style {
    match after {
        _ if chosen => theme.style(Role::TokenChosen).add_modifier(Modifier::BOLD),
        Some(After::Cut(_)) => theme.style(Role::TokenCut),
        Some(After::Kept(_)) | None => theme.style(Role::Text),
    }
}

fn after_text(theme: &Theme, after: After) -> String {
    match after {
        After::Kept(probability) => number::percent(probability),
        After::Cut(stage) => format!("{}{}", theme.symbols.cut, stage.map_or("", stage_name)),
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::LogitBias => "bias",
        Stage::Penalties => "penal",
        Stage::Dry => "dry",
        Stage::TopNSigma => "sigma",
        Stage::TopK => "top-k",
        Stage::TypicalP => "typ-p",
        Stage::TopP => "top-p",
        Stage::MinP => "min-p",
        Stage::Xtc => "xtc",
        Stage::Temperature => "temp",
    }
}

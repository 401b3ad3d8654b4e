//! Another model held against the loaded one: the list to choose it from, and where both part, beside the transcript that
//! is inked by it.
//!
//! Invariant: the divergence is in nats over the whole vocabulary; a bit halves or doubles the odds.

use super::what_if::lines;
use super::{Canvas, Draw, body, count, rows_for};
use crate::app::{Apart, App, Keys, Microscope, MicroscopePanel, Others, Status};
use crate::command::Command;
use crate::inspect::contrast::{Contrast, Summary};
use crate::sanitize;
use crate::theme::Role;
use crate::token::{Candidate, TokenId};
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text, token};

impl Draw for Others {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let app = canvas.app;
        let (picker, all) = (&self.picker, app.model.others().collect::<Vec<_>>());
        let inside = canvas.frame(
            "Hold against this model",
            &count(picker, all.len()),
            80,
            rows_for(all.len(), 12) + 4,
        );
        let cursor = canvas.filter(inside, &picker.filter, "type to filter");
        for (index, at, _) in canvas.list(body(inside, 1, 2), picker.rows.len(), picker.selected) {
            let Some(entry) = all.get(picker.rows[index]) else { continue };
            let title = entry.title.as_deref().unwrap_or(&entry.name);
            canvas.cell(at, 3, at.width, &sanitize::for_display(title), Role::Text);
        }
        let key = Keys(&canvas.app.keymap);
        let offered = vec![
            (key.list(), "choose"),
            (key.of(Command::Choose), "both read this chat"),
            (key.of(Command::Escape), "close"),
        ];
        canvas.keys(inside, offered);
        cursor
    }
}

impl Draw for MicroscopePanel {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let app = canvas.app;
        let open = app.microscope.as_deref()?;
        let inside = canvas.docked("Microscope", "nothing is written");
        let words = format!("{} against it", sanitize::for_display(&open.other));
        canvas.cell(
            inside,
            1,
            inside.width,
            &text::cut(&words, inside.width.saturating_sub(2)),
            Role::Strong,
        );
        let mut at = 1 + u16::from(inside.height > 14);
        for (words, role) in said(open) {
            at = lines(canvas, &words, role, inside, at);
        }
        let key = Keys(&app.keymap);
        canvas.keys(inside, vec![(key.list(), "token"), (key.of(Command::Escape), "leave")]);
        let rows = open.apart();
        if rows.is_empty() {
            return None;
        }
        let roomy = inside.height > 14;
        let list = body(inside, at + u16::from(roomy), 2 + u16::from(roomy));
        table(canvas, &rows, open.selected, list);
        if let Some(row) = rows.get(open.selected) {
            let words = choices(app, canvas.theme, &row.found);
            let row = text::row(inside, inside.height.saturating_sub(2), 0);
            canvas.cell(row, 1, inside.width.saturating_sub(2), &words, Role::Muted);
        }
        None
    }
}

/// How far it is, and what all tokens add up to.
fn said(open: &Microscope) -> Vec<(String, Role)> {
    if let Some(why) = open.missing() {
        return vec![(why.to_owned(), Role::Warn)];
    }
    let mut all = Vec::new();
    if !open.is_done {
        let far = match open.reading.status(&crate::app::HoldAgainst) {
            Status::Reading(Some((done, of))) => {
                format!(": {} of {} tokens", number::grouped(done.into()), number::grouped(of.into()))
            }
            _ => "…".to_owned(),
        };
        all.push((format!("both read the chat{far}"), Role::Text));
    }
    all.extend(open.summary(None).into_iter().flat_map(|summary| figures(&summary)));
    if let (Some(written), Some(typed)) = (open.summary(Some(true)), open.summary(Some(false))) {
        let mean = |summary: &Summary| number::decimals(summary.mean_kl, 4);
        let words = format!("{} in replies, {} in what was typed", mean(&written), mean(&typed));
        let after_the_mean = all.len() - 2;
        all.insert(after_the_mean, (words, Role::Muted));
    }
    all
}

fn figures(summary: &Summary) -> Vec<(String, Role)> {
    let nats = |value: f64| number::decimals(value, 4);
    let [mine, its] = summary.perplexity;
    vec![
        (
            format!(
                "KL divergence {} nats a token in the mean, {} at most",
                nats(summary.mean_kl),
                nats(summary.max_kl.into())
            ),
            Role::Text,
        ),
        (
            format!(
                "first choice the same at {} % of {} tokens",
                number::decimals(summary.same_first * 100.0, 1),
                number::grouped(summary.tokens.into())
            ),
            Role::Text,
        ),
        (
            format!("perplexity {} here, {} there", number::decimals(mine, 3), number::decimals(its, 3)),
            Role::Text,
        ),
    ]
}

fn table(canvas: &mut Canvas<'_>, rows: &[Apart], selected: usize, area: ratatui::layout::Rect) {
    let (app, theme) = (canvas.app, canvas.theme);
    let name_cells = if area.width >= 58 { 18 } else { 12 };
    let columns = [
        Column::left("token", 3, name_cells - 2),
        Column::right("KL, nat", name_cells + 10),
        Column::right("here %", name_cells + 18),
        Column::right("there %", name_cells + 26),
        Column::right("bit", name_cells + 34),
    ];
    let table = Table::of(theme, columns);
    table.heads().draw(area, 0, canvas.buf);
    for (index, at, selected) in canvas.list(body(area, 1, 0), rows.len(), selected) {
        let Apart { id, found, .. } = &rows[index];
        let name = token::named(*id, vocabulary(app), &theme.symbols);
        let base = theme.style(if selected { Role::Select } else { Role::Text });
        let style = base.patch(theme.style(Role::Text));
        let percent = |logprob: f32| Cell::of(number::percent(f64::from(logprob).exp()), style);
        let row = table.row([
            Cell::of(name, style),
            Cell::of(number::decimals(found.kl.into(), 4), style),
            percent(found.logprob[0]),
            percent(found.logprob[1]),
            Cell::of(number::signed(-f64::from(found.more_bits())), style),
        ]);
        row.draw(at, 0, canvas.buf);
    }
}

fn vocabulary(app: &App) -> Option<&crate::token::Vocabulary> {
    let hash = &app.view().ready()?.vocabulary;
    app.talk.vocabularies.get(hash).map(AsRef::as_ref)
}

/// What both would rather have written.
fn choices(app: &App, theme: &crate::theme::Theme, found: &Contrast) -> String {
    let name = |id: TokenId| token::named(id, vocabulary(app), &theme.symbols);
    let choice =
        |of: Candidate| format!("{} {} %", name(of.id), number::percent(f64::from(of.logprob).exp()));
    let [mine, its] = found.first;
    if found.is_changed() {
        format!("likeliest here {}, there {}", choice(mine), choice(its))
    } else {
        let other = number::percent(f64::from(its.logprob).exp());
        format!("likeliest for both {}, there {other} %", choice(mine))
    }
}

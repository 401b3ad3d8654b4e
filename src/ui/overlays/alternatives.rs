//! The alternatives of a token: the likeliest, or those of the vocabulary that match what was typed.
//!
//! Invariant: odds are the model's, over the whole vocabulary, before the samplers; unknown ones are `–`.

use ratatui::layout::Rect;

use super::{Canvas, Draw, body};
use crate::app::{Alternatives, App, Keys};
use crate::command::Command;
use crate::theme::Role;
use crate::token::{TokenId, TokenKind};
use crate::ui::widgets::row::Row;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text, token};

impl Draw for Alternatives {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let (app, theme) = (canvas.app, canvas.theme);
        let vocabulary = self.vocabulary.as_ref().and_then(|hash| app.talk.vocabularies.get(hash));
        let title =
            format!("Instead of {}", token::shown(&self.step.bytes, TokenKind::Normal, &theme.symbols));
        let tokens = app.talk.chat.turn(self.at.turn).map_or(0, |turn| app.view().turn_tokens(turn).len());
        let right = format!("token {} of {tokens}", self.at.index + 1);
        let inside = canvas.frame(&title, &right, 84, 24);
        let all = vocabulary.map_or(0, |all| all.len() as u64);
        let placeholder = match all {
            0 if vocabulary.is_some_and(|known| !known.is_empty()) => {
                "only what the server told is known of its vocabulary".to_owned()
            }
            0 => "the vocabulary is not there".to_owned(),
            all => format!("type to filter all {} tokens", number::grouped(all)),
        };
        let cursor = canvas.filter(inside, &self.filter, &placeholder);
        let columns = [
            Column::left("", 3, 1),
            Column::left("", 5, 1),
            Column::left("token", 7, 17),
            Column::right("model %", 32),
            Column::left("0          50        100", 33, 24),
            Column::left("", 58, 22),
        ];
        let table = Table::of(theme, columns);
        table.heads().draw(inside, 1, canvas.buf);
        for (index, at, _) in canvas.list(body(inside, 2, 3), self.rows.len(), self.selected) {
            row(app, self, &table, index).draw(at, 0, canvas.buf);
        }
        let status = text::row(inside, inside.height.saturating_sub(2), 0);
        canvas.cell(status, 3, status.width, &words(app, self), Role::Muted);
        keys(canvas, self, inside);
        cursor.filter(|_| self.typing)
    }
}

fn keys(canvas: &mut Canvas<'_>, open: &Alternatives, inside: Rect) {
    let key = Keys(&canvas.app.keymap);
    let take = (format!("{} {}", key.list(), key.of(Command::Choose)), "take");
    let filter = key.of(Command::AlternativesFilter);
    let close = (key.of(Command::Escape), "close");
    let offered = if open.typing {
        vec![take, (key.last(Command::AlternativesFilter), "to the list"), close]
    } else {
        vec![
            ("1…9".to_owned(), "take"),
            take,
            (key.of(Command::BanToken), "ban"),
            (key.together(&[Command::BoostToken, Command::DampToken]), "boost"),
            (filter, "filter"),
            (key.of(Command::LookAhead), "look ahead"),
            close,
        ]
    };
    canvas.keys(inside, offered);
}

fn row(app: &App, open: &Alternatives, table: &Table<'_, 6>, index: usize) -> Row {
    let theme = table.theme;
    let id = open.rows[index];
    let vocabulary = open.vocabulary.as_ref().and_then(|hash| app.talk.vocabularies.get(hash));
    let chosen = open.step.id == Some(id);
    let role = |other| theme.style(if chosen { Role::TokenChosen } else { other });
    let muted = theme.style(Role::Muted);
    let digit = if index < 9 && !open.typing { (index + 1).to_string() } else { String::new() };
    let name = token::named(id, vocabulary.map(AsRef::as_ref), &theme.symbols);
    let share = odds(open, id).map(|logprob| f64::from(logprob).exp());
    let bias = app.view().bias_of(id);
    let notes = [
        open.versions
            .iter()
            .any(|(token, turn)| *token == id && *turn == open.at.turn)
            .then(|| "here".into()),
        open.versions
            .iter()
            .any(|(token, turn)| *token == id && *turn != open.at.turn)
            .then(|| "branch".into()),
        match bias {
            0.0 => None,
            f32::NEG_INFINITY => Some("banned".to_owned()),
            bias => Some(format!("logit {bias:+}")),
        },
    ];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    table.row([
        Cell::of(digit, muted),
        Cell::of(if chosen { theme.symbols.drawn } else { "" }, role(Role::Text)),
        Cell::of(name, role(Role::Text)),
        Cell::of(share.map_or("–".to_owned(), number::percent), role(Role::Text)),
        Cell::Bar(share.unwrap_or_default(), role(Role::ProbBar)),
        Cell::of(notes.join(", "), muted),
    ])
}

/// ln p of a token, where it is known.
fn odds(open: &Alternatives, id: TokenId) -> Option<f32> {
    if let Some(whole) = &open.whole {
        return whole.logprob(id);
    }
    let kept = open.step.candidates.iter().find(|candidate| candidate.id == id);
    kept.map(|candidate| candidate.logprob).or((open.step.id == Some(id)).then_some(open.step.logprob))
}

/// What is known of the odds.
fn words(app: &App, open: &Alternatives) -> String {
    if open.whole.is_some() {
        return "the model read it again: the odds of every token are known".into();
    }
    if open.asking.pending().is_some() {
        return "reading the odds of the other tokens".into();
    }
    match app.view().pass(open.at).map(|pass| app.view().readable(pass.run)) {
        Some(Err(why)) => why,
        _ => format!("the {} likeliest are kept; – is not known yet", open.step.candidates.len()),
    }
}

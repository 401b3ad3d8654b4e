//! A look ahead as a tree: what the paths share is drawn once.
//!
//! Invariant: odds are over the whole vocabulary; `so far` is that of everything up to the row's end.

use super::{Canvas, Draw, body};
use crate::app::{Ahead, AheadOf, AheadRow, Keys};
use crate::command::Command;
use crate::theme::Role;
use crate::ui::widgets::{bar, number, text, token};

/// Cells of a bar of 100 %.
const BAR: u16 = 8;

impl Draw for Ahead {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let theme = canvas.theme;
        let config = &canvas.app.config.inspector;
        let shape = format!("{} wide, {} deep", config.look_ahead_width, config.look_ahead_depth);
        let right = if self.looked {
            let seconds = self.found.ms / 1000.0;
            format!("{shape}   {} tokens read in {seconds:.2} s", self.found.decoded)
        } else {
            shape
        };
        let inside = canvas.frame("Look ahead", &right, 96, 32);
        let before = canvas.app.view().text_before(self.at).0;
        let before = text::tail(&token::one_line(&before, &theme.symbols), inside.width.saturating_sub(6));
        canvas.cell(inside, 1, inside.width, &before, Role::Text);
        let (one, total) = (inside.width.saturating_sub(19), inside.width.saturating_sub(1));
        let heads = text::row(inside, 1, 0);
        canvas.cell_right(heads, one, "%", Role::Muted);
        canvas.cell_right(heads, total, "so far %", Role::Muted);
        let list = body(inside, 2, 2);
        let said = self.refused().or_else(|| {
            Some(match self.next()? {
                AheadOf::Paths => "looking",
                AheadOf::Numbers(_) => "taking this path: its tokens are being read",
            })
        });
        let rows = self.rows();
        let selected = rows.iter().rposition(|row| row.paths.contains(&self.selected)).unwrap_or(0);
        let first = (selected + 1).saturating_sub(usize::from(list.height.saturating_sub(1)));
        for (row, line) in rows.iter().skip(first).zip(0..list.height.saturating_sub(1)) {
            draw_row(canvas, self, row, text::row(list, line, 0), (one, total));
        }
        if let Some(said) = said {
            let status = text::row(inside, inside.height.saturating_sub(2), 0);
            canvas.cell(status, 1, status.width, said, Role::Muted);
        }
        let key = Keys(&canvas.app.keymap);
        let offered = vec![
            ("1…9".to_owned(), "take"),
            (key.list(), "path"),
            (key.of(Command::Choose), "take it"),
            (key.of(Command::Escape), "close"),
        ];
        canvas.keys(inside, offered);
        None
    }
}

fn draw_row(
    canvas: &mut Canvas<'_>,
    open: &Ahead,
    row: &AheadRow,
    at: ratatui::layout::Rect,
    (one, total): (u16, u16),
) {
    let (app, theme) = (canvas.app, canvas.theme);
    let on_path = row.paths.contains(&open.selected);
    let role = if on_path { Role::TokenChosen } else { Role::Text };
    let mut lines = String::new();
    for more in &row.more[..row.depth] {
        lines.push_str(if *more { "│  " } else { "   " });
    }
    let (joint, mark) = (
        if row.more[row.depth] { "├" } else { "└" },
        if on_path { theme.symbols.drawn } else { theme.symbols.rule },
    );
    lines.push_str(joint);
    lines.push_str(mark);
    let mut x = 1 + text::put(canvas.buf, text::row(at, 0, 1), &lines, theme.style(Role::Rule)) + 1;
    if let [path] = row.paths.as_slice()
        && *path < 9
    {
        canvas.cell(at, x, 1, &(path + 1).to_string(), Role::Muted);
        x += 2;
    }
    let vocabulary = open.vocabulary.as_ref().and_then(|hash| app.talk.vocabularies.get(hash));
    let tokens = row.tokens.iter().map(|id| token::named(*id, vocabulary.map(AsRef::as_ref), &theme.symbols));
    let tokens: String = tokens.collect();
    canvas.cell(at, x, one.saturating_sub(x + 8), &tokens, role);
    canvas.cell_right(at, one, &number::percent(f64::from(row.logprob).exp()), role);
    let style = theme.style(if on_path { Role::TokenChosen } else { Role::ProbBar });
    let share = f64::from(row.logprob).exp();
    bar::draw(canvas.buf, text::row(at, 0, one + 1), share, BAR, &theme.symbols.bar, style);
    canvas.cell_right(at, total, &number::percent(f64::from(row.total).exp()), role);
}

//! Two versions side by side from the token where they part, with the bits of each token and so far.
//!
//! Invariant: sums begin at the first token drawn of each; versions of different length are compared by
//! their mean, never by the sum.

use ratatui::layout::Rect;

use super::Canvas;
use crate::app::{Pair, TREE_LETTERS, Tree, TreeRow, TurnToken};
use crate::chat::TurnId;
use crate::theme::{Role, Theme};
use crate::token::TokenKind;
use crate::ui::rows;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text, token};

/// `1` to `9` for branches, letters for candidates that were not taken.
pub(super) fn label(listed: &[TreeRow], index: usize) -> String {
    let kept = listed.iter().filter(|row| row.turn.is_some()).count();
    if index < kept {
        return if index < 9 { (index + 1).to_string() } else { String::new() };
    }
    TREE_LETTERS.chars().nth(index - kept).map(String::from).unwrap_or_default()
}

/// Draws the comparison into an area, beside the tree or in its place.
pub(super) fn draw(canvas: &mut Canvas<'_>, tree: &Tree, listed: &[TreeRow], area: Rect, beside: bool) {
    let (app, theme) = (canvas.app, canvas.theme);
    let title = text::row(area, 0, 0);
    let Some(other) = tree.compare.filter(|turn| app.talk.chat.turn(*turn).is_some()) else {
        rows::title(canvas.buf, theme, title, "Compare", "", false);
        let words = "choose a branch and press = to lay it beside the shown one";
        canvas.cell(text::row(area, 2, 0), 2, area.width.saturating_sub(3), words, Role::Muted);
        return;
    };
    let named = |turn: TurnId| {
        let at = listed.iter().position(|row| row.turn == Some(turn));
        at.map(|at| label(listed, at)).filter(|label| !label.is_empty()).unwrap_or_else(|| "another".into())
    };
    let (first, second) = (named(tree.at.turn), named(other));
    let name = format!("Compare {first} and {second}");
    rows::title(canvas.buf, theme, title, &name, "", !beside);
    let halves = Halves::of(theme, area.width);
    let [left, right] = halves.starts;
    canvas.cell(
        text::row(area, 1, 0),
        left,
        halves.width,
        &format!("{first} as it is now"),
        Role::TokenChosen,
    );
    canvas.cell(text::row(area, 1, 0), right, halves.width, &format!("{second} beside it"), Role::TokenRival);
    for start in halves.starts {
        halves.table.heads().draw(text::row(area, 2, start), 0, canvas.buf);
    }
    let tokens =
        |turn: TurnId| app.talk.chat.turn(turn).map(|turn| app.view().turn_tokens(turn)).unwrap_or_default();
    let sides = [tokens(tree.at.turn), tokens(other)];
    let pairs = app.view().compared(tree.at.turn, other, tree.at.index);
    let lines = usize::from(area.height.saturating_sub(8)).max(1);
    let scroll = tree.scroll.min(pairs.len().saturating_sub(lines));
    let mut so_far = [0.0_f32; 2];
    for (index, pair) in pairs.iter().enumerate() {
        let line = index.checked_sub(scroll).filter(|line| *line < lines);
        let at = line.and_then(|line| u16::try_from(line + 4).ok()).map(|line| text::row(area, line, 0));
        pair_row(canvas, &halves, pair, &sides, &mut so_far, at);
    }
    let end = u16::try_from(pairs.len().min(lines) + 5).unwrap_or(u16::MAX);
    let counts = sides.each_ref().map(|side| side.len().saturating_sub(tree.at.index));
    for (side, start) in halves.starts.into_iter().enumerate() {
        let mean = f64::from(so_far[side]) / counts[side].max(1) as f64;
        let words = format!("mean {} bit", number::decimals(mean, 2));
        canvas.cell(text::row(area, end, 0), start, halves.width, &words, Role::Text);
    }
    let shared = pairs.iter().filter(|pair| pair.same).count();
    let read = app.view().pass(tree.at).map_or(0, |pass| pass.ids.len());
    let words = format!(
        "{shared} of {} tokens shared   both read the same {read} before",
        number::grouped(counts[0] as u64)
    );
    let at = text::row(area, end.saturating_add(1), 0);
    canvas.cell(at, left, area.width.saturating_sub(left + 1), &words, Role::Muted);
}

/// Where the two halves begin, and the table that each of them is.
struct Halves<'a> {
    starts: [u16; 2],
    width: u16,
    table: Table<'a, 3>,
}

impl<'a> Halves<'a> {
    fn of(theme: &'a Theme, width: u16) -> Self {
        // Beside the tree a half is 24 cells; alone it has more room.
        let half = (width.saturating_sub(10) / 2).clamp(24, 34);
        let columns = [
            Column::left("token", 0, half - 13),
            Column::right("bit", half - 8),
            Column::right("so far", half),
        ];
        Self { starts: [2, 2 + half + 5], width: half, table: Table::of(theme, columns) }
    }
}

fn pair_row(
    canvas: &mut Canvas<'_>,
    halves: &Halves<'_>,
    pair: &Pair,
    sides: &[Vec<TurnToken<'_>>; 2],
    so_far: &mut [f32; 2],
    at: Option<Rect>,
) {
    let theme = canvas.theme;
    for (side, index) in [pair.left, pair.right].into_iter().enumerate() {
        let Some(step) = index.and_then(|index| sides[side].get(index)).map(|token| token.step) else {
            continue;
        };
        so_far[side] += step.surprisal_bits();
        let Some(at) = at else { continue };
        let role = match (pair.same, side) {
            (true, _) => Role::Muted,
            (false, 0) => Role::TokenChosen,
            (false, _) => Role::TokenRival,
        };
        let row = halves.table.row([
            Cell::of(token::shown(&step.bytes, TokenKind::Normal, &theme.symbols), theme.style(role)),
            Cell::of(number::decimals(step.surprisal_bits().into(), 2), theme.style(role)),
            Cell::of(number::decimals(so_far[side].into(), 2), theme.style(role)),
        ]);
        row.draw(text::row(at, 0, halves.starts[side]), 0, canvas.buf);
    }
    if let Some(at) = at.filter(|_| pair.same) {
        canvas.cell(at, halves.starts[1].saturating_sub(3), 1, "=", Role::Muted);
    }
}

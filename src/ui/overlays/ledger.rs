//! The ledger: a message's tokens as a table, sorted and filtered.
//!
//! Invariant: percentages are over the whole vocabulary, before the samplers; columns go from the right as the
//! screen narrows.

use ratatui::layout::Rect;

use super::{Canvas, Draw, body};
use crate::app::{Keys, Ledger, Origin, TurnToken};
use crate::command::Command;
use crate::theme::Role;
use crate::token::{TokenKind, Vocabulary};
use crate::ui::widgets::{number, text, token};

/// Where the columns end, cells; the token's name stands between the first two.
const POSITION: u16 = 8;
const NAME: (u16, u16) = (10, 18);
const ENDS: [(&str, u16); 6] =
    [("id", 36), ("model %", 45), ("surprise", 55), ("rank", 64), ("uncertainty", 77), ("ms", 86)];
/// Where the alternatives begin.
const OTHERS: u16 = 89;

impl Draw for Ledger {
    fn draw(&self, on: &mut Canvas<'_>) -> Option<(u16, u16)> {
        draw(on, self)
    }
}

fn draw(canvas: &mut Canvas<'_>, ledger: &Ledger) -> Option<(u16, u16)> {
    let turn = canvas.app.talk.chat.turn(ledger.turn)?;
    let tokens = canvas.app.view().turn_tokens(turn);
    let right = format!("{} of {}", ledger.rows.len(), tokens.len());
    let inside = canvas.frame("Tokens of this message", &right, 118, 34);
    let cursor = canvas.filter(inside, &ledger.filter, "type to filter");
    let sorted = format!("by {}", ledger.order.name());
    text::put_right(canvas.buf, text::row(inside, 0, 0), &sorted, canvas.theme.style(Role::Muted));
    heads(canvas, text::row(inside, 2, 0));
    let list = body(inside, 3, 2);
    for (index, at, _) in canvas.list(list, ledger.rows.len(), ledger.selected) {
        let position = ledger.rows[index];
        if let Some(token) = tokens.get(position) {
            row(canvas, at, position, token);
        }
    }
    let key = Keys(&canvas.app.keymap);
    let offered = vec![
        (key.list(), "token"),
        (key.together(&[Command::LedgerOrderPrevious, Command::LedgerOrderNext]), "order"),
        (key.of(Command::Choose), "go there"),
        (key.of(Command::LedgerCopy), "copy"),
        (key.of(Command::Escape), "close"),
    ];
    canvas.keys(inside, offered);
    cursor
}

fn heads(canvas: &mut Canvas<'_>, at: Rect) {
    let muted = canvas.theme.style(Role::Muted);
    cell(canvas, at, POSITION, "#", Role::Muted);
    text::put(canvas.buf, text::row(at, 0, NAME.0), "token", muted);
    for (name, end) in ENDS {
        cell(canvas, at, end, name, Role::Muted);
    }
    if at.width > OTHERS + 12 {
        text::put(canvas.buf, text::row(at, 0, OTHERS), "likeliest others", muted);
    }
}

/// Text that ends before a column, if that column is on the screen.
fn cell(canvas: &mut Canvas<'_>, at: Rect, end: u16, words: &str, role: Role) {
    if end <= at.width {
        canvas.cell_right(at, end, words, role);
    }
}

fn row(canvas: &mut Canvas<'_>, at: Rect, position: usize, shown: &TurnToken<'_>) {
    let step = shown.step;
    let (Origin::Written { run, .. } | Origin::Scored { run, .. }) = shown.origin;
    let hash = canvas.app.talk.runs.get(&run).and_then(|run| run.vocabulary.as_ref());
    let vocabulary: Option<&Vocabulary> =
        hash.and_then(|hash| canvas.app.talk.vocabularies.get(hash)).map(AsRef::as_ref);
    let symbols = &canvas.theme.symbols;
    let kind = match (step.id, vocabulary) {
        (Some(id), Some(vocabulary)) => vocabulary.kind(id),
        _ => TokenKind::Normal,
    };
    let name = match (kind, step.id) {
        (TokenKind::Control, Some(id)) => token::named(id, vocabulary, symbols),
        _ => token::shown(&step.bytes, kind, symbols),
    };
    let others: Vec<String> = step
        .candidates
        .iter()
        .filter(|candidate| Some(candidate.id) != step.id)
        .take(3)
        .map(|candidate| {
            let share = number::percent(f64::from(candidate.logprob.exp()));
            format!("{} {share}", token::named(candidate.id, vocabulary, symbols))
        })
        .collect();
    let probability = f64::from(step.logprob.exp());
    let figures = [
        step.id.map_or_else(|| "–".into(), |id| id.0.to_string()),
        number::percent(probability),
        number::decimals(step.surprisal_bits().into(), 2),
        number::grouped(step.rank.into()),
        number::decimals(step.entropy_bits().into(), 2),
        if step.ms > 0.0 { number::decimals(step.ms.into(), 1) } else { "–".into() },
    ];
    cell(canvas, at, POSITION, &position.to_string(), Role::Muted);
    canvas.cell(at, NAME.0, NAME.1, &name, Role::Text);
    for ((_, end), figure) in ENDS.into_iter().zip(&figures) {
        cell(canvas, at, end, figure, Role::Text);
    }
    if at.width > OTHERS + 12 {
        let room = text::row(at, 0, OTHERS);
        let words = text::cut(&others.join("   "), room.width);
        text::put(canvas.buf, room, &words, canvas.theme.style(Role::Muted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{LedgerOrder, LineEdit};
    use crate::ui::testing::design::{capitals, theme};
    use crate::ui::testing::{as_drawn, overlay};

    #[test]
    fn a_row_says_position_id_name_and_figures_and_columns_go_from_the_right() {
        let app = capitals();
        let branch = app.talk.chat.branch();
        let turn = branch.iter().rev().find(|turn| turn.steps().next().is_some()).unwrap().id;
        let count = app.view().turn_tokens(app.talk.chat.turn(turn).unwrap()).len();
        let (filter, order) = (LineEdit::default(), LedgerOrder::Surprise);
        let open = Ledger { turn, filter, order, rows: (0..count).rev().collect(), selected: 0 };
        as_drawn!("ledger", overlay(&app, &theme(), open.clone(), 120, 40));
        as_drawn!("ledger_60x20", overlay(&app, &theme(), open, 60, 20));
    }
}

//! The ledger: a message's tokens as a table, sorted and filtered.
//!
//! Invariant: percentages are over the whole vocabulary, before the samplers; columns go from the right as the
//! screen narrows.

use super::{Canvas, Draw, body};
use crate::app::{App, Keys, Ledger, Origin, TurnToken};
use crate::chat::RunId;
use crate::command::Command;
use crate::theme::{Role, Theme};
use crate::token::{TokenKind, Vocabulary};
use crate::ui::widgets::row::Row;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text, token};

/// The table: position, name, figures, the likeliest others. Columns go from the right.
fn table(theme: &Theme, width: u16) -> Table<'_, 9> {
    let figure = |head: &str, end: u16| Column::right(head, end).when(end <= width);
    let columns = [
        figure("#", 8),
        Column::left("token", 10, 18),
        figure("id", 36),
        figure("model %", 45),
        figure("surprise", 55),
        figure("rank", 64),
        figure("uncertainty", 77),
        figure("ms", 86),
        Column::left("likeliest others", 89, width.saturating_sub(89)).when(width > 101),
    ];
    Table::of(theme, columns)
}

impl Draw for Ledger {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let turn = canvas.app.talk.chat.turn(self.turn)?;
        let tokens = canvas.app.view().turn_tokens(turn);
        let told = told_by(canvas.app, &tokens).map_or_else(String::new, |told| format!("{told}   "));
        let right = format!("{told}{} of {}", self.rows.len(), tokens.len());
        let inside = canvas.frame("Tokens of this message", &right, 118, 34);
        let cursor = canvas.filter(inside, &self.filter, "type to filter");
        let turn =
            Keys(&canvas.app.keymap).together(&[Command::LedgerOrderPrevious, Command::LedgerOrderNext]);
        let sorted = format!("{turn} sorted by {}", self.order.name()).trim_start().to_owned();
        text::put_right(canvas.buf, text::row(inside, 0, 0), &sorted, canvas.theme.style(Role::Muted));
        let table = table(canvas.theme, inside.width);
        table.heads().draw(inside, 2, canvas.buf);
        let list = body(inside, 3, 2);
        for (index, at, _) in canvas.list(list, self.rows.len(), self.selected) {
            let position = self.rows[index];
            if let Some(token) = tokens.get(position) {
                row(canvas.app, &table, position, token).draw(at, 0, canvas.buf);
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
}

fn row(app: &App, table: &Table<'_, 9>, position: usize, shown: &TurnToken<'_>) -> Row {
    let step = shown.step;
    let (Origin::Written { run, .. } | Origin::Scored { run, .. }) = shown.origin;
    let hash = app.talk.runs.get(&run).and_then(|run| run.vocabulary.as_ref());
    let vocabulary: Option<&Vocabulary> =
        hash.and_then(|hash| app.talk.vocabularies.get(hash)).map(AsRef::as_ref);
    let symbols = &table.theme.symbols;
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
    let (text, muted) = (table.theme.style(Role::Text), table.theme.style(Role::Muted));
    let ms = match shown.origin {
        // It came with the pass of a token before it.
        Origin::Written { run, index } if is_drafted(app, run, index) => "drafted".into(),
        _ if step.ms > 0.0 => number::decimals(step.ms.into(), 1),
        _ => "–".into(),
    };
    table.row([
        Cell::of(position.to_string(), muted),
        Cell::of(name, text),
        Cell::of(number::id(step.id), text),
        Cell::of(number::percent(probability), text),
        Cell::of(number::decimals(step.surprisal_bits().into(), 2), text),
        Cell::of(number::rank(step.rank), text),
        Cell::of(number::decimals(step.entropy_bits().into(), 2), text),
        Cell::of(ms, text),
        Cell::of(others.join("   "), muted),
    ])
}

/// The server that told these tokens' figures, in words.
fn told_by(app: &App, tokens: &[TurnToken<'_>]) -> Option<String> {
    let run = |token: &TurnToken<'_>| match token.origin {
        Origin::Written { run, .. } | Origin::Scored { run, .. } => app.talk.runs.get(&run),
    };
    let teller = tokens.iter().filter_map(run).find_map(|run| run.told_by.as_ref())?;
    Some(crate::sanitize::for_display(&teller.in_words()))
}

fn is_drafted(app: &App, run: RunId, index: usize) -> bool {
    let run = app.talk.runs.get(&run);
    run.is_some_and(|run| run.drafted.iter().any(|drafted| *drafted as usize == index))
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

//! The line in which a word is tried: it splits as one types, and what was tried before stays under it.
//!
//! Invariant: what is shown under the line is of the word in it; until that is told, there is nothing.

use super::message::{self, Message};
use crate::command::Command;
use crate::inspect::pieces::Pieces;
use crate::theme::Role;
use crate::ui::widgets::row::Row;
use crate::ui::widgets::{number, text, token};

/// The line, the pieces with their ids under them, and the words before.
pub fn rows(message: &Message<'_>, width: u16) -> Vec<Row> {
    let (app, theme) = (message.app, message.theme);
    let pieced = &app.inspector.tokens;
    let key = app.keymap.shown(Command::TokensTry);
    let mut rows = Vec::new();
    if let Some(input) = &pieced.trying {
        rows.push(Row::of(1, "Try a word: it splits as you type", theme.style(Role::Text)));
        let typed = token::shown(input.text.as_bytes(), crate::token::TokenKind::Normal, &theme.symbols);
        let typed = if input.text.is_empty() { String::new() } else { typed };
        let caret = if theme.symbols.ascii { "|" } else { "▏" };
        let words = format!("{} {}{caret}", theme.symbols.here, text::tail(&typed, width.saturating_sub(6)));
        rows.push(Row::of(1, words, theme.style(Role::Strong)));
        if let Some((word, Some(pieces))) = app.display().tried_word() {
            rows.extend(split(message, word, pieces, 3, width));
        } else {
            rows.extend([Row::default(), Row::default()]);
        }
    } else {
        rows.push(Row::of(1, format!("{key} tries a word: it splits as you type"), theme.style(Role::Muted)));
    }
    let loaded = app.view().ready().map(|loaded| loaded.vocabulary.as_str());
    let before = pieced.tried.iter().filter(|(hash, ..)| Some(hash.as_str()) == loaded);
    rows.extend(before.map(|(_, word, pieces)| kept(message, word, pieces, width)));
    rows
}

/// `␣O │ uag │ ad` with the ids under the pieces, as many as fit, and how many there are.
fn split(message: &Message<'_>, word: &str, pieces: &Pieces, at: u16, width: u16) -> [Row; 2] {
    let theme = message.theme;
    let tokens: Vec<_> = pieces.tokens().collect();
    let counted = number::counted(tokens.len(), "token");
    let end = width.saturating_sub(text::width(&counted) + 3);
    let (mut names, mut ids) = (Row::default(), Row::default());
    let mut x = at;
    for (index, (id, (from, to))) in tokens.iter().enumerate() {
        let bytes = word.as_bytes().get(*from as usize..*to as usize).unwrap_or_default();
        let (name, id) = (message::visible(bytes, theme), id.0.to_string());
        let cells = text::width(&name).max(text::width(&id));
        if x + cells + 2 > end {
            names = names.and(x, "…", theme.style(Role::Muted));
            break;
        }
        names = names.and(x, name, theme.style(Role::TokenChosen));
        ids = ids.and(x, id, theme.style(Role::Muted));
        x += cells + 1;
        if index + 1 < tokens.len() {
            names = names.and(x, theme.symbols.vertical, theme.style(Role::Rule));
            x += 2;
        }
    }
    [names.until(width.saturating_sub(1), counted, theme.style(Role::Text)), ids]
}

/// A word that was tried before: `␣Paris   ␣Pa │ ris   2 tokens`
fn kept(message: &Message<'_>, word: &str, pieces: &Pieces, width: u16) -> Row {
    let theme = message.theme;
    let column = (width / 4).clamp(10, 18);
    let name = text::cut(&message::visible(word.as_bytes(), theme), column - 2);
    let bytes = |(from, to): (u32, u32)| word.as_bytes().get(from as usize..to as usize).unwrap_or_default();
    let names: Vec<String> = pieces.tokens().map(|(_, span)| message::visible(bytes(*span), theme)).collect();
    let counted = number::counted(names.len(), "token");
    let room = width.saturating_sub(column + 3 + text::width(&counted) + 4);
    let joined = text::cut(&names.join(&format!(" {} ", theme.symbols.vertical)), room);
    Row::of(3, name, theme.style(Role::Text)).and(column + 3, joined, theme.style(Role::Muted)).until(
        width.saturating_sub(1),
        counted,
        theme.style(Role::Text),
    )
}

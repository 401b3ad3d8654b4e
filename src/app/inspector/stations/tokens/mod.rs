//! The tokens station: how the tokenizer cut and merged the text.
//!
//! Invariant: what is listed is asked of the tokenizer, never guessed.

mod pieces;
mod state;

use crossterm::event::KeyEvent;

use super::{About, Hints, Keys, StationUnit};
use crate::app::inspector::{Exported, Wish};
use crate::app::{App, Display};
use crate::command::{Command, Context};
pub use state::Pieced;

/// 1
pub(crate) struct Tokens;

impl StationUnit for Tokens {
    fn about(&self) -> About {
        About {
            name: "tokens",
            title: "Tokens",
            strip: "tokens",
            shows: "the pieces a text is cut into",
            contexts: &[Context::Tokens],
            page: include_str!("tokens.md"),
        }
    }

    fn shows_own_pass(&self, _on: &Display<'_>) -> bool {
        true
    }

    fn wants(&self, on: &Display<'_>) -> Option<Wish> {
        on.pieces_wish()
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::TokensTry => app.inspector.try_word(),
            Command::TokensAll => app.inspector.tokens.all = !app.inspector.tokens.all,
            Command::OpenSelected => app.inspector.show_selected_alone(),
            _ => return app.inspector.row_command(view!(app), command, app.display().merges_on_display()),
        }
        true
    }

    fn input(&self, app: &mut App, key: KeyEvent) -> bool {
        app.inspector.trying_key(view!(app), key)
    }

    fn hints(&self, on: &Display<'_>) -> Hints {
        let keys = Keys(on.view.keymap);
        if on.inspector.tokens.trying.is_some() {
            return vec![
                ("Enter".into(), "keep it, try another"),
                (keys.rows(), "merge step"),
                ("Esc".into(), "end trying"),
            ];
        }
        vec![
            (keys.together(&[Command::TokenPrevious, Command::TokenNext]), "token"),
            (keys.together(&[Command::WordNext, Command::WordPrevious]), "word"),
            (keys.rows(), "merge step"),
            (keys.of(Command::TokensTry), "try a word"),
            (keys.of(Command::TokensAll), "all with template"),
            (keys.of(Command::CopyIds), "copy ids"),
        ]
    }

    fn export(&self, on: &Display<'_>, file: &mut Exported) {
        let line = on.stretch_on_display().map(|line| line.text);
        file.pieces = line.and_then(|text| on.known_pieces(&text).cloned().map(|pieces| (text, pieces)));
    }
}

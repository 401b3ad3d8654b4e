//! The tokens station: how the tokenizer cut and merged the text.
//!
//! Invariant: what is listed is asked of the tokenizer, never guessed.

mod pieces;
mod state;

use crossterm::event::KeyEvent;

use super::{Hints, Keys, StationUnit};
use crate::app::App;
use crate::app::inspector::{Exported, Wish};
use crate::command::{Command, Context};
pub use state::Pieced;

/// 1
pub(crate) struct Tokens;

impl StationUnit for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    fn title(&self) -> &'static str {
        "Tokens"
    }

    fn strip(&self) -> [&'static str; 2] {
        ["tok", "tokens"]
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Tokens]
    }

    fn shows_own_pass(&self, _app: &App) -> bool {
        true
    }

    fn wants(&self, app: &App) -> Option<Wish> {
        app.pieces_wish()
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::TokensTry => app.try_word(),
            Command::TokensAll => app.inspector.tokens.all = !app.inspector.tokens.all,
            Command::OpenSelected => app.show_selected_alone(),
            _ => return app.row_command(command, app.merges_on_display()),
        }
        true
    }

    fn input(&self, app: &mut App, key: KeyEvent) -> bool {
        app.trying_key(key)
    }

    fn hints(&self, app: &App) -> Hints {
        let keys = Keys(app);
        if app.inspector.tokens.trying.is_some() {
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

    fn page(&self) -> &'static str {
        include_str!("tokens.md")
    }

    fn export(&self, app: &App, file: &mut Exported) {
        let line = app.display().stretch_on_display().map(|line| line.text);
        file.pieces =
            line.and_then(|text| app.display().known_pieces(&text).cloned().map(|pieces| (text, pieces)));
    }
}

//! What a plain character does where keys go now: it is typed, moves something, is a command, or is nothing there.
//!
//! Invariant: a character that means nothing in a pane of commands is the beginning of a message.

use crossterm::event::KeyEvent;

use crate::app::{App, Focus};
use crate::command::Command;
use crate::config::chord;
use crate::config::keymap::is_plain;

/// What a plain character does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// It is typed into a text, or is a key of what is open over the panes.
    Typed,
    /// It moves a cursor, and may be pressed quickly and often.
    Moves,
    /// It is a command.
    Acts,
    /// It means nothing here, so it is text.
    Nothing,
}

impl App {
    /// What a key does, if it is a character.
    pub fn letter(&self, key: KeyEvent) -> Letter {
        if self.focus == Focus::Composer
            || self.takes_keys()
            || (self.focus == Focus::Inspector && self.inspector.types())
        {
            return Letter::Typed;
        }
        let found = self.contexts().into_iter().find_map(|context| self.keymap.lookup(context, key));
        match found {
            Some(command) if moves(command) => Letter::Moves,
            None if is_plain(chord::of(key)) && key.code != crossterm::event::KeyCode::Char(' ') => {
                Letter::Nothing
            }
            _ => Letter::Acts,
        }
    }

    /// Whether something lies over the panes that takes keys before them.
    fn takes_keys(&self) -> bool {
        let line = self.transcript.find.is_some() || self.talk.chats.types(self.focus);
        !self.overlays.is_empty() || self.tour.is_some() || line || self.view().steps_here()
    }
}

/// Whether a command moves a cursor and nothing else.
fn moves(command: Command) -> bool {
    use Command as C;
    matches!(
        command,
        C::MessageDown
            | C::MessageUp
            | C::TokenNext
            | C::TokenPrevious
            | C::TokenFirst
            | C::TokenLast
            | C::WordNext
            | C::WordPrevious
            | C::UncertainNext
            | C::UncertainPrevious
            | C::ChatDown
            | C::ChatUp
            | C::CodeLeft
            | C::CodeRight
    )
}

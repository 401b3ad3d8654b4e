//! What stations and overlays say of their keys, for their hints.
//!
//! Invariant: keys are those in use, never the defaults; arrow keys stand as arrows.

use crate::command::Command;
use crate::config::keymap::Keymap;

/// Keys with what they do.
pub(crate) type Hints = Vec<(String, &'static str)>;

/// Rows and columns that an arrow moves by; `None` for another command.
pub(crate) fn arrow(command: Command) -> Option<(i32, i32)> {
    match command {
        Command::SelectUp => Some((-1, 0)),
        Command::SelectDown => Some((1, 0)),
        Command::SelectLeft => Some((0, -1)),
        Command::SelectRight => Some((0, 1)),
        _ => None,
    }
}

/// A key as hints spell it.
fn spelt(key: String) -> String {
    let arrows = [("Up", "↑"), ("Down", "↓"), ("Left", "←"), ("Right", "→"), ("Del", "Delete")];
    arrows.into_iter().find(|(name, _)| *name == key).map_or(key, |(_, arrow)| arrow.to_owned())
}

/// The keys in use.
pub(crate) struct Keys<'a>(pub &'a Keymap);

impl Keys<'_> {
    /// The first key of a command.
    pub fn of(&self, command: Command) -> String {
        spelt(self.0.shown(command))
    }

    /// The last key of a command.
    pub fn last(&self, command: Command) -> String {
        spelt(self.0.shown_all(command).pop().unwrap_or_default())
    }

    /// Those of several side by side.
    pub fn together(&self, commands: &[Command]) -> String {
        let keys: Vec<String> =
            commands.iter().map(|command| self.of(*command)).filter(|key| !key.is_empty()).collect();
        let gap = if keys.iter().all(|key| "↑↓←→".contains(key.as_str())) { "" } else { " " };
        keys.join(gap)
    }

    /// Up and down in a list.
    pub fn list(&self) -> String {
        self.together(&[Command::ListUp, Command::ListDown])
    }

    /// Up and down.
    pub fn rows(&self) -> String {
        self.together(&[Command::SelectUp, Command::SelectDown])
    }

    /// Left and right.
    pub fn columns(&self) -> String {
        self.together(&[Command::SelectLeft, Command::SelectRight])
    }

    /// All four.
    pub fn cells(&self) -> String {
        self.rows() + &self.columns()
    }
}

//! Keys to commands, per context: the command table's defaults with `[keys]` put over them.

use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyModifiers};

use crate::command::{Command, Context};

/// A key with its modifiers, as the keymap stores it.
pub type Chord = (KeyCode, KeyModifiers);

/// Keys to commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keymap {
    /// By context and chord.
    pub bindings: HashMap<(Context, Chord), Command>,
}

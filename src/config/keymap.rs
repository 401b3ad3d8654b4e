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

impl Keymap {
    /// Placeholder until the configuration's part is merged.
    #[must_use]
    pub fn build(
        _: &[crate::command::Entry],
        _: &std::collections::BTreeMap<String, Vec<String>>,
    ) -> (Self, Vec<super::Warning>) {
        (Self::default(), Vec::new())
    }

    /// Placeholder until the configuration's part is merged: the first default key, as hints show it.
    #[must_use]
    pub fn shown(&self, command: Command) -> String {
        let Some(key) = command.entry().keys.first() else { return String::new() };
        key.split('+')
            .map(|part| match part {
                "backtab" => "Shift+Tab".to_owned(),
                "pageup" => "PgUp".to_owned(),
                "pagedown" => "PgDn".to_owned(),
                "left" => "←".to_owned(),
                "right" => "→".to_owned(),
                "up" => "↑".to_owned(),
                "down" => "↓".to_owned(),
                part if part.len() == 1 && part.len() == key.len() => part.to_owned(),
                part => part[..1].to_uppercase() + &part[1..],
            })
            .collect::<Vec<_>>()
            .join("+")
    }
}

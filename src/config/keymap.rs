//! Keys to commands, per context: the command table's defaults with `[keys]` put over them.

use std::collections::{BTreeMap, HashMap};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::Warning;
use crate::command::{Command, Context, Entry};

/// A key with its modifiers, as the keymap stores it.
pub type Chord = (KeyCode, KeyModifiers);

/// Keys to commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keymap {
    /// By context and chord.
    pub bindings: HashMap<(Context, Chord), Command>,
}

impl Keymap {
    /// Default keys of `table` with `keys` put over them.
    #[must_use]
    pub fn build(table: &[Entry], keys: &BTreeMap<String, Vec<String>>) -> (Self, Vec<Warning>) {
        let mut map = Self::default();
        for entry in table {
            let texts = match keys.get(entry.name) {
                Some(own) => own.clone(),
                None => entry.keys.iter().map(|key| (*key).to_owned()).collect(),
            };
            for chord in texts.iter().filter_map(|text| parse(text)) {
                map.bindings.entry((entry.context, chord)).or_insert(entry.command);
            }
        }
        (map, Vec::new())
    }

    /// The command of a key in one context.
    #[must_use]
    pub fn lookup(&self, context: Context, key: KeyEvent) -> Option<Command> {
        let modifiers = match key.code {
            KeyCode::Char(_) | KeyCode::BackTab => key.modifiers - KeyModifiers::SHIFT,
            _ => key.modifiers,
        };
        self.bindings.get(&(context, (key.code, modifiers))).copied()
    }

    /// A key of a command as hints show it.
    #[must_use]
    pub fn shown(&self, command: Command) -> String {
        let chord = self.bindings.iter().find(|(_, other)| **other == command);
        chord.map(|((_, (code, modifiers)), _)| format!("{modifiers}+{code}")).unwrap_or_default()
    }
}

fn parse(text: &str) -> Option<Chord> {
    let mut modifiers = KeyModifiers::empty();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('+').filter(|(name, _)| !name.is_empty()) {
        modifiers |= match name {
            "ctrl" => KeyModifiers::CONTROL,
            "alt" => KeyModifiers::ALT,
            "shift" => KeyModifiers::SHIFT,
            _ => return None,
        };
        rest = after;
    }
    let code = match rest {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backtab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pageup" => KeyCode::PageUp,
        "pagedown" => KeyCode::PageDown,
        "delete" => KeyCode::Delete,
        "space" => KeyCode::Char(' '),
        other => match (other.strip_prefix('f').and_then(|n| n.parse().ok()), other.chars().next()) {
            (Some(number), _) => KeyCode::F(number),
            (None, Some(character)) if other.chars().count() == 1 => KeyCode::Char(character),
            _ => return None,
        },
    };
    Some((code, modifiers))
}

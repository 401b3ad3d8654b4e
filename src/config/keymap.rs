//! Keys to commands, per context: the command table's defaults with `[keys]` put over them.
//!
//! Invariant: inside one context a chord means one command; the user's own keys win over default ones.

use std::collections::{BTreeMap, HashMap};

use crossterm::event::{KeyEvent, KeyEventKind};

pub use super::chord::Chord;
use super::document::did_you_mean;
use super::{Warning, chord};
use crate::command::{Command, Context, Entry, TABLE};

/// Keys to commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keymap {
    /// By context and chord.
    pub bindings: HashMap<(Context, Chord), Command>,
    /// The chords of each command that has any, in the order of its list.
    pub chords: HashMap<Command, Vec<Chord>>,
}

impl Keymap {
    /// The default keys of the command table.
    #[must_use]
    pub fn defaults() -> Self {
        Self::build(TABLE, &BTreeMap::new()).0
    }

    /// Default keys of `table` with `keys` (command name to keys; an empty list unbinds) put over them.
    ///
    /// Warns about names that are no command, texts that are no key, a chord that two commands of one context
    /// share, and chords that many terminals send as something else.
    #[must_use]
    pub fn build(table: &[Entry], keys: &BTreeMap<String, Vec<String>>) -> (Self, Vec<Warning>) {
        let mut map = Self::default();
        let mut warnings = Vec::new();
        for name in keys.keys().filter(|name| table.iter().all(|entry| entry.name != **name)) {
            let hint = did_you_mean(name, table.iter().map(|entry| entry.name));
            warnings.push(warning(name, format!("no command has this name{hint}; it is left out")));
        }
        // The user's come first, and so win over defaults.
        for entry in table {
            for text in keys.get(entry.name).into_iter().flatten() {
                match chord::parse(text) {
                    Ok(chord) => {
                        warnings.extend(chord::trap(chord).map(|why| warning(entry.name, why.into())));
                        warnings.extend(map.bind(table, entry, chord));
                    }
                    Err(problem) => warnings.push(warning(entry.name, format!("{problem}; it is left out"))),
                }
            }
        }
        for entry in table.iter().filter(|entry| !keys.contains_key(entry.name)) {
            for text in entry.keys {
                let chord = chord::parse(text).expect("the table's own keys are tested");
                warnings.extend(map.bind(table, entry, chord));
            }
        }
        (map, warnings)
    }

    fn bind(&mut self, table: &[Entry], entry: &Entry, chord: Chord) -> Option<Warning> {
        let place = (entry.context, chord);
        if let Some(first) = self.bindings.get(&place).copied().filter(|first| *first != entry.command) {
            let first = table.iter().find(|other| other.command == first).map_or("", |other| other.name);
            let shown = chord::shown(chord);
            let message =
                format!("{shown} is \"{first}\" already, and stays it; \"{}\" loses it", entry.name);
            return Some(warning(entry.name, message));
        }
        self.bindings.insert(place, entry.command);
        let chords = self.chords.entry(entry.command).or_default();
        if !chords.contains(&chord) {
            chords.push(chord);
        }
        None
    }

    /// The command of a key in one context; [`Context::Global`] is asked for on its own. A release is no key.
    #[must_use]
    pub fn lookup(&self, context: Context, event: KeyEvent) -> Option<Command> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        self.bindings.get(&(context, chord::of(event))).copied()
    }

    /// The first key of a command as hints and help show it, e.g. `Ctrl+R`; empty where it has none.
    #[must_use]
    pub fn shown(&self, command: Command) -> String {
        self.shown_all(command).into_iter().next().unwrap_or_default()
    }

    /// All keys of a command as help shows them.
    #[must_use]
    pub fn shown_all(&self, command: Command) -> Vec<String> {
        self.chords.get(&command).into_iter().flatten().map(|chord| chord::shown(*chord)).collect()
    }
}

fn warning(command: &str, message: String) -> Warning {
    Warning { file: "keys".into(), line: 0, key: format!("keys.{command}"), message }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyModifiers};

    use super::*;

    fn keys(list: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |keys: &[&str]| keys.iter().map(ToString::to_string).collect();
        list.iter().map(|(name, keys)| ((*name).to_owned(), owned(keys))).collect()
    }

    #[test]
    fn default_keys_parse_and_conflict_nowhere() {
        let (map, warnings) = Keymap::build(TABLE, &BTreeMap::new());
        assert_eq!(warnings, []);
        assert_eq!(map.shown(Command::Regenerate), "Ctrl+R");
        assert_eq!(map.shown(Command::Suspend), "");
        assert_eq!(map.shown_all(Command::Newline), ["Alt+Enter", "Ctrl+J", "Shift+Enter"]);
    }

    #[test]
    fn default_keys_avoid_what_terminals_take() {
        let taken =
            TABLE.iter().flat_map(|entry| entry.keys).filter_map(|key| chord::trap(chord::parse(key).ok()?));
        assert_eq!(taken.count(), 0);
    }

    #[test]
    fn a_users_key_wins_over_a_default_one_and_both_are_named() {
        let (map, warnings) = Keymap::build(TABLE, &keys(&[("edit", &["r"])]));
        let event = KeyEvent::new(KeyCode::Char('r'), KeyModifiers::NONE);
        assert_eq!(map.lookup(Context::Transcript, event), Some(Command::Edit));
        assert_eq!(map.lookup(Context::Chats, event), Some(Command::Rename));
        assert_eq!(map.lookup(Context::Global, event), None);
        assert_eq!(map.shown(Command::RegenerateHere), "");
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].message.contains("\"edit\"") && warnings[0].message.contains("\"regenerate-here\"")
        );
    }

    #[test]
    fn an_empty_list_unbinds() {
        let (map, warnings) = Keymap::build(TABLE, &keys(&[("quit", &[])]));
        assert_eq!(map.shown(Command::Quit), "");
        assert_eq!(warnings, []);
    }

    #[test]
    fn poor_choices_are_kept_and_explained() {
        for (key, why) in [
            ("ctrl+m", "Enter"),
            ("ctrl+i", "Tab"),
            ("ctrl+h", "Back"),
            ("ctrl+s", "output"),
            ("ctrl+[", "Esc"),
        ] {
            let (map, warnings) = Keymap::build(TABLE, &keys(&[("redraw", &[key])]));
            assert_eq!(map.chords[&Command::Redraw].len(), 1);
            assert!(warnings.len() == 1 && warnings[0].message.contains(why), "{key}: {warnings:?}");
        }
    }

    #[test]
    fn unknown_commands_name_the_nearest() {
        let (map, warnings) =
            Keymap::build(TABLE, &keys(&[("regenrate", &["ctrl+y"]), ("quit", &["ctlr+q"])]));
        assert!(warnings[0].message.contains("\"regenerate\""), "{warnings:?}");
        assert!(warnings[1].message.contains("is no key"));
        assert_eq!(map.shown(Command::Regenerate), "Ctrl+R");
    }

    #[test]
    fn a_release_is_no_key() {
        let mut event = KeyEvent::new(KeyCode::F(1), KeyModifiers::NONE);
        event.kind = KeyEventKind::Release;
        assert_eq!(Keymap::defaults().lookup(Context::Global, event), None);
    }
}

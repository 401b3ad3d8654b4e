//! What is wrong with a user's `[keys]` as a whole: keys that two commands want, that terminals do not tell apart, that
//! are typed as text, and commands that nobody can do without.
//!
//! Invariant: default keys alone are never a conflict; a warning names both commands, and the line of the user's.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::document::position;
use super::keymap::{Chord, Keymap, is_plain};
use super::{Warning, chord};
use crate::command::{Command, Context, TABLE};

/// Commands that everyone needs a key for.
const NEEDED: [Command; 4] = [Command::Send, Command::Escape, Command::Help, Command::Quit];

/// Contexts in which every character is typed.
const TYPED: [Context; 5] =
    [Context::Picker, Context::Help, Context::Models, Context::Settings, Context::Ledger];

/// The stations' contexts, which are asked before the inspector's.
const STATIONS: &[Context] = Context::INSPECTOR.split_at(1).1;

/// What is wrong with the keys that a user has chosen; `file` is the configuration's name and text.
pub(super) fn warnings(
    keys: &BTreeMap<String, Vec<String>>,
    file: Option<&(String, String)>,
) -> Vec<Warning> {
    if keys.is_empty() {
        return Vec::new();
    }
    let (map, mut found) = Keymap::build(TABLE, keys);
    let defaults = Keymap::defaults();
    found.extend(hidden(&map, &defaults));
    found.extend(typed(&map, &defaults));
    found.extend(missing(&map));
    for warning in &mut found {
        place(warning, file);
    }
    found
}

/// The contexts that are asked before one. What is open over the panes for a while (lists, step mode, the tour) has keys
/// of its own, which is no conflict with what lies under it.
fn before(outer: Context) -> Vec<Context> {
    match outer {
        Context::Global => {
            let panes = [Context::Composer, Context::Transcript, Context::Chats, Context::Inspector];
            panes.into_iter().chain(STATIONS.iter().copied()).collect()
        }
        Context::Inspector => STATIONS.to_vec(),
        Context::Why => vec![Context::Patching],
        Context::Picker => vec![Context::Models, Context::Settings],
        Context::Reader => vec![Context::Help],
        _ => Vec::new(),
    }
}

/// Keys of which one command takes another's in a part of where that counts.
fn hidden(map: &Keymap, defaults: &Keymap) -> Vec<Warning> {
    let mut pairs: BTreeMap<(&str, &str), (Chord, Context)> = BTreeMap::new();
    for ((outer, chord), loses) in &map.bindings {
        for inner in before(*outer) {
            let Some(takes) = map.bindings.get(&(inner, *chord)).filter(|takes| *takes != loses) else {
                continue;
            };
            let is_default = |context, command| defaults.bindings.get(&(context, *chord)) == Some(command);
            if !(is_default(*outer, loses) && is_default(inner, takes)) {
                let names = (takes.entry().name, loses.entry().name);
                let first = pairs.entry(names).or_insert((*chord, inner));
                if (inner as usize) < first.1 as usize {
                    *first = (*chord, inner);
                }
            }
        }
    }
    let message = |((takes, loses), (chord, inner)): ((&str, &str), (Chord, Context))| {
        let (key, there) = (chord::shown(chord), inner.place());
        warning(loses, format!("{key} is \"{takes}\" {there}; \"{loses}\" does not get it there"))
    };
    pairs.into_iter().map(message).collect()
}

/// Characters that are typed where their command would count.
fn typed(map: &Keymap, defaults: &Keymap) -> Vec<Warning> {
    let mut found: BTreeMap<(&str, String), &str> = BTreeMap::new();
    for ((context, chord), command) in &map.bindings {
        if !is_plain(*chord) || defaults.bindings.get(&(*context, *chord)) == Some(command) {
            continue;
        }
        let gets = match context {
            Context::Composer => "gets it only while the message is empty",
            Context::Global => "gets it only outside the message",
            typed if TYPED.contains(typed) => "never gets it",
            _ => continue,
        };
        found.insert((command.entry().name, chord::shown(*chord)), gets);
    }
    let message = |((name, key), gets): ((&str, String), &str)| {
        warning(name, format!("{key} is typed as text there; \"{name}\" {gets}"))
    };
    found.into_iter().map(message).collect()
}

/// Commands that are left without a key and should not be.
fn missing(map: &Keymap) -> Vec<Warning> {
    let without = NEEDED.iter().filter(|command| map.shown(**command).is_empty());
    let message = |command: &Command| {
        let name = command.entry().name;
        warning(name, format!("\"{name}\" has no key any more; the palette and /{name} still do it"))
    };
    without.map(message).collect()
}

fn warning(command: &str, message: String) -> Warning {
    Warning { file: String::new(), line: 0, key: format!("keys.{command}"), message }
}

/// Says where the user has written it: at the command's own name, else at that of another which the message names.
fn place(warning: &mut Warning, file: Option<&(String, String)>) {
    warning.file = "configuration".into();
    let Some((name, text)) = file else { return };
    let own = warning.key.trim_start_matches("keys.").to_owned();
    let others = warning.message.split('"').skip(1).step_by(2).map(str::to_owned);
    let mut written = std::iter::once(own).chain(others);
    if let Some((line, of)) = written.find_map(|of| Some((line_of(text, &of)?, of))) {
        (warning.file, warning.line, warning.key) = (name.clone(), line, format!("keys.{of}"));
    }
}

/// The line on which `[keys]` has a command.
fn line_of(text: &str, command: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let keys = table.get_ref().get("keys")?.get_ref().as_table()?;
    let key = keys.keys().find(|key| key.get_ref() == command)?;
    Some(position(text, key.span().start).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let table: BTreeMap<String, BTreeMap<String, Vec<String>>> = toml::from_str(text).unwrap();
        let found = warnings(&table["keys"], Some(&("config.toml".into(), text.into())));
        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(said, expected, "{text}");
    }

    #[test]
    fn one_key_for_two_commands_names_both_and_the_line() {
        check(
            "[keys]\nmodels = [\"f9\"]\nthoughts = [\"f9\"]\n",
            &["config.toml:2: keys.models: F9 is \"thoughts\" already, and stays it; \"models\" loses it"],
        );
        check(
            "# mine\n[keys]\nnew = [\"ctrl+g\"]\n",
            &["config.toml:3: keys.new: Ctrl+G is \"new\" already, and stays it; \"search\" loses it"],
        );
    }

    #[test]
    fn a_key_that_a_pane_takes_from_everywhere_is_told() {
        check(
            "[keys]\nedit = [\"ctrl+l\"]\n",
            &[
                "config.toml:2: keys.edit: Ctrl+L is \"edit\" in the transcript; \"models\" does not get it there",
            ],
        );
        check(
            "[keys]\nlayers-grid = [\"z\"]\n",
            &[
                "config.toml:2: keys.layers-grid: z is \"layers-grid\" in the layers station; \"zoom\" does not get it there",
            ],
        );
    }

    #[test]
    fn what_terminals_send_as_another_key_names_its_command() {
        check(
            "[keys]\nredraw = [\"ctrl+i\"]\n",
            &["config.toml:2: keys.redraw: many terminals send Ctrl+I as Tab, which is \"focus-next\""],
        );
        check(
            "[keys]\nredraw = [\"ctrl+shift+r\"]\n",
            &[
                "config.toml:2: keys.redraw: many terminals send Ctrl+Shift+R as Ctrl+R, which is \"regenerate\"",
            ],
        );
    }

    #[test]
    fn what_is_typed_as_text_is_told() {
        check(
            "[keys]\nmodels = [\"q\"]\n",
            &[
                "config.toml:2: keys.models: q is typed as text there; \"models\" gets it only outside the message",
            ],
        );
        check(
            "[keys]\nsend = [\"enter\", \"x\"]\n",
            &[
                "config.toml:2: keys.send: x is typed as text there; \"send\" gets it only while the message is empty",
            ],
        );
        check(
            "[keys]\nsave-setting = [\"s\"]\n",
            &["config.toml:2: keys.save-setting: s is typed as text there; \"save-setting\" never gets it"],
        );
    }

    #[test]
    fn what_nobody_can_do_without_needs_a_key() {
        check(
            "[keys]\nquit = []\n",
            &["config.toml:2: keys.quit: \"quit\" has no key any more; the palette and /quit still do it"],
        );
        // Its only key went to another command.
        check(
            "[keys]\nredraw = [\"ctrl+q\"]\n",
            &[
                "config.toml:2: keys.redraw: Ctrl+Q is \"redraw\" already, and stays it; \"quit\" loses it",
                "configuration: keys.quit: \"quit\" has no key any more; the palette and /quit still do it",
            ],
        );
    }

    #[test]
    fn keys_that_are_free_or_as_they_were_are_no_conflict() {
        check("[keys]\nmodels = [\"f9\"]\nlist-down = [\"down\", \"ctrl+n\"]\npage-up = [\"pageup\"]\n", &[]);
        check("[keys]\nregenerate-here = [\"e\"]\nedit = [\"r\"]\n", &[]);
    }
}

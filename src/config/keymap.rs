//! Keys to commands, per context: the command table's defaults with `[keys]` put over them.
//!
//! Invariant: inside one context a chord means one command; the user's own keys win over default ones.

use std::collections::{BTreeMap, HashMap};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

pub use super::chord::Chord;
use super::document::did_you_mean;
use super::{Warning, chord, layout};
use crate::command::{Command, Context, Entry, Place, RENAMED, Renamed, TABLE};

/// Where keys go while nothing is open.
const PANES: [Context; 4] = [Context::Composer, Context::Transcript, Context::Chats, Context::Inspector];

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
    /// A name of an earlier version stands for the commands that it has become. Where a command has keys both
    /// everywhere and in panes, a plain character is one of the panes' and any other key counts everywhere, since a
    /// character is typed where the message is written.
    ///
    /// Warns about names that are not commands, texts that are not keys, a chord that two commands of one context
    /// share, and chords that many terminals send as something else.
    #[must_use]
    pub fn build(table: &[Entry], keys: &BTreeMap<String, Vec<String>>) -> (Self, Vec<Warning>) {
        let mut map = Self::default();
        let mut warnings = Vec::new();
        let known = |name: &str| Renamed::of(name).is_some() || table.iter().any(|entry| entry.name == name);
        for name in keys.keys().filter(|name| !known(name)) {
            let hint = did_you_mean(name, table.iter().map(|entry| entry.name));
            warnings.push(warning(name, format!("no command has this name{hint}; it is left out")));
        }
        let chosen: Vec<(&Entry, Chosen)> =
            table.iter().map(|entry| (entry, Chosen::of(entry, keys, &mut warnings))).collect();
        // The user's come first, and so win over defaults.
        for (entry, chosen) in &chosen {
            for chord in &chosen.chords {
                for place in entry.places.iter().filter(|place| takes(entry, place, *chord)) {
                    warnings.extend(map.bind(table, entry, place, *chord));
                }
            }
        }
        for (entry, chosen) in &chosen {
            for place in entry.places.iter().filter(|place| !chosen.replaces(entry, place)) {
                for text in place.keys {
                    let chord = chord::parse(text).expect("the table's own keys are tested");
                    warnings.extend(map.bind(table, entry, place, chord));
                }
            }
        }
        for (entry, chosen) in &chosen {
            warnings.extend(chosen.chords.iter().filter_map(|chord| map.trapped(entry, *chord)));
        }
        (map, warnings)
    }

    /// What is wrong with a chord that many terminals send as another, or not at all.
    fn trapped(&self, entry: &Entry, chord: Chord) -> Option<Warning> {
        let trap = chord::trap(chord)?;
        let other = trap.sent_as.and_then(|other| {
            let here = entry.contexts().chain([Context::Global]).chain(PANES);
            here.filter_map(|context| self.bindings.get(&(context, other)))
                .find(|found| **found != entry.command)
        });
        let which = other.map_or_else(String::new, |other| format!(", which is \"{}\"", other.entry().name));
        Some(warning(entry.name, trap.why + &which))
    }

    fn bind(&mut self, table: &[Entry], entry: &Entry, place: &Place, chord: Chord) -> Option<Warning> {
        let mut taken = None;
        for context in place.contexts {
            let first = self.bindings.get(&(*context, chord)).copied();
            if let Some(first) = first.filter(|first| *first != entry.command) {
                taken = Some(first);
                continue;
            }
            self.bindings.insert((*context, chord), entry.command);
            let chords = self.chords.entry(entry.command).or_default();
            if !chords.contains(&chord) {
                chords.push(chord);
            }
        }
        let first = table.iter().find(|other| Some(other.command) == taken)?.name;
        let shown = chord::shown(chord);
        let message = format!("{shown} is \"{first}\" already, and stays it; \"{}\" loses it", entry.name);
        Some(warning(entry.name, message))
    }

    /// The command of a key in one context, by what it types or by the Latin letter on that key; [`Context::Global`] is asked for on its own. A release is not a key.
    #[must_use]
    pub fn lookup(&self, context: Context, event: KeyEvent) -> Option<Command> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let chord = chord::of(event);
        // In a text a letter of another script is that letter.
        let is_text = is_plain(chord) && matches!(context, Context::Composer | Context::Global);
        let other = || layout::named(chord.0, chord.1).filter(|_| !is_text).map(|code| (code, chord.1));
        let found = self.bindings.get(&(context, chord));
        found.or_else(|| self.bindings.get(&(context, other()?))).copied()
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

/// What the user has chosen for a command.
#[derive(Default)]
struct Chosen {
    chords: Vec<Chord>,
    /// Whether they stand for the default ones rather than beside them.
    instead: bool,
}

impl Chosen {
    /// Under the command's own name, else under the names that it had.
    fn of(entry: &Entry, keys: &BTreeMap<String, Vec<String>>, warnings: &mut Vec<Warning>) -> Self {
        let mut chosen = Self::default();
        let mut take = |name: &str, instead: bool| {
            let Some(texts) = keys.get(name) else { return false };
            chosen.instead |= instead;
            for text in texts {
                match chord::parse(text) {
                    Ok(chord) => chosen.chords.push(chord),
                    Err(problem) => warnings.push(warning(name, format!("{problem}; it is left out"))),
                }
            }
            true
        };
        if !take(entry.name, true) {
            for renamed in RENAMED.iter().filter(|renamed| renamed.now.contains(&entry.command)) {
                take(renamed.old, !renamed.adds);
            }
        }
        chosen
    }

    /// Whether the default keys of a place give way.
    fn replaces(&self, entry: &Entry, place: &Place) -> bool {
        self.instead
            && (self.chords.is_empty() || self.chords.iter().any(|chord| takes(entry, place, *chord)))
    }
}

/// Whether a user's chord for a command counts in one of its places.
fn takes(entry: &Entry, place: &Place, chord: Chord) -> bool {
    let everywhere = |place: &Place| place.contexts.contains(&Context::Global);
    let is_split = entry.places.iter().any(everywhere) && !entry.places.iter().all(everywhere);
    !is_split || everywhere(place) != is_plain(chord)
}

/// Whether a chord is a character as it is typed.
#[must_use]
pub fn is_plain(chord: Chord) -> bool {
    matches!(chord.0, KeyCode::Char(_)) && !chord.1.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
}

fn warning(command: &str, message: String) -> Warning {
    Warning { file: "keys".into(), line: 0, key: format!("keys.{command}"), message }
}

#[cfg(test)]
mod tests {
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
        let taken = TABLE.iter().flat_map(Entry::keys).filter_map(|key| chord::trap(chord::parse(key).ok()?));
        assert_eq!(taken.map(|trap| trap.why).collect::<Vec<_>>(), [""; 0]);
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
        assert!(warnings[1].message.contains("is not a key"));
        assert_eq!(map.shown(Command::Regenerate), "Ctrl+R");
    }

    #[test]
    fn keys_of_other_layouts_are_found_by_their_place() {
        let map = Keymap::defaults();
        let press = |letter, held| KeyEvent::new(KeyCode::Char(letter), held);
        let (plain, ctrl, alt) = (KeyModifiers::NONE, KeyModifiers::CONTROL, KeyModifiers::ALT);
        for c in ['c', 'с', 'ψ', 'ב'] {
            assert_eq!(map.lookup(Context::Global, press(c, ctrl)), Some(Command::Interrupt), "{c}");
        }
        assert_eq!(map.lookup(Context::Transcript, press('о', plain)), Some(Command::MessageDown));
        assert_eq!(map.lookup(Context::Transcript, press('Ц', plain)), Some(Command::Weights));
        assert_eq!(map.lookup(Context::Global, press('é', alt)), Some(Command::StationEmbedding));
        assert_eq!(map.lookup(Context::Composer, press('о', plain)), None);
    }

    #[test]
    fn a_release_is_no_key() {
        let mut event = KeyEvent::new(KeyCode::F(1), KeyModifiers::NONE);
        event.kind = KeyEventKind::Release;
        assert_eq!(Keymap::defaults().lookup(Context::Global, event), None);
    }

    #[test]
    fn one_letter_means_another_command_in_each_station_and_each_can_be_changed() {
        let (map, warnings) =
            Keymap::build(TABLE, &keys(&[("layers-grid", &["t"]), ("layers-ranks", &["g"])]));
        assert_eq!(warnings, []);
        let letter =
            |context, letter| map.lookup(context, KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE));
        assert_eq!(letter(Context::Layers, 't'), Some(Command::LayersGrid));
        assert_eq!(letter(Context::Layers, 'g'), Some(Command::LayersRanks));
        assert_eq!(letter(Context::Attention, 'g'), Some(Command::AttentionPicture));
        assert_eq!(letter(Context::Why, 'a'), Some(Command::WhyAskOff));
        assert_eq!(letter(Context::Patching, 'v'), Some(Command::PatchText));
        assert_eq!(letter(Context::Inspector, '.'), Some(Command::OtherPass));
        assert_eq!(letter(Context::Inspector, '6'), Some(Command::StationLayers));
    }

    #[test]
    fn a_plain_character_for_a_command_of_everywhere_counts_in_the_panes_alone() {
        let (map, warnings) =
            Keymap::build(TABLE, &keys(&[("layers", &["f7"]), ("why", &["Q"]), ("help", &[])]));
        assert_eq!(warnings, []);
        assert_eq!(map.shown_all(Command::StationLayers), ["F7", "6"]);
        assert_eq!(map.shown_all(Command::StationWhy), ["Q", "Alt+9"]);
        assert_eq!(map.shown(Command::Help), "");
        let event = KeyEvent::new(KeyCode::Char('Q'), KeyModifiers::NONE);
        assert_eq!(map.lookup(Context::Global, event), None);
    }

    #[test]
    fn keys_inside_lists_step_mode_and_tour_can_be_changed() {
        let changed = keys(&[("list-down", &["ctrl+n"]), ("accept-token", &["tab"]), ("tour-end", &["q"])]);
        let (map, warnings) = Keymap::build(TABLE, &changed);
        assert_eq!(warnings, []);
        assert_eq!(map.shown_all(Command::ListDown), ["Ctrl+N"]);
        let press = |code, held| KeyEvent::new(code, held);
        let (down, tab) = (press(KeyCode::Char('n'), KeyModifiers::CONTROL), KeyCode::Tab);
        assert_eq!(map.lookup(Context::Overlay, down), Some(Command::ListDown));
        assert_eq!(map.lookup(Context::StepMode, press(tab, KeyModifiers::NONE)), Some(Command::AcceptToken));
        assert_eq!(map.lookup(Context::Tour, press(KeyCode::Esc, KeyModifiers::NONE)), None);
    }

    #[test]
    fn old_names_go_on_working_beside_keys_that_were_fixed() {
        let old = keys(&[("log-scale", &["G"]), ("pick", &["f8"]), ("watch", &["W"])]);
        let (map, warnings) = Keymap::build(TABLE, &old);
        assert_eq!(map.shown_all(Command::LayersGrid), ["G"]);
        assert_eq!(map.shown_all(Command::EmbeddingMap), ["G"]);
        assert_eq!(map.shown_all(Command::PositionPick), ["F8", "p"]);
        assert_eq!(map.shown_all(Command::NextRival), ["W"]);
        // In attention the letter was another command's default, which loses it to the user's.
        assert_eq!(map.shown_all(Command::AttentionPicture), ["G"]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].message.contains("\"attention-grain\" loses it"), "{warnings:?}");
    }

    #[test]
    fn old_names_are_of_commands_that_have_other_names_now() {
        for renamed in RENAMED {
            assert_eq!(Command::named(renamed.old), None, "{}", renamed.old);
            assert!(!renamed.now.is_empty(), "{}", renamed.old);
        }
        assert_eq!(Renamed::of("flip").unwrap().names(), "\"softmax-strip\" and \"attention-readers\"");
    }
}

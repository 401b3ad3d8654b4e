//! What stands on each page of the help: the keys that matter first, how things work, all keys by place, the stations.
//!
//! Invariant: keys are those in use, never the defaults; a text names commands, and is shown with their keys.

use super::page::{EVERYWHERE, Page, STEERING};
use crate::app::{App, Keys, Station};
use crate::command::{Command, Context, Entry, Group, TABLE};
use crate::config::keymap::Keymap;
use crate::fold::fold;

/// What a page of the help is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelpPage {
    /// The keys that matter first.
    Start,
    /// What there is, in short.
    Guide,
    /// The keys of a place, by its number.
    Place(usize),
    /// A station of the inspector.
    Station(Station),
    /// The steering panel.
    Steering,
}

/// A part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelpPart {
    /// A heading.
    Title(String),
    /// An empty row.
    Blank,
    /// Sentences.
    Text(String),
    /// A word or a key, and what is said of it.
    Term(String, String),
    /// A formula and where it comes from.
    Formula(String, String),
    /// A command: its keys, what it does, its name.
    Command(&'static Entry),
}

/// The keys of a new user, in the order of their worth.
const FIRST: &[(&[Command], &str)] = &[
    (&[Command::Send], "send what you typed"),
    (&[Command::Newline], "a new line in the message"),
    (&[Command::Escape], "stop the reply; else close or leave what is open"),
    (&[Command::Regenerate], "another answer; the one that is there stays beside it"),
    (&[Command::FocusNext], "up into the conversation, and back to the message"),
    (&[Command::WordPrevious, Command::WordNext], "there: the word before, the word after"),
    (&[Command::Alternatives], "on a word: what else could have come; take one of these"),
    (
        &[Command::StationTokens, Command::StationWhy],
        "first and last of nine views of how that word came about",
    ),
    (&[Command::Palette], "every command, chat, model and setting, by its name"),
    (&[Command::Models], "another model"),
    (&[Command::Help], "this help"),
    (&[Command::Quit], "leave; chat and draft are kept"),
];

/// Where keys count, and what the commands there do not say.
struct Place {
    title: &'static str,
    contexts: &'static [Context],
    note: &'static str,
}

/// The places, in the order of their pages. Those of contexts that none of them names come last.
const PLACES: [Place; 6] = [
    Place {
        title: "Keys in the message",
        contexts: &[Context::Composer],
        note: "@ and a name put a text file into the message. Shift and the arrows select, Alt+B and Alt+F go by words, \
               Ctrl+W and Ctrl+K cut, Ctrl+Y puts back. Keys that come all at once are a paste: no line end in it sends.",
    },
    Place {
        title: "Keys in the conversation",
        contexts: &[Context::Transcript],
        note: "A letter that means nothing there begins a message.",
    },
    Place { title: "Keys in the list of chats", contexts: &[Context::Chats], note: "" },
    Place {
        title: "Keys in the inspector",
        contexts: &Context::INSPECTOR,
        note: "What begins with a station's name and a colon counts there alone.",
    },
    Place {
        title: "Keys everywhere",
        contexts: &[Context::Global],
        note: "Alt and a digit open a station where the terminal passes Alt on. On a Mac, let the terminal send Option as \
               Meta (Esc+), or type /station and the number.",
    },
    Place { title: "Keys in lists and windows", contexts: &[], note: "" },
];

/// The groups as sections of the keys that count everywhere.
const SECTIONS: [(Group, &str); 6] = [
    (Group::Replies, "Replies"),
    (Group::Chats, "Chats"),
    (Group::Inspector, "Looking inside"),
    (Group::Models, "Models and settings"),
    (Group::Writing, "Writing"),
    (Group::App, "The app"),
];

/// What there is, in short.
const GUIDE: &str = include_str!("guide.md");

/// Pages before those of the places.
const PLACES_FROM: usize = 2;
/// Pages before those of the stations.
const STATIONS_FROM: usize = PLACES_FROM + PLACES.len();

impl HelpPage {
    /// How many pages there are.
    pub fn count() -> usize {
        STATIONS_FROM + Station::ALL.len() + 1
    }

    /// The page of that number, from 0; the last one beyond the end.
    pub fn at(number: usize) -> Self {
        match number {
            0 => Self::Start,
            1 => Self::Guide,
            place if place < STATIONS_FROM => Self::Place(place - PLACES_FROM),
            station => {
                Station::ALL.get(station - STATIONS_FROM).map_or(Self::Steering, |at| Self::Station(*at))
            }
        }
    }

    /// The number of a page.
    pub fn number(self) -> usize {
        (0..Self::count()).find(|number| Self::at(*number) == self).unwrap_or_default()
    }

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Start => "The keys that matter first",
            Self::Guide => "How it works",
            Self::Place(place) => PLACES[place].title,
            Self::Station(station) => station.about().title,
            Self::Steering => "Steering",
        }
    }

    /// What stands on it, below its title.
    pub fn parts(self, app: &App) -> Vec<HelpPart> {
        match self {
            Self::Start => start(app),
            Self::Guide => guide(&app.keymap),
            Self::Place(place) => place_page(place),
            Self::Station(station) => page_of(&app.keymap, &Page::read(station.about().page)),
            Self::Steering => page_of(&app.keymap, &Page::read(STEERING)),
        }
    }
}

fn start(app: &App) -> Vec<HelpPart> {
    let key = Keys(&app.keymap);
    let wrong = app.book.key_warnings.iter().map(|warning| HelpPart::Text(format!("! {warning}")));
    let mut parts: Vec<HelpPart> = wrong.collect();
    if !parts.is_empty() {
        parts.push(HelpPart::Blank);
    }
    parts.extend(FIRST.iter().filter_map(|(commands, words)| {
        let keys = key.together(commands);
        (!keys.is_empty()).then(|| HelpPart::Term(keys, (*words).into()))
    }));
    let pages = key.together(&[Command::HelpPrevious, Command::HelpNext]);
    parts.push(HelpPart::Blank);
    parts.push(HelpPart::Text(format!(
        "Type to search all pages: a key, a command, a word. {pages} turn the pages: how it works, all keys by place, then \
         what each station shows."
    )));
    parts
}

fn guide(keymap: &Keymap) -> Vec<HelpPart> {
    let term = |(term, words): (String, String)| HelpPart::Term(term, with_keys(keymap, &words));
    super::page::items(GUIDE.split_once('\n').map_or("", |(_, body)| body), '*')
        .into_iter()
        .map(term)
        .collect()
}

/// A text in which `{name}` is a command's key, or where it has none its typed form.
fn with_keys(keymap: &Keymap, text: &str) -> String {
    let mut out = String::new();
    for (at, piece) in text.split(['{', '}']).enumerate() {
        match Command::named(piece).filter(|_| at % 2 == 1) {
            Some(command) if keymap.shown(command).is_empty() => out.extend(["/", piece]),
            Some(command) => out += &Keys(keymap).of(command),
            None => out += piece,
        }
    }
    out
}

/// Whether a command's keys stand on the page of that place.
fn is_at(entry: &Entry, place: usize) -> bool {
    let first = entry.contexts().next();
    let holds = |place: &Place| first.is_some_and(|context| place.contexts.contains(&context));
    PLACES.iter().position(holds).unwrap_or(PLACES.len() - 1) == place
}

fn place_page(place: usize) -> Vec<HelpPart> {
    let commands = || TABLE.iter().filter(|entry| is_at(entry, place));
    let mut parts = Vec::new();
    if PLACES[place].contexts == [Context::Global] {
        for (group, title) in SECTIONS {
            parts.push(HelpPart::Title(title.into()));
            parts.extend(commands().filter(|entry| entry.group == group).map(HelpPart::Command));
            parts.push(HelpPart::Blank);
        }
    } else {
        parts.extend(commands().map(HelpPart::Command));
        parts.push(HelpPart::Blank);
    }
    parts.push(HelpPart::Text(PLACES[place].note.into()));
    parts
}

fn page_of(keymap: &Keymap, page: &Page) -> Vec<HelpPart> {
    let mut parts = vec![HelpPart::Text(page.plain.clone())];
    let formula = |(formula, source): &(String, String)| HelpPart::Formula(formula.clone(), source.clone());
    parts.extend(page.formulas.iter().map(formula));
    parts.push(HelpPart::Blank);
    parts.extend(page.terms.iter().map(|(term, words)| HelpPart::Term(term.clone(), words.clone())));
    parts.push(HelpPart::Term("Not shown".into(), page.absent.clone()));
    parts.push(HelpPart::Blank);
    parts.push(HelpPart::Term("Keys here".into(), keys(keymap, &page.keys)));
    parts.push(HelpPart::Term("Everywhere".into(), keys(keymap, EVERYWHERE)));
    parts
}

/// Commands with the keys in use; what has no key is not named.
fn keys<S: std::fmt::Display>(keymap: &Keymap, commands: &[(Command, S)]) -> String {
    let with_key = commands.iter().filter_map(|(command, does)| {
        let key = keymap.shown(*command);
        (!key.is_empty()).then(|| format!("{key} {does}"))
    });
    with_key.collect::<Vec<_>>().join("   ")
}

/// All parts that hold every word of a query, with their pages: those whose key or name it is, then those that a word of
/// it begins, then all others.
pub(super) fn search(app: &App, query: &str) -> Vec<(usize, HelpPart)> {
    let query = fold(query.trim());
    let words: Vec<&str> = query.split_whitespace().collect();
    let mut found = Vec::new();
    for number in 0..HelpPage::count() {
        let page = HelpPage::at(number);
        for part in page.parts(app) {
            let Some((own, text)) = searched(&app.keymap, &part) else { continue };
            let title = fold(page.title());
            if words.iter().all(|word| text.contains(word) || title.contains(word)) {
                let begins =
                    text.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(words[0]));
                let rank = if own.contains(&query) { 0 } else { 2 - usize::from(begins) };
                found.push((rank, number, part));
            }
        }
    }
    found.sort_by_key(|(rank, ..)| *rank);
    found.into_iter().map(|(_, number, part)| (number, part)).collect()
}

/// What a part is found by, folded: its own names, which mean it and nothing else, and all its words.
fn searched(keymap: &Keymap, part: &HelpPart) -> Option<(Vec<String>, String)> {
    let (own, text) = match part {
        HelpPart::Title(_) | HelpPart::Blank => return None,
        HelpPart::Text(words) => (Vec::new(), words.clone()),
        HelpPart::Term(term, words) => (vec![term.clone()], format!("{term} {words}")),
        HelpPart::Formula(formula, source) => (Vec::new(), format!("{formula} {source}")),
        HelpPart::Command(entry) => {
            let mut own = keymap.shown_all(entry.command);
            own.push(entry.name.into());
            let text = format!("{} {} {}", own.join(" "), entry.help(), entry.said());
            (own, text)
        }
    };
    Some((own.iter().map(|name| fold(name)).collect(), fold(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_names_only_commands_that_there_are() {
        let named: Vec<&str> = GUIDE.split(['{', '}']).skip(1).step_by(2).collect();
        assert!(named.len() > 20, "{named:?}");
        for name in named {
            assert!(Command::named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn every_command_stands_on_one_page_of_keys() {
        for entry in TABLE {
            let pages =
                (0..PLACES.len()).filter(|place| place_page(*place).contains(&HelpPart::Command(entry)));
            assert_eq!(pages.count(), 1, "{}", entry.name);
        }
    }

    #[test]
    fn a_command_without_a_key_is_named_as_it_is_typed() {
        let text = "{new} begins, {regenerate} again, {no} stays";
        assert_eq!(with_keys(&Keymap::defaults(), text), "Ctrl+N begins, Ctrl+R again, no stays");
        assert_eq!(with_keys(&Keymap::default(), text), "/new begins, /regenerate again, no stays");
    }
}

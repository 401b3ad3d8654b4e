//! Keys as hands and programs send them: keys that come all at once are a paste, and letters that come as fast as a
//! sentence is typed are text, in whatever pane.
//!
//! Invariant: a line end that comes within milliseconds of other text never sends, and no row of commands is run by what
//! was meant as text. Every key is delivered once, in order, as a key or as part of a paste.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::app::Letter;

/// Keys that are nearer together than this were not typed by a hand, ms.
pub const AT_ONCE_MS: u64 = 4;
/// So many keys at once, of which some differ, are a paste where letters are commands.
const FEWEST: usize = 3;
/// So many keys at once are one paste where they are typed, too.
const MANY: usize = 16;
/// A line end at the end of a paste is put in if more follows this soon, ms.
const OWED_MS: u64 = 50;
/// Letters of a sentence are no further apart than this, ms. A command waits so long for a letter behind it.
const SENTENCE_MS: u64 = 170;

/// The character that a key types, a line end and a tab among them.
pub fn text_of(key: &KeyEvent) -> Option<char> {
    let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
    match key.code {
        KeyCode::Char('j') if key.modifiers == KeyModifiers::CONTROL => Some('\n'), // how a line feed arrives
        KeyCode::Char(character) if plain => Some(character),
        KeyCode::Enter if plain => Some('\n'),
        KeyCode::Tab if plain => Some('\t'),
        _ => None,
    }
}

/// What is to be done with keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// They are keys.
    Keys(Vec<KeyEvent>),
    /// They are a text that goes where text goes.
    Paste(String),
}

/// What was typed last.
#[derive(Debug, Default)]
pub struct Typing {
    last_text: Option<u64>,
    /// When a paste ended with a line end, which was left out.
    owed: Option<u64>,
    /// Letters that came as fast as a sentence is typed, without those that wait.
    run: String,
    /// Keys that wait for what follows.
    held: Vec<KeyEvent>,
    held_at: u64,
}

impl Typing {
    /// Whether more keys may follow this one at once, so that it is worth to wait a moment for them.
    pub fn may_go_on(&self, key: &KeyEvent, letter: Letter, now: u64) -> bool {
        let hurried = self.last_text.is_some_and(|last| now.saturating_sub(last) <= AT_ONCE_MS);
        hurried || letter != Letter::Typed || matches!(text_of(key), Some('\n' | '\t'))
    }

    /// Keys that came at once; `letter` is what the first does where it goes.
    pub fn keys(&mut self, keys: Vec<KeyEvent>, letter: Letter, now: u64) -> Typed {
        let hurried = self.last_text.is_some_and(|last| now.saturating_sub(last) <= AT_ONCE_MS);
        let texts: Option<String> = keys.iter().map(text_of).collect();
        let Some(text) = texts else { return Typed::Keys(keys) };
        let continues = self.owed.take().is_some_and(|at| now.saturating_sub(at) <= OWED_MS);
        self.last_text = Some(now);
        if !(continues || is_paste(&text, hurried, letter == Letter::Typed)) {
            return Typed::Keys(keys);
        }
        self.run.clear();
        let mut whole: String = self.held.drain(..).filter_map(|key| text_of(&key)).collect();
        whole.extend(continues.then_some('\n'));
        whole.push_str(&text);
        if whole.ends_with('\n') {
            whole.pop();
            self.owed = Some(now);
        }
        Typed::Paste(whole)
    }

    /// A key alone, and what it does where it goes.
    pub fn key(&mut self, key: KeyEvent, letter: Letter, now: u64) -> Typed {
        let character = text_of(&key).filter(|c| c.is_alphabetic() || (*c == ' ' && self.in_a_run(now)));
        let Some(character) = character.filter(|_| letter != Letter::Typed) else {
            self.run.clear();
            return self.with_held(key);
        };
        if !self.in_a_run(now) {
            self.run.clear();
        }
        let repeated = self.run.ends_with(character);
        self.run.push(character);
        self.held_at = now;
        match letter {
            Letter::Nothing => self.is_text(),
            _ if !self.held.is_empty() && !repeated && self.run.chars().count() >= FEWEST => self.is_text(),
            Letter::Moves if self.held.is_empty() => Typed::Keys(vec![key]),
            _ if repeated => {
                let before = std::mem::replace(&mut self.held, vec![key]);
                Typed::Keys(before)
            }
            _ => {
                self.held.push(key);
                Typed::Keys(Vec::new())
            }
        }
    }

    /// When keys that wait are to be taken for keys.
    pub fn wakes_at(&self) -> Option<u64> {
        (!self.held.is_empty()).then_some(self.held_at + SENTENCE_MS)
    }

    /// The keys that have waited long enough.
    pub fn waited(&mut self, now: u64) -> Vec<KeyEvent> {
        let over = self.wakes_at().is_some_and(|at| at <= now);
        if over { std::mem::take(&mut self.held) } else { Vec::new() }
    }

    /// All keys that wait, whatever follows; what follows a chord is no part of a paste before it.
    pub fn give_up_waiting(&mut self) -> Vec<KeyEvent> {
        self.run.clear();
        (self.owed, self.last_text) = (None, None);
        std::mem::take(&mut self.held)
    }

    fn in_a_run(&self, now: u64) -> bool {
        !self.run.is_empty() && now.saturating_sub(self.held_at) <= SENTENCE_MS
    }

    fn with_held(&mut self, key: KeyEvent) -> Typed {
        let mut keys = std::mem::take(&mut self.held);
        keys.push(key);
        Typed::Keys(keys)
    }

    fn is_text(&mut self) -> Typed {
        self.held.clear(); // they are in the run
        Typed::Paste(std::mem::take(&mut self.run))
    }
}

/// Whether keys that came at once are a paste. One key that repeats is held down.
fn is_paste(text: &str, hurried: bool, typed: bool) -> bool {
    let count = text.chars().count();
    let differ = text.chars().any(|c| !text.starts_with(c));
    let ends = text.contains(['\n', '\t']);
    if typed {
        (ends && ((differ && count > 1) || hurried)) || (differ && count >= MANY)
    } else {
        differ && count >= FEWEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<KeyEvent> {
        let code = |c| match c {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            c => KeyCode::Char(c),
        };
        text.chars().map(|c| KeyEvent::new(code(c), KeyModifiers::NONE)).collect()
    }

    fn at_once(text: &str, letter: Letter) -> Typed {
        Typing::default().keys(keys(text), letter, 1000)
    }

    #[test]
    fn a_chord_ends_a_paste() {
        let mut typing = Typing::default();
        assert_eq!(typing.keys(keys("one\ntwo\n"), Letter::Typed, 1000), Typed::Paste("one\ntwo".to_owned()));
        assert!(typing.give_up_waiting().is_empty(), "as before any chord");
        let tab = keys("\t");
        assert_eq!(
            typing.keys(tab.clone(), Letter::Typed, 1002),
            Typed::Keys(tab),
            "Tab goes to the next pane"
        );
    }

    #[test]
    fn keys_at_once_with_a_line_end_are_a_paste_and_never_send() {
        let pasted = |text: &str| Typed::Paste(text.into());
        for letter in [Letter::Typed, Letter::Acts, Letter::Moves, Letter::Nothing] {
            assert_eq!(at_once("one\ntwo\n/quit\n", letter), pasted("one\ntwo\n/quit"));
            assert_eq!(at_once("a\tdd", letter), pasted("a\tdd"));
        }
        assert_eq!(at_once("a\n", Letter::Typed), pasted("a"));
        assert_eq!(at_once("hello", Letter::Acts), pasted("hello"));
        assert_eq!(at_once("hello", Letter::Typed), Typed::Keys(keys("hello")));
    }

    #[test]
    fn a_key_held_down_and_single_keys_are_keys() {
        for text in ["jjjjjj", "\n", "\n\n", "\t\t", "j", "jy"] {
            assert_eq!(at_once(text, Letter::Acts), Typed::Keys(keys(text)), "{text:?}");
        }
        assert_eq!(at_once("\n", Letter::Typed), Typed::Keys(keys("\n")));
    }

    #[test]
    fn a_paste_in_pieces_keeps_its_line_ends() {
        let mut typing = Typing::default();
        let paste = |text: &str| Typed::Paste(text.into());
        assert_eq!(typing.keys(keys("a"), Letter::Typed, 10), Typed::Keys(keys("a")));
        assert_eq!(typing.keys(keys("\n"), Letter::Typed, 12), paste(""));
        assert_eq!(typing.keys(keys("b"), Letter::Typed, 14), paste("\nb"));
        assert_eq!(typing.keys(keys("\n"), Letter::Typed, 15), paste(""));
        assert_eq!(typing.keys(keys("\n"), Letter::Typed, 2000), Typed::Keys(keys("\n")), "Enter sends");
    }

    /// What comes of letters typed so far apart, with what each of them does.
    fn typed(text: &str, apart: u64, letter: impl Fn(char) -> Letter) -> (String, String) {
        let (mut typing, mut run, mut message) = (Typing::default(), String::new(), String::new());
        let take = |typed: Typed, run: &mut String, message: &mut String| match typed {
            Typed::Keys(keys) if message.is_empty() => run.extend(keys.iter().filter_map(text_of)),
            Typed::Keys(keys) => message.extend(keys.iter().filter_map(text_of)),
            Typed::Paste(text) => message.push_str(&text),
        };
        let mut now = 1000;
        for key in keys(text) {
            take(Typed::Keys(typing.waited(now)), &mut run, &mut message);
            // Once there is a message, the focus is there.
            let what = text_of(&key).filter(|_| message.is_empty()).map_or(Letter::Typed, &letter);
            take(typing.key(key, what, now), &mut run, &mut message);
            now += apart;
        }
        take(Typed::Keys(typing.waited(now + 1000)), &mut run, &mut message);
        (run, message)
    }

    fn of_transcript(letter: char) -> Letter {
        match letter {
            'h' | 'j' | 'k' | 'l' | 'w' | 'b' | 'n' => Letter::Moves,
            'e' | 'r' | 'c' | 'd' | 'y' | 'm' | 's' | 't' | 'u' | 'x' | 'v' => Letter::Acts,
            _ => Letter::Nothing,
        }
    }

    #[test]
    fn a_sentence_typed_in_a_pane_of_commands_runs_none_of_them() {
        assert_eq!(typed("edit", 90, of_transcript), (String::new(), "edit".into()));
        assert_eq!(typed("try", 90, of_transcript), (String::new(), "try".into()));
        let (run, text) = typed("hel", 90, of_transcript);
        assert_eq!((run.as_str(), text.as_str()), ("h", "hel"), "a move does no harm");
        assert_eq!(typed("a", 90, of_transcript), (String::new(), "a".into()));
    }

    #[test]
    fn commands_one_after_the_other_are_commands() {
        assert_eq!(typed("yem", 400, of_transcript), ("yem".into(), String::new()));
        assert_eq!(typed("jjke", 90, of_transcript), ("jjke".into(), String::new()));
        assert_eq!(typed("xxxx", 60, of_transcript), ("xxxx".into(), String::new()));
        assert_eq!(typed("jy", 60, of_transcript), ("jy".into(), String::new()));
    }
}

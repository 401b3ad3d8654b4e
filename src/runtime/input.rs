//! What comes from the terminal, cleaned: late answers to questions swallowed, wheel bursts recognised.
//!
//! Invariant: bytes that answer a question the app asked never reach the composer as typed keys.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A colour answer that comes after its question timed out is parsed as Alt+], digits, letters, slashes.
/// This swallows it up to its end.
#[derive(Debug, Default)]
pub struct LateAnswers {
    swallowing: bool,
    last_ms: u64,
}

/// The keys of one answer arrive together; a gap this long (ms) ends it whatever it was.
const GAP_MS: u64 = 50;

/// Answers later than this (ms after start) are not expected any more.
const WINDOW_MS: u64 = 5_000;

impl LateAnswers {
    /// Whether this event is part of a late answer and must be dropped. `now` is ms since start.
    pub fn swallow(&mut self, event: &Event, now: u64) -> bool {
        let Event::Key(key) = event else { return false };
        if self.swallowing && now.saturating_sub(self.last_ms) > GAP_MS {
            self.swallowing = false;
        }
        if !self.swallowing {
            self.swallowing = now < WINDOW_MS && key.code == KeyCode::Char(']') && alt(key);
            self.last_ms = now;
            return self.swallowing;
        }
        self.last_ms = now;
        let bell = key.code == KeyCode::Char('g') && key.modifiers.contains(KeyModifiers::CONTROL);
        let terminator = key.code == KeyCode::Char('\\') && alt(key);
        self.swallowing = !(bell || terminator);
        true
    }
}

/// Whether these keys and the one after them are the rest of an answer whose beginning was read by who asked, and who had
/// stopped waiting for the rest.
pub fn is_rest_of_answer(keys: &[KeyEvent], end: &Event, now: u64) -> bool {
    let Event::Key(end) = end else { return false };
    let bell = end.code == KeyCode::Char('g') && end.modifiers.contains(KeyModifiers::CONTROL);
    let terminator = end.code == KeyCode::Char('\\') && alt(end);
    let of_answer = |key: &KeyEvent| matches!(key.code, KeyCode::Char(c) if c.is_ascii_hexdigit() || "]1;rgb:/".contains(c));
    now < WINDOW_MS && (terminator || bell && !keys.is_empty()) && keys.iter().all(of_answer)
}

fn alt(key: &KeyEvent) -> bool {
    key.modifiers.contains(KeyModifiers::ALT)
}

/// Whether a key event is a press (or repeat) rather than a release.
pub fn is_press(key: &KeyEvent) -> bool {
    key.kind != KeyEventKind::Release
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: char, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(KeyCode::Char(code), modifiers))
    }

    fn swallowed(text: &str, answers: &mut LateAnswers, now: u64) -> Vec<bool> {
        text.chars().map(|c| answers.swallow(&key(c, KeyModifiers::NONE), now)).collect()
    }

    #[test]
    fn a_late_colour_answer_never_reaches_the_composer() {
        let mut answers = LateAnswers::default();
        assert!(answers.swallow(&key(']', KeyModifiers::ALT), 300));
        assert!(swallowed("11;rgb:1e1e/1e1e/2e2e", &mut answers, 301).iter().all(|s| *s));
        assert!(answers.swallow(&key('\\', KeyModifiers::ALT), 301));
        assert_eq!(swallowed("hi", &mut answers, 302), [false, false]);
    }

    #[test]
    fn the_rest_of_an_answer_is_told_from_typing() {
        let keys = |text: &str| -> Vec<KeyEvent> {
            text.chars().map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)).collect()
        };
        let (end, bell) = (key('\\', KeyModifiers::ALT), key('g', KeyModifiers::CONTROL));
        let answer = "]11;rgb:1e1e/1E1E/2e2e";
        for from in 0..answer.len() {
            assert!(is_rest_of_answer(&keys(&answer[from..]), &end, 900), "{}", &answer[from..]);
            assert!(is_rest_of_answer(&keys(&answer[from..]), &bell, 900));
        }
        assert!(is_rest_of_answer(&[], &end, 900));
        assert!(!is_rest_of_answer(&[], &bell, 900), "a key of its own");
        assert!(!is_rest_of_answer(&keys("hello"), &end, 900));
        assert!(!is_rest_of_answer(&keys("1e1e"), &key('x', KeyModifiers::NONE), 900));
        assert!(!is_rest_of_answer(&keys("1e1e"), &end, 60_000));
    }

    #[test]
    fn typing_after_a_broken_answer_is_kept() {
        let mut answers = LateAnswers::default();
        assert!(answers.swallow(&key(']', KeyModifiers::ALT), 300));
        assert_eq!(swallowed("a", &mut answers, 400), [false]);
    }

    #[test]
    fn alt_bracket_counts_as_a_key_once_the_app_has_run_for_a_while() {
        let mut answers = LateAnswers::default();
        assert!(!answers.swallow(&key(']', KeyModifiers::ALT), 60_000));
    }
}

//! Keys that edit a text of several lines: the draft and the system prompt take the same ones.
//!
//! Invariant: Backspace never leaves half of a character that is made of several.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_textarea::{AtomicDeleteDirection, CursorMove, TextArea};
use unicode_segmentation::UnicodeSegmentation;

use crate::app::TextEdit;

/// Undo steps that are kept.
const UNDO_STEPS: usize = 1000;

/// An empty text.
pub(crate) fn empty_area() -> TextArea<'static> {
    let mut area = TextArea::default();
    area.set_undo_coalescing(true);
    area.set_max_histories(UNDO_STEPS);
    area
}

/// Puts another text in place, cursor at its end.
pub(crate) fn set(area: &mut TextArea<'_>, text: &str) {
    let lines: Vec<String> = text.split('\n').map(String::from).collect();
    area.set_lines(lines, (usize::MAX, usize::MAX));
}

/// Takes a key that edits or moves.
pub(crate) fn key(area: &mut TextArea<'_>, key: KeyEvent) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    match key.code {
        KeyCode::Backspace if !control && !alt => backspace(area),
        KeyCode::Char('u') if control => {
            area.delete_line_by_head();
        }
        KeyCode::Char(character) if !control && !alt => area.insert_char(character),
        KeyCode::PageUp | KeyCode::PageDown | KeyCode::Esc | KeyCode::Tab | KeyCode::BackTab => {}
        _ => {
            area.input(key);
        }
    }
}

/// Takes a character back: a whole cluster where half of one would be left broken, as one undo step.
pub(crate) fn backspace(area: &mut TextArea<'_>) {
    if area.is_selecting() {
        area.delete_char();
    } else if area.delete_atomic_range_at_cursor(AtomicDeleteDirection::Backward).is_none() {
        match cluster_before(area) {
            0 | 1 => {
                area.delete_char();
            }
            characters => {
                for _ in 0..characters {
                    area.move_cursor(CursorMove::Back);
                }
                area.delete_str(characters);
            }
        }
    }
}

/// How many characters Backspace takes together.
fn cluster_before(area: &TextArea<'_>) -> usize {
    let (row, column) = area.cursor();
    let before: String = area.lines()[row].chars().take(column).collect();
    let cluster = before.graphemes(true).next_back().unwrap_or_default();
    let joined = |c: char| {
        matches!(c, '\u{200d}' | '\u{fe0f}' | '\u{20e3}'
            | '\u{1f3fb}'..='\u{1f3ff}' | '\u{1f1e6}'..='\u{1f1ff}' | '\u{e0020}'..='\u{e007f}')
    };
    if cluster.chars().any(joined) { cluster.chars().count() } else { 1 }
}

impl TextEdit {
    /// An editor with the cursor after its text.
    pub fn new(text: &str) -> Self {
        let mut area = empty_area();
        set(&mut area, text);
        Self { area: Box::new(area) }
    }

    /// The text.
    pub fn text(&self) -> String {
        self.area.lines().join("\n")
    }
}

impl PartialEq for TextEdit {
    fn eq(&self, other: &Self) -> bool {
        self.area.lines() == other.area.lines() && self.area.cursor() == other.area.cursor()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same text as characters and a place among them: what the editor must be like.
    #[derive(Default)]
    struct Plain {
        text: Vec<char>,
        at: usize,
    }

    impl Plain {
        fn key(&mut self, code: KeyCode) {
            match code {
                KeyCode::Char(c) => self.put(c),
                KeyCode::Enter => self.put('\n'),
                KeyCode::Backspace => {
                    let start = self.at - self.taken();
                    self.text.drain(start..self.at);
                    self.at = start;
                }
                KeyCode::Delete if self.at < self.text.len() => drop(self.text.remove(self.at)),
                KeyCode::Left => self.at = self.at.saturating_sub(1),
                KeyCode::Right => self.at = (self.at + 1).min(self.text.len()),
                KeyCode::Home => self.at -= self.line_before().len(),
                KeyCode::End => self.at += self.text[self.at..].iter().take_while(|c| **c != '\n').count(),
                _ => {}
            }
        }

        fn put(&mut self, c: char) {
            self.text.insert(self.at, c);
            self.at += 1;
        }

        fn line_before(&self) -> Vec<char> {
            let line = self.text[..self.at].iter().rev().take_while(|c| **c != '\n').copied();
            line.collect::<Vec<char>>().into_iter().rev().collect()
        }

        /// How many characters Backspace takes: all of a flag, a hand with its colour.
        fn taken(&self) -> usize {
            let line: String = self.line_before().into_iter().collect();
            let last = line.graphemes(true).next_back().unwrap_or_default();
            let whole = last.contains(['\u{1f3fd}', '\u{1f1e9}', '\u{1f1ea}']);
            if whole { last.chars().count() } else { self.at.min(1) }
        }
    }

    fn keys() -> impl Strategy<Value = KeyCode> {
        // Signs without a width of their own stay out: the widget goes by columns, and stops before one that is alone.
        let signs = "ab \t'é日👨👍\u{1f3fd}\u{1f1e9}\u{1f1ea}न";
        let sign = prop::sample::select(signs.chars().collect::<Vec<_>>()).prop_map(KeyCode::Char);
        let others = [
            KeyCode::Enter,
            KeyCode::Backspace,
            KeyCode::Delete,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::Home,
            KeyCode::End,
        ];
        prop_oneof![3 => sign, 2 => prop::sample::select(others.to_vec())]
    }

    fn text(area: &TextArea<'_>) -> String {
        area.lines().join("\n")
    }

    proptest! {
        #[test]
        fn keys_do_what_they_do_to_a_plain_text(keys in prop::collection::vec(keys(), 0..60)) {
            let (mut area, mut plain) = (empty_area(), Plain::default());
            for code in keys {
                key(&mut area, KeyEvent::from(code));
                plain.key(code);
                prop_assert_eq!(text(&area), plain.text.iter().collect::<String>(), "{:?}", code);
                prop_assert_eq!(area.cursor().1, plain.line_before().len(), "{:?}", code);
            }
        }

        #[test]
        fn undo_goes_back_to_the_beginning_and_redo_to_the_end(keys in prop::collection::vec(keys(), 0..60)) {
            let mut area = empty_area();
            for code in keys {
                key(&mut area, KeyEvent::from(code));
            }
            let end = text(&area);
            while area.undo() {}
            prop_assert_eq!(text(&area), "");
            while area.redo() {}
            prop_assert_eq!(text(&area), end);
        }
    }
}

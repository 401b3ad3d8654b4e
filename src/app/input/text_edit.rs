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

//! Notices, and the small inputs that overlays are made of.
//!
//! Invariant: a cursor stands on a character's edge.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation;

use crate::chat::{ConversationId, TurnId};

/// A one-line input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineEdit {
    /// The text.
    pub text: String,
    /// Cursor, in bytes, on a character's edge.
    pub cursor: usize,
}

/// An input of several lines.
#[derive(Clone, Debug)]
pub struct TextEdit {
    /// The editor widget's state.
    pub area: Box<tui_textarea::TextArea<'static>>,
}

/// A list with a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picker {
    /// The filter.
    pub filter: LineEdit,
    /// Rows by index into the overlay's own source, best match first.
    pub rows: Vec<usize>,
    /// Which row is selected.
    pub selected: usize,
    /// A value being typed for the selected row (settings).
    pub value: Option<LineEdit>,
}

/// What an edited line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptAction {
    /// System prompt of the chat.
    System,
    /// A message changed on trial.
    WhatIf(TurnId),
    /// Words to add and take away at the embedding station.
    Arithmetic,
    /// The file that the chat is written to.
    Export,
    /// The file that the steering panel's push is written to as a control vector.
    WriteVector,
    /// The file of a control vector for the chat.
    ReadVector,
}

impl PromptAction {
    /// Whether the text is one line, such as the name of a file.
    #[must_use]
    pub const fn one_line(self) -> bool {
        match self {
            Self::System | Self::WhatIf(_) => false,
            Self::Arithmetic | Self::Export | Self::WriteVector | Self::ReadVector => true,
        }
    }
}

/// What a yes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmAction {
    /// Quit.
    Quit,
    /// Remove a model's file; index into the catalogue.
    RemoveModel(usize),
    /// Give the fetch of a model up; index into the catalogue.
    DiscardFetch(usize),
    /// Read a long chat again for its layers of decision.
    ColourByLayer,
    /// Put the summary in the place of what it sums up.
    Compact,
    /// Remove a chat from the bin for good.
    PurgeChat(ConversationId),
}

impl ConfirmAction {
    /// Whether something is gone afterwards, so that Enter alone is no yes.
    #[must_use]
    pub const fn removes(self) -> bool {
        match self {
            Self::RemoveModel(_) | Self::DiscardFetch(_) | Self::PurgeChat(_) => true,
            Self::Quit | Self::ColourByLayer | Self::Compact => false,
        }
    }
}

/// A line in the notice row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The text.
    pub text: String,
    /// How it is marked.
    pub level: Level,
    /// When it goes; `None` stays until replaced.
    pub until: Option<u64>,
}

/// How a notice is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain.
    Info,
    /// With `!`.
    Warn,
    /// With "error:".
    Error,
}

impl LineEdit {
    /// An input with the cursor after its text.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cursor: text.len(), text }
    }

    /// Puts text in at the cursor; control characters stay out.
    pub fn insert(&mut self, text: &str) {
        for character in text.chars().filter(|c| !c.is_control()) {
            self.text.insert(self.cursor, character);
            self.cursor += character.len_utf8();
        }
    }

    /// Takes a key that edits or moves in the line; says whether it was one, and whether the text changed.
    pub fn key(&mut self, key: KeyEvent) -> Edit {
        let before = self.text.len();
        match (key.code, key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)) {
            (KeyCode::Char(character), false) => self.insert(character.encode_utf8(&mut [0; 4])),
            (KeyCode::Char('u'), true) => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            (KeyCode::Char('w'), true) => self.delete_word(),
            (KeyCode::Backspace, _) => {
                let start = self.left();
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            (KeyCode::Delete, _) => {
                let end = self.right();
                self.text.drain(self.cursor..end);
            }
            (KeyCode::Left, false) => self.cursor = self.left(),
            (KeyCode::Right, false) => self.cursor = self.right(),
            (KeyCode::Home, false) => self.cursor = 0,
            (KeyCode::End, false) => self.cursor = self.text.len(),
            _ => return Edit::Ignored,
        }
        if self.text.len() == before { Edit::Moved } else { Edit::Changed }
    }

    fn left(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn right(&self) -> usize {
        let rest = &self.text[self.cursor..];
        self.cursor + rest.graphemes(true).next().map_or(0, str::len)
    }

    fn delete_word(&mut self) {
        let kept = self.text[..self.cursor].trim_end();
        let start = kept.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let start = start.min(self.cursor);
        let start = (start..=self.cursor).find(|&at| self.text.is_char_boundary(at)).unwrap_or(self.cursor);
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }
}

/// What a key did to a [`LineEdit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The text is another one.
    Changed,
    /// The key was the input's, the text is the same.
    Moved,
    /// Not a key of the input.
    Ignored,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = KeyEvent> {
        let signs = "ab  é\u{301}日\u{3000}👨\u{200d}👩\u{1f1e9}\u{1f1ea}\u{7}".chars();
        let plain = signs.map(KeyCode::Char).chain([
            KeyCode::Backspace,
            KeyCode::Delete,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::Home,
            KeyCode::End,
        ]);
        let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        let all: Vec<KeyEvent> = plain.map(KeyEvent::from).chain(['u', 'w'].map(control)).collect();
        prop::sample::select(all)
    }

    proptest! {
        #[test]
        fn any_keys_leave_whole_characters_and_say_what_they_did(keys in prop::collection::vec(keys(), 0..60)) {
            let mut line = LineEdit::default();
            for key in keys {
                let before = line.clone();
                let did = line.key(key);
                prop_assert!(line.text.is_char_boundary(line.cursor), "{:?} {:?}", before, key);
                prop_assert!(!line.text.chars().any(char::is_control));
                prop_assert_eq!(did == Edit::Changed, line.text != before.text, "{:?} {:?}", before, key);
                let (left, right) = before.text.split_at(before.cursor);
                // Keys that delete take from one side; what is on the other stays.
                match key.code {
                    KeyCode::Backspace | KeyCode::Char('u' | 'w') if did == Edit::Changed => {
                        prop_assert!(line.text.ends_with(right) && left.starts_with(&line.text[..line.cursor]));
                    }
                    KeyCode::Delete => prop_assert!(line.text.starts_with(left) && right.ends_with(&line.text[line.cursor..])),
                    _ => {}
                }
            }
        }
    }
}

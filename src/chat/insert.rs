//! Files and long pastes in a message that was typed: where each begins and ends in its text.
//!
//! Invariant: the text holds them whole, so that whoever knows nothing of them reads the same message.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A file or a long paste in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Insert {
    /// Its first byte in the message's text.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// The file's name as it was given; nothing for a paste.
    #[serde(default)]
    pub file: Option<String>,
    /// How many tokens it was for the model that it was sent to, once they are counted.
    #[serde(default)]
    pub tokens: Option<u32>,
}

impl Insert {
    /// Its bytes of the message's text.
    #[must_use]
    pub fn bytes(&self) -> Range<usize> {
        self.start..self.end
    }

    fn is_in(&self, text: &str) -> bool {
        self.start < self.end && text.is_char_boundary(self.start) && text.is_char_boundary(self.end)
    }
}

/// A message as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// All of its text.
    pub text: String,
    /// The files and pastes in it, in order.
    pub inserts: Vec<Insert>,
}

impl From<String> for Typed {
    fn from(text: String) -> Self {
        Self { text, inserts: Vec::new() }
    }
}

impl Typed {
    /// A text with those of the inserts that can be in it: in order, apart, and on the bounds of characters. What was
    /// read from a file or a database may be damaged.
    #[must_use]
    pub fn new(text: String, mut inserts: Vec<Insert>) -> Self {
        let mut end = 0;
        inserts.retain(|insert| {
            let fits = insert.is_in(&text) && insert.start >= end;
            end = if fits { insert.end } else { end };
            fits
        });
        Self { text, inserts }
    }

    /// Several as one, an empty line between them.
    #[must_use]
    pub fn joined(parts: &[Self]) -> Self {
        let mut all = Self::default();
        for part in parts {
            if !all.text.is_empty() {
                all.text.push_str("\n\n");
            }
            let at = all.text.len();
            all.text.push_str(&part.text);
            let moved = part.inserts.iter().cloned();
            all.inserts.extend(moved.map(|insert| Insert {
                start: insert.start + at,
                end: insert.end + at,
                ..insert
            }));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(start: usize, end: usize) -> Insert {
        Insert { start, end, file: None, tokens: None }
    }

    #[test]
    fn what_cannot_be_in_a_text_is_left_out_of_it() {
        let all = [insert(0, 1), insert(1, 1), insert(2, 4), insert(3, 5), insert(4, 99), insert(5, 6)];
        let typed = Typed::new("aé bcd".to_owned(), all.to_vec());
        assert_eq!(typed.inserts, [insert(0, 1), insert(3, 5), insert(5, 6)]);
    }

    #[test]
    fn inserts_move_with_the_text_they_are_in() {
        let typed = |text: &str, at: usize| Typed::new(text.to_owned(), vec![insert(at, at + 1)]);
        let all = Typed::joined(&[typed("ab", 1), typed("cd", 0)]);
        assert_eq!(all, Typed::new("ab\n\ncd".to_owned(), vec![insert(1, 2), insert(4, 5)]));
        assert_eq!(Typed::joined(&[]), Typed::default());
    }
}

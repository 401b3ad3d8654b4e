//! Halves of characters without their other half, which Python and JavaScript write into JSON as `\ud83d`.
//!
//! Invariant: only such an escape changes, to one of the same length; a pair, and a backslash that stands for itself
//! (`\\ud83d`), stay as they are.

use std::borrow::Cow;

/// Bytes of `\ud83d`.
const ESCAPE: usize = 6;

/// JSON with U+FFFD for every half, and how many there were.
pub(super) fn replaced(json: &str) -> (Cow<'_, str>, usize) {
    let all = alone(json.as_bytes());
    if all.is_empty() {
        return (Cow::Borrowed(json), 0);
    }
    let mut text = json.to_owned();
    for at in &all {
        text.replace_range(*at..at + ESCAPE, "\\ufffd");
    }
    (Cow::Owned(text), all.len())
}

/// Where the halves stand. No backslash of JSON is outside a text.
fn alone(json: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(backslash) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += backslash;
        at += match unit(&json[at..]) {
            None => 2,
            Some(0xD800..=0xDBFF) if matches!(unit(&json[at + ESCAPE..]), Some(0xDC00..=0xDFFF)) => {
                2 * ESCAPE
            }
            Some(0xD800..=0xDFFF) => {
                found.push(at);
                ESCAPE
            }
            Some(_) => ESCAPE,
        };
        at = at.min(json.len());
    }
    found
}

/// The number of an escape that a text begins with.
fn unit(json: &[u8]) -> Option<u32> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |number, digit| Some(16 * number + char::from(*digit).to_digit(16)?))
}

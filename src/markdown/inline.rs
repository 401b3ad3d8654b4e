//! Which bytes of the source a text stands for that the parser gives.
//!
//! Invariant: pieces are in order, and no byte is in two of them.

use std::borrow::Cow;
use std::ops::Range;

use super::Look;
use super::build::Piece;

/// A text as pieces: as one that is exact where the source holds it as it is, else character by character, skipping
/// what marks it up; where even that fails, as a whole.
pub(super) fn pieces<'a>(source: &'a str, range: Range<usize>, shown: &str, look: Look) -> Vec<Piece<'a>> {
    let within = &source[range.clone()];
    if let Some(at) = within.find(shown) {
        let bytes = range.start + at..range.start + at + shown.len();
        return vec![Piece { text: Cow::Borrowed(&source[bytes.clone()]), source: bytes, exact: true, look }];
    }
    aligned(source, range.clone(), shown, look).unwrap_or_else(|| {
        vec![Piece { text: Cow::Owned(shown.to_owned()), source: range, exact: false, look }]
    })
}

fn aligned<'a>(source: &'a str, range: Range<usize>, shown: &str, look: Look) -> Option<Vec<Piece<'a>>> {
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    let mut rest = source[range.clone()].char_indices();
    for wanted in shown.chars() {
        let (at, found) =
            rest.find(|(_, c)| *c == wanted || (wanted == ' ' && *c == '\n') || !is_mark(*c))?;
        let same = found == wanted;
        if !same && (wanted != ' ' || found != '\n') {
            return None;
        }
        let bytes = range.start + at..range.start + at + found.len_utf8();
        match pieces.last_mut().filter(|last| same && last.exact && last.source.end == bytes.start) {
            Some(last) => {
                last.source.end = bytes.end;
                last.text = Cow::Borrowed(&source[last.source.clone()]);
            }
            None if same => {
                let text = Cow::Borrowed(&source[bytes.clone()]);
                pieces.push(Piece { text, source: bytes, exact: true, look });
            }
            None => pieces.push(Piece { text: Cow::Borrowed(" "), source: bytes, exact: false, look }),
        }
    }
    Some(pieces)
}

/// What may stand between the characters of a text without being part of it.
fn is_mark(c: char) -> bool {
    matches!(c, '`' | '\\' | '>' | ' ' | '\t' | '\n' | '\r')
}

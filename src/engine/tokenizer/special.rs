//! Special tokens are found in a text before anything else is done; what is between them is cut and merged.
//!
//! Source: llama.cpp, `tokenizer_st_partition`. Invariant: the fragments are in order and cover the text, blanks
//! that a special token takes away apart.

use super::rules::Special;

/// A stretch of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// Plain text from and to a byte.
    Text(usize, usize),
    /// A special token, from and to a byte.
    Special(u32, usize, usize),
}

/// Cuts a text at its special tokens, the longest spelling first; marks only where `marks` says so.
pub fn fragments(text: &str, special: &[Special], marks: bool) -> Vec<Fragment> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut there = [false; 256];
    text.bytes().for_each(|byte| there[usize::from(byte)] = true);
    let mut fragments = vec![Fragment::Text(0, text.len())];
    for token in special {
        // Most of thousands of special tokens hold a byte that the text does not.
        if (token.is_mark && !marks) || !token.text.bytes().all(|byte| there[usize::from(byte)]) {
            continue;
        }
        let cut = fragments.into_iter().flat_map(|fragment| match fragment {
            Fragment::Text(from, to) => cut(text, from, to, token),
            special @ Fragment::Special(..) => vec![special],
        });
        fragments = cut.collect();
    }
    fragments
}

fn cut(text: &str, mut from: usize, to: usize, token: &Special) -> Vec<Fragment> {
    let mut fragments = Vec::new();
    while let Some(found) = text[from..to].find(&token.text) {
        let (start, end) = (from + found, from + found + token.text.len());
        if start > from {
            fragments.push(Fragment::Text(from, start));
        }
        fragments.push(Fragment::Special(token.id, start, end));
        let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0B;
        let blanks = text.as_bytes()[end..to].iter().take_while(|byte| blank(byte)).count();
        from = end + if token.strips { blanks } else { 0 };
    }
    if from < to {
        fragments.push(Fragment::Text(from, to));
    }
    fragments
}

#[cfg(test)]
mod tests {
    use super::Fragment::{Special as Found, Text};
    use super::*;

    fn token(text: &str, id: u32, is_mark: bool) -> Special {
        Special { text: text.into(), id, is_mark, strips: false }
    }

    #[test]
    fn the_longest_goes_first_and_marks_only_where_they_may() {
        let special = [token("<end>", 1, true), token("    ", 2, false), token("  ", 3, false)];
        let text = "a      b<end>";
        let plain = [Text(0, 1), Found(2, 1, 5), Found(3, 5, 7), Text(7, 13)];
        assert_eq!(fragments(text, &special, false), plain);
        let marked = [Text(0, 1), Found(2, 1, 5), Found(3, 5, 7), Text(7, 8), Found(1, 8, 13)];
        assert_eq!(fragments(text, &special, true), marked);
        assert_eq!(fragments("", &special, true), []);
    }

    #[test]
    fn a_token_may_take_the_blanks_after_it() {
        let special = [Special { strips: true, ..token("<end>", 1, true) }];
        assert_eq!(fragments("<end> \nb", &special, true), [Found(1, 0, 5), Text(7, 8)]);
        assert_eq!(fragments("<end>  ", &special, true), [Found(1, 0, 5)]);
    }
}

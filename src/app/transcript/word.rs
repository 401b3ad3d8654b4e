//! The word around the token on display: what the tokenizer is asked about.
//!
//! Invariant: it is a stretch of whole tokens and whole characters, so that it can be tokenised again.

use std::ops::Range;

use crate::app::Display;

/// Bytes to either side at most: text without blanks has no end of a word.
const MOST: usize = 120;

impl Display<'_> {
    /// The stretch of the message between white space around the token on display, the blank before it kept,
    /// and the indices of the tokens it is made of. `None` where nothing is on display, the token shows no text
    /// or a character is not complete yet.
    pub fn word_on_display(&self) -> Option<(String, Range<usize>)> {
        let shown = self.shown_step().filter(|shown| shown.chat == self.view.chat.head.id)?;
        let turn = self.view.shown_turn(shown.turn)?;
        let tokens = self.view.turn_tokens(turn);
        let token = tokens.get(shown.index)?;
        let bytes = self.view.chat.bytes(turn);
        let stretch = stretch(&bytes, token.start..token.end)?;
        let mut first = tokens.partition_point(|token| token.end <= stretch.start);
        let mut end = first + tokens[first..].iter().take_while(|token| token.start < stretch.end).count();
        let whole = |at: usize| bytes.get(at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
        while first > 0 && !whole(tokens[first].start) {
            first -= 1;
        }
        while end < tokens.len() && !whole(tokens[end - 1].end) {
            end += 1;
        }
        let text = bytes.get(tokens.get(first)?.start..tokens.get(end.checked_sub(1)?)?.end)?;
        Some((String::from_utf8(text.to_vec()).ok()?, first..end))
    }
}

/// The word that a token's bytes begin in; the token itself where it is white space alone.
pub(crate) fn stretch(bytes: &[u8], token: Range<usize>) -> Option<Range<usize>> {
    let own = bytes.get(token.clone()).filter(|own| !own.is_empty())?;
    let Some(first) = own.iter().position(|byte| !byte.is_ascii_whitespace()) else { return Some(token) };
    let at = token.start + first;
    let least = at.saturating_sub(MOST);
    let before = bytes[least..at].iter().rposition(u8::is_ascii_whitespace);
    let start = before.map_or(least, |before| least + before + 1);
    let most = bytes.len().min(at + MOST);
    let end = bytes[at..most].iter().position(u8::is_ascii_whitespace).map_or(most, |after| at + after);
    let blank = start > 0 && bytes[start - 1] == b' ';
    Some(start - usize::from(blank)..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, token: Range<usize>) -> Option<&str> {
        stretch(text.as_bytes(), token).map(|range| &text[range])
    }

    #[test]
    fn a_word_goes_from_blank_to_blank_and_keeps_the_one_before_it() {
        let text = "The Reykjavik. It";
        for at in 4..14 {
            assert_eq!(word(text, at..at + 1), Some(" Reykjavik."), "{at}");
        }
        assert_eq!(word(text, 3..7), Some(" Reykjavik."));
        assert_eq!(word(text, 0..3), Some("The"));
        assert_eq!(word(text, 14..17), Some(" It"));
    }

    #[test]
    fn white_space_is_a_word_of_its_own_and_a_token_without_text_has_none() {
        assert_eq!(word("a\n\nb", 1..3), Some("\n\n"));
        assert_eq!(word("a\n\nb", 3..4), Some("b"));
        assert_eq!(word("ab", 1..1), None);
        assert_eq!(word("ab", 1..9), None);
    }

    #[test]
    fn text_without_blanks_has_an_end() {
        let text = "x".repeat(1000);
        assert_eq!(word(&text, 500..501).map(str::len), Some(2 * MOST));
    }
}

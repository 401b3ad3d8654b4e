//! A token's text, made visible: `␣ ↵ ⇥` for white space, `‹F0›` for a lone byte, `‹end›` for a mark, `‹nbsp›` and
//! `‹U+200B›` for what has no ink of its own.
//!
//! Invariant: the result is one safe line; nothing a model names itself reaches the terminal raw.

use crate::sanitize;
use crate::theme::Symbols;
use crate::token::{TokenId, TokenKind, Vocabulary};

/// The text of an entry of a vocabulary; its number where the vocabulary is not there.
pub fn named(id: TokenId, vocabulary: Option<&Vocabulary>, symbols: &Symbols) -> String {
    match vocabulary.and_then(|vocabulary| Some((vocabulary.bytes(id)?, vocabulary.kind(id)))) {
        Some((bytes, kind)) => shown(bytes, kind, symbols),
        None => id.number().map_or_else(|| "?".to_owned(), |id| format!("#{id}")),
    }
}

/// A token by its own bytes, or by its entry's name where it shows none.
pub fn written(
    id: Option<TokenId>,
    bytes: &[u8],
    vocabulary: Option<&Vocabulary>,
    symbols: &Symbols,
) -> String {
    match id.filter(|_| bytes.is_empty()) {
        Some(id) => named(id, vocabulary, symbols),
        None => shown(bytes, TokenKind::Normal, symbols),
    }
}

/// Bytes of a token as text.
pub fn shown(bytes: &[u8], kind: TokenKind, symbols: &Symbols) -> String {
    if kind == TokenKind::Control {
        return format!("‹{}›", mark(&String::from_utf8_lossy(bytes)));
    }
    if bytes.is_empty() {
        return "‹empty›".into();
    }
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        let visible: String = chunk.valid().chars().map(|c| blank(c, symbols)).collect();
        out.push_str(&sanitize::for_display(&visible));
        for byte in chunk.invalid() {
            out.extend([format!("‹{byte:02X}›")]);
        }
    }
    if out.is_empty() {
        // Nothing but marks without a shape: they are named.
        return String::from_utf8_lossy(bytes).chars().map(code_point).collect();
    }
    out
}

/// Bytes of a token as text, after bytes that begin a character: the character is shown if the token ends it.
pub fn completed(partial: &[u8], bytes: &[u8], kind: TokenKind, symbols: &Symbols) -> String {
    let continues = bytes.first().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    if partial.is_empty() || !continues || kind == TokenKind::Control {
        return shown(bytes, kind, symbols);
    }
    let whole = [partial, bytes].concat();
    let ends = whole.utf8_chunks().next().is_some_and(|chunk| chunk.valid().len() > partial.len());
    shown(if ends { &whole } else { bytes }, kind, symbols)
}

/// A stretch of text on one line: line ends and tabs as symbols, blanks as they are.
pub fn one_line(text: &str, symbols: &Symbols) -> String {
    let visible: String =
        text.chars().map(|c| if c == ' ' { c.to_string() } else { white(c, symbols) }).collect();
    sanitize::for_display(&visible)
}

fn white(character: char, symbols: &Symbols) -> String {
    match character {
        ' ' => symbols.space.to_owned(),
        '\n' => symbols.newline.to_owned(),
        '\t' => symbols.tab.to_owned(),
        other => other.to_string(),
    }
}

/// As [`white`], and each other kind of blank by its name: two tokens must not look like one, nor like none.
fn blank(character: char, symbols: &Symbols) -> String {
    match character {
        ' ' | '\n' | '\t' => white(character, symbols),
        '\u{a0}' => "‹nbsp›".to_owned(),
        other if other.is_whitespace() && !other.is_control() => code_point(other),
        other => other.to_string(),
    }
}

/// `‹U+200B›`
fn code_point(character: char) -> String {
    format!("‹U+{:04X}›", u32::from(character))
}

/// `<|im_end|>` → `end`.
fn mark(name: &str) -> String {
    let bare = name.trim_matches(|c| matches!(c, '<' | '>' | '|' | '[' | ']' | '\u{ff5c}'));
    sanitize::for_display(bare.strip_prefix("im_").unwrap_or(bare))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Entry;

    #[test]
    fn white_space_lone_bytes_and_marks_are_visible() {
        let check =
            |bytes: &[u8], kind, expected: &str| assert_eq!(shown(bytes, kind, &Symbols::FULL), expected);
        check(b" Paris", TokenKind::Normal, "␣Paris");
        check(b".\n\n\t", TokenKind::Normal, ".↵↵⇥");
        check(b"\xF0\x9F", TokenKind::Normal, "‹F0›‹9F›");
        check("a\u{e9}".as_bytes(), TokenKind::Normal, "aé");
        check(b"<|im_end|>", TokenKind::Control, "‹end›");
        check(b"</s>", TokenKind::Control, "‹/s›");
        check(b"", TokenKind::Normal, "‹empty›");
    }

    #[test]
    fn no_token_looks_empty() {
        let check = |text: &str, expected: &str| {
            assert_eq!(shown(text.as_bytes(), TokenKind::Normal, &Symbols::FULL), expected);
        };
        check("\u{a0}", "‹nbsp›");
        check("a\u{a0}\u{a0}", "a‹nbsp›‹nbsp›");
        check("\u{3000}", "‹U+3000›");
        check("\u{2028}", "‹U+2028›");
        check("\u{200b}", "‹U+200B›");
        check("\u{feff}", "‹U+FEFF›");
    }

    #[test]
    fn part_of_a_character_is_completed_by_what_was_written_before_it_only() {
        let check = |partial: &[u8], bytes: &[u8], expected: &str| {
            assert_eq!(completed(partial, bytes, TokenKind::Normal, &Symbols::FULL), expected);
        };
        check(b"\xF0\x9F", b"\x98\x80", "😀");
        check(b"\xF0\x9F", b"\x98\x80 a", "😀␣a");
        check(b"\xF0\x9F", b"\x98", "‹98›");
        check(b"\xF0\x9F", b" the", "␣the");
        check(b"", b"\x98\x80", "‹98›‹80›");
    }

    #[test]
    fn escape_sequences_in_a_token_are_harmless() {
        assert!(!shown(b"\x1b[2J", TokenKind::Normal, &Symbols::FULL).contains('\x1b'));
        assert!(!shown(b"<|\x1b]0;x|>", TokenKind::Control, &Symbols::FULL).contains('\x1b'));
    }

    #[test]
    fn ascii_has_its_own_white_space() {
        assert_eq!(shown(b" a", TokenKind::Normal, &Symbols::ASCII), "_a");
    }

    #[test]
    fn without_its_vocabulary_a_token_is_a_number() {
        assert_eq!(named(TokenId(7042), None, &Symbols::FULL), "#7042");
    }

    #[test]
    fn a_token_that_a_server_named_without_its_bytes_is_a_number() {
        let mut vocabulary = Vocabulary::default();
        vocabulary.learn([(TokenId(18_645), Entry::default())]);
        assert_eq!(named(TokenId(18_645), Some(&vocabulary), &Symbols::FULL), "#18645");
        assert_eq!(written(Some(TokenId(18_645)), b"", Some(&vocabulary), &Symbols::FULL), "#18645");
    }
}

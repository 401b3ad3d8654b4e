//! How tokenizers write their tokens: in GPT-2's letters for bytes, or as text with a sign for blanks.
//!
//! Invariant: pieces count as the tokens' bytes only where together they spell the text that was cut.

use crate::engine::tokenizer::letters;

/// The bytes of each piece of a text. A begin-of-sequence mark or a blank may stand before the text.
pub fn bytes_of(pieces: &[&str], text: &str) -> Option<Vec<Vec<u8>>> {
    let spells = |bytes: &Vec<Vec<u8>>| bytes.concat().ends_with(text.as_bytes());
    let read = |piece: fn(&str) -> Vec<u8>| pieces.iter().map(|text| piece(text)).collect();
    [read(of_letters), read(of_text)].into_iter().find(spells)
}

/// GPT-2's; a mark is written as it is.
fn of_letters(piece: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = piece.chars().map(letters::byte).collect();
    bytes.unwrap_or_else(|| piece.as_bytes().to_vec())
}

/// SentencePiece's: `▁` is a blank, `<0xE2>` a byte.
fn of_text(piece: &str) -> Vec<u8> {
    let hex = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
        Some(byte) => vec![byte],
        None => piece.replace('▁', " ").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_read_in_the_way_that_spells_the_text() {
        let check = |pieces: &[&str], text: &str, expected: Option<&[&[u8]]>| {
            let expected = expected.map(|all| all.iter().map(|bytes| bytes.to_vec()).collect::<Vec<_>>());
            assert_eq!(bytes_of(pieces, text), expected, "{text}");
        };
        check(
            &["Hi", "ĠâĤ", "¬", "<|end|>"],
            "Hi €<|end|>",
            Some(&[b"Hi", b" \xe2\x82", b"\xac", b"<|end|>"]),
        );
        check(
            &["<｜begin▁of｜>", "ä½", "ł"],
            "<｜begin▁of｜>你",
            Some(&["<｜begin▁of｜>".as_bytes(), b"\xe4\xbd", b"\xa0"]),
        );
        check(
            &["<s>", "▁Hi", "▁", "<0xE2>", "<0x82>", "<0xAC>"],
            "Hi €",
            Some(&[b"<s>", b" Hi", b" ", b"\xe2", b"\x82", b"\xac"]),
        );
        check(&["hi"], "Hi", None);
    }
}

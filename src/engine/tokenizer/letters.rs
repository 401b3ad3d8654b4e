//! GPT-2's letters for bytes: each of the 256 bytes as one printable character.
//!
//! Source: Radford et al. 2019 (`bytes_to_unicode` of its code). Invariant: no two bytes share a letter.

use std::sync::LazyLock;

static LETTERS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut next = 256_u32;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        if matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) {
            return char::from(byte);
        }
        next += 1;
        char::from_u32(next - 1).unwrap_or(char::REPLACEMENT_CHARACTER)
    })
});

/// The letter of a byte.
pub fn letter(byte: u8) -> char {
    LETTERS[usize::from(byte)]
}

/// The byte of a letter.
#[cfg(any(feature = "remote", test))]
pub fn byte(letter: char) -> Option<u8> {
    LETTERS.iter().position(|other| *other == letter).and_then(|at| u8::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_byte_has_a_letter_of_its_own() {
        let letters: BTreeSet<char> = (0..=255).map(letter).collect();
        assert_eq!(letters.len(), 256);
        assert!(letters.iter().all(|letter| !letter.is_whitespace() && !letter.is_control()));
        assert!((0..=255).all(|one| byte(letter(one)) == Some(one)) && byte('▁').is_none());
        assert_eq!((letter(b'a'), letter(b' '), letter(b'\n'), letter(0xC3)), ('a', 'Ġ', 'Ċ', 'Ã'));
    }
}

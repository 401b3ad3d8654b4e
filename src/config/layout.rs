//! Keyboards that type other letters than the keys of commands are named by.
//!
//! Invariant: a letter stands for the Latin one on the same key of that layout, in the same case; where two layouts of a
//! script differ, the more common one counts. Only commands are looked up so, what is typed stays what it is.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Letters by key, those of a layout above the Latin ones.
const LAYOUTS: &[(&str, &str)] = &[
    // Russian, with Ukrainian's, Belarusian's and Serbian's own letters.
    ("йцукенгшщзфывапролдячсмитьіўљњј", "qwertyuiopasdfghjklzxcvbnmsoqwj"),
    // Greek
    ("ςερτυθιοπασδφγηξκλζχψωβνμ", "wertyuiopasdfghjklzxcvbnm"),
    // Hebrew
    ("קראטוןםפשדגכעיחלךזסבהנמצ", "ertyuiopasdfghjklzxcvbnm"),
    // Arabic, and Persian's ye
    ("ضصثقفغعهخحشسيبلاتنمئءؤرىةی", "qwertyuiopasdfghjklzxcvnmd"),
    // Korean, two sets
    ("ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅁㄴㅇㄹㅎㅗㅓㅏㅣㅋㅌㅊㅍㅠㅜㅡ", "qwertyuiopasdfghjklzxcvbnm"),
];

/// The row of digits of a French keyboard, which types them only with Shift.
const AZERTY: (&str, &str) = ("&é\"'(-è_çà", "1234567890");

/// What Option types with the digits 1 to 0 on a Mac whose terminal does not send it as Meta.
const OPTION_DIGITS: &str = "¡™£¢∞§¶•ªº";

/// The Latin letter on the key that types this one.
pub(crate) fn latin(letter: char) -> Option<char> {
    let lower = letter.to_lowercase().next()?;
    let found = LAYOUTS.iter().find_map(|layout| on_key(*layout, lower))?;
    Some(if lower == letter { found } else { found.to_ascii_uppercase() })
}

/// The digit whose key types this with Option on a Mac.
pub(crate) fn option_digit(character: char) -> Option<u32> {
    OPTION_DIGITS
        .chars()
        .zip((1..=9).chain([0]))
        .find(|(typed, _)| *typed == character)
        .map(|(_, digit)| digit)
}

/// The code of a chord as commands name it, if it is another one.
pub(super) fn named(code: KeyCode, held: KeyModifiers) -> Option<KeyCode> {
    let KeyCode::Char(character) = code else { return None };
    let digit = || on_key(AZERTY, character).filter(|_| held.contains(KeyModifiers::ALT));
    latin(character).or_else(digit).map(KeyCode::Char)
}

/// A chord with Ctrl or Alt as a Latin keyboard sends it, so that editing keys are found too.
pub(crate) fn chorded(key: KeyEvent) -> KeyEvent {
    let KeyCode::Char(letter) = key.code else { return key };
    let chord = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match latin(letter).filter(|_| chord) {
        Some(letter) => KeyEvent { code: KeyCode::Char(letter), ..key },
        None => key,
    }
}

fn on_key((typed, named): (&str, &str), character: char) -> Option<char> {
    typed.chars().zip(named.chars()).find(|(typed, _)| *typed == character).map(|(_, named)| named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_of_a_layout_has_a_key() {
        for (typed, named) in LAYOUTS.iter().chain([&AZERTY]) {
            assert_eq!(typed.chars().count(), named.chars().count(), "{typed}");
            assert!(named.chars().all(|c| c.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn letters_stand_for_those_on_their_keys_in_their_case() {
        for (typed, meant) in
            [('с', 'c'), ('С', 'C'), ('о', 'j'), ('ψ', 'c'), ('Ω', 'V'), ('ב', 'c'), ('ㅊ', 'c')]
        {
            assert_eq!(latin(typed), Some(meant), "{typed}");
        }
        assert_eq!(latin('c'), None);
        assert_eq!(latin('é'), None);
        assert_eq!((option_digit('™'), option_digit('º'), option_digit('x')), (Some(2), Some(0), None));
    }
}

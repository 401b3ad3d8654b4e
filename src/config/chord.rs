//! Keys as text: `ctrl+shift+x`, `alt+enter`, `f2`, `?`, `Y`.
//!
//! Invariant: a chord has one form however it was typed or sent: a letter's case holds its Shift, except with
//! Ctrl, where letters are lower case and Shift is a modifier; Shift+Tab is back-tab.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with its modifiers, as the keymap stores it.
pub type Chord = (KeyCode, KeyModifiers);

const NAMES: &[(&str, KeyCode, &str)] = &[
    ("enter", KeyCode::Enter, "Enter"),
    ("return", KeyCode::Enter, "Enter"),
    ("esc", KeyCode::Esc, "Esc"),
    ("escape", KeyCode::Esc, "Esc"),
    ("tab", KeyCode::Tab, "Tab"),
    ("backtab", KeyCode::BackTab, "Shift+Tab"),
    ("space", KeyCode::Char(' '), "Space"),
    ("backspace", KeyCode::Backspace, "Backspace"),
    ("delete", KeyCode::Delete, "Del"),
    ("del", KeyCode::Delete, "Del"),
    ("insert", KeyCode::Insert, "Ins"),
    ("ins", KeyCode::Insert, "Ins"),
    ("home", KeyCode::Home, "Home"),
    ("end", KeyCode::End, "End"),
    ("pageup", KeyCode::PageUp, "PgUp"),
    ("pgup", KeyCode::PageUp, "PgUp"),
    ("pagedown", KeyCode::PageDown, "PgDn"),
    ("pgdn", KeyCode::PageDown, "PgDn"),
    ("up", KeyCode::Up, "Up"),
    ("down", KeyCode::Down, "Down"),
    ("left", KeyCode::Left, "Left"),
    ("right", KeyCode::Right, "Right"),
];

/// Reads a key as a configuration writes it. Names are read in any case, a letter alone is not: `Y` is Shift+y.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Chord, String> {
    // The plus key itself stands last: `+`, `ctrl++`.
    let (modifiers, key) = match text.strip_suffix('+') {
        Some(rest) => (rest.strip_suffix('+').unwrap_or(rest), "+"),
        None => text.rsplit_once('+').unwrap_or(("", text)),
    };
    let mut held = KeyModifiers::NONE;
    for name in modifiers.split('+').filter(|_| !modifiers.is_empty()) {
        held |= match name.to_lowercase().as_str() {
            "ctrl" | "control" => KeyModifiers::CONTROL,
            "alt" | "meta" | "option" => KeyModifiers::ALT,
            "shift" => KeyModifiers::SHIFT,
            _ => {
                return Err(format!("\"{text}\" is not a key (before the last + stand ctrl, alt and shift)"));
            }
        };
    }
    let code = code(key).ok_or_else(|| {
        let hint = super::document::did_you_mean(key, NAMES.iter().map(|(name, ..)| *name));
        format!("\"{text}\" is not a key{hint}")
    })?;
    Ok(normal(code, held))
}

fn code(key: &str) -> Option<KeyCode> {
    let mut characters = key.chars();
    if let (Some(only), None) = (characters.next(), characters.next()) {
        return (!only.is_control() && !only.is_whitespace()).then_some(KeyCode::Char(only));
    }
    let name = key.to_lowercase();
    let function = name.strip_prefix('f').and_then(|number| number.parse().ok());
    function
        .filter(|number| (1..=24).contains(number))
        .map(KeyCode::F)
        .or_else(|| NAMES.iter().find(|(other, ..)| *other == name).map(|(_, code, _)| *code))
}

/// The chord of a key as the terminal sent it.
pub fn of(event: KeyEvent) -> Chord {
    normal(event.code, event.modifiers)
}

fn normal(code: KeyCode, held: KeyModifiers) -> Chord {
    let shift = held.contains(KeyModifiers::SHIFT);
    let unshifted = held.difference(KeyModifiers::SHIFT);
    match code {
        KeyCode::Char(letter) if held.contains(KeyModifiers::CONTROL) => {
            // Without Shift a capital comes from caps lock; with a sign the sign says it all.
            let held = if letter.is_alphabetic() { held } else { unshifted };
            (KeyCode::Char(single(letter, letter.to_lowercase())), held)
        }
        KeyCode::Char(letter) if shift => (KeyCode::Char(single(letter, letter.to_uppercase())), unshifted),
        KeyCode::BackTab => (KeyCode::BackTab, unshifted),
        KeyCode::Tab if shift => (KeyCode::BackTab, unshifted),
        _ => (code, held),
    }
}

/// The other case of a letter, where that is one letter too.
fn single(letter: char, mut other: impl Iterator<Item = char>) -> char {
    match (other.next(), other.next()) {
        (Some(other), None) => other,
        _ => letter,
    }
}

/// A chord as hints and help show it: `Ctrl+R`, `Alt+Enter`, `Y`, `PgUp`.
pub fn shown(chord: Chord) -> String {
    let (code, held) = chord;
    let mut text = String::new();
    for (modifier, name) in
        [(KeyModifiers::CONTROL, "Ctrl+"), (KeyModifiers::ALT, "Alt+"), (KeyModifiers::SHIFT, "Shift+")]
    {
        if held.contains(modifier) {
            text.push_str(name);
        }
    }
    let named = NAMES.iter().find(|(_, other, _)| *other == code).map(|(.., shown)| (*shown).to_owned());
    let key = match code {
        KeyCode::Char(letter) if held.contains(KeyModifiers::CONTROL) && letter != ' ' => {
            single(letter, letter.to_uppercase()).to_string()
        }
        KeyCode::F(number) => format!("F{number}"),
        KeyCode::Char(letter) if named.is_none() => letter.to_string(),
        _ => named.unwrap_or_default(),
    };
    text + &key
}

/// What many terminals make of a chord.
pub struct Trap {
    /// In words.
    pub why: String,
    /// The chord that comes in its place, if one does.
    pub sent_as: Option<Chord>,
}

/// Why a chord is a poor choice: terminals without the newer keyboard protocols send control characters, of which there
/// are 32, and Alt as Esc before the key (ECMA-48; xterm, "Alt and Meta Keys").
pub fn trap(chord: Chord) -> Option<Trap> {
    let (ctrl, alt) = (KeyModifiers::CONTROL, KeyModifiers::ALT);
    let KeyCode::Char(key) = chord.0 else { return None };
    let as_another = |other: Chord, name: &str| {
        let why = format!("many terminals send {} as {name}", shown(chord));
        Some(Trap { why, sent_as: Some(other) })
    };
    let never = |why: String| Some(Trap { why, sent_as: None });
    let plain = |code, name| as_another((code, KeyModifiers::NONE), name);
    match (chord.1, key) {
        (held, 'm') if held == ctrl => plain(KeyCode::Enter, "Enter"),
        (held, 'i') if held == ctrl => plain(KeyCode::Tab, "Tab"),
        (held, 'h' | '8') if held == ctrl => plain(KeyCode::Backspace, "Backspace"),
        (held, '[' | '3') if held == ctrl => plain(KeyCode::Esc, "Esc"),
        (held, 's') if held == ctrl => {
            never("Ctrl+S stops the output of many terminals until Ctrl+Q".to_owned())
        }
        (held, '/' | '_') if held == ctrl => as_another((KeyCode::Char('7'), ctrl), "Ctrl+7"),
        (held, '\\') if held == ctrl => as_another((KeyCode::Char('4'), ctrl), "Ctrl+4"),
        (held, ']') if held == ctrl => as_another((KeyCode::Char('5'), ctrl), "Ctrl+5"),
        (held, '^') if held == ctrl => as_another((KeyCode::Char('6'), ctrl), "Ctrl+6"),
        (held, '2' | '@') if held == ctrl => as_another((KeyCode::Char(' '), ctrl), "Ctrl+Space"),
        (held, '4'..='7' | ' ') if held == ctrl => None,
        (held, key) if held == ctrl && !key.is_alphabetic() => {
            never(format!("many terminals send {} without Ctrl", shown(chord)))
        }
        (held, key) if held == ctrl | KeyModifiers::SHIFT => {
            let other = (KeyCode::Char(key), ctrl);
            as_another(other, &shown(other))
        }
        (held, '[' | 'O') if held == alt => {
            never(format!("with {} begin the codes of other keys", shown(chord)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, event: (KeyCode, KeyModifiers), shown_as: &str) {
        let chord = parse(text).unwrap();
        assert_eq!(chord, of(KeyEvent::new(event.0, event.1)), "{text}");
        assert_eq!(shown(chord), shown_as, "{text}");
    }

    #[test]
    fn what_is_written_is_what_terminals_send() {
        const NONE: KeyModifiers = KeyModifiers::NONE;
        const CTRL: KeyModifiers = KeyModifiers::CONTROL;
        const SHIFT: KeyModifiers = KeyModifiers::SHIFT;
        let char = KeyCode::Char;
        check("ctrl+r", (char('r'), CTRL), "Ctrl+R");
        check("Ctrl+R", (char('r'), CTRL), "Ctrl+R");
        check("ctrl+r", (char('R'), CTRL), "Ctrl+R");
        check("ctrl+shift+x", (char('X'), CTRL | SHIFT), "Ctrl+Shift+X");
        check("ctrl+shift+x", (char('x'), CTRL | SHIFT), "Ctrl+Shift+X");
        check("Y", (char('Y'), SHIFT), "Y");
        check("shift+y", (char('Y'), SHIFT), "Y");
        check("Y", (char('y'), SHIFT), "Y");
        check("y", (char('y'), NONE), "y");
        check("?", (char('?'), SHIFT), "?");
        check("?", (char('?'), NONE), "?");
        check("+", (char('+'), NONE), "+");
        check("ctrl++", (char('+'), CTRL), "Ctrl++");
        check("space", (char(' '), NONE), "Space");
        check("ctrl+space", (char(' '), CTRL), "Ctrl+Space");
        check("alt+enter", (KeyCode::Enter, KeyModifiers::ALT), "Alt+Enter");
        check("shift+enter", (KeyCode::Enter, SHIFT), "Shift+Enter");
        check("backtab", (KeyCode::BackTab, SHIFT), "Shift+Tab");
        check("shift+tab", (KeyCode::Tab, SHIFT), "Shift+Tab");
        check("f2", (KeyCode::F(2), NONE), "F2");
        check("PageUp", (KeyCode::PageUp, NONE), "PgUp");
        check("ctrl+home", (KeyCode::Home, CTRL), "Ctrl+Home");
        check("alt+1", (char('1'), KeyModifiers::ALT), "Alt+1");
        check("f", (char('f'), NONE), "f");
    }

    #[test]
    fn what_is_no_key_says_so() {
        for text in ["", "ctrl+", "hyper+x", "f0", "f25", "pagup", "ctrl+enterr", "  "] {
            if text == "ctrl+" {
                // The plus key under a lonely modifier name reads as Ctrl and plus.
                assert_eq!(parse(text), parse("ctrl++"));
            } else {
                assert!(parse(text).is_err(), "{text}");
            }
        }
        assert!(parse("pagup").unwrap_err().contains("did you mean \"pageup\""));
    }
}

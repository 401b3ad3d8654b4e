//! JSON as other programs write it, made into what the standard has: Python's `NaN` and `Infinity`, halves of a character
//! (JavaScript's way of cutting a text), bytes that are no UTF-8, bare control characters.
//!
//! Invariant: what is read without this is not touched by it; a figure that is none becomes `null`, half a character that
//! stays alone a sign that stands for it.

/// Texts that are shown, of which one may end inside a character and the next go on there.
const SHOWN: [&str; 4] = ["content", "text", "reasoning_content", "reasoning"];

/// Mends the events of one answer.
#[derive(Debug)]
pub struct Mender {
    /// The first half of a character that the last shown text ended with.
    half: Option<u16>,
    /// Whether halves are held for the next event.
    joins: bool,
}

/// A single answer, mended.
pub fn mended(data: &[u8]) -> Vec<u8> {
    Mender::new(false).mend(data)
}

impl Mender {
    /// For events of which each has only what is new, or not: then halves are not held for the next one.
    pub fn new(joins: bool) -> Self {
        Self { half: None, joins }
    }

    /// Whether half a character waits for what comes next.
    pub fn holds(&self) -> bool {
        self.half.is_some()
    }

    /// An event, mended.
    pub fn mend(&mut self, data: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(data);
        let mut out = String::with_capacity(text.len());
        let (mut rest, mut key) = (text.as_ref(), "");
        while let Some((outside, string)) = rest.split_once('"') {
            out += &numbers(outside);
            let length = length_of(string);
            let (inside, after) = string.split_at(length);
            let after = after.strip_prefix('"');
            let is_key = after.is_some_and(|after| after.trim_ascii_start().starts_with(':'));
            out.push('"');
            self.string(inside, !is_key && SHOWN.contains(&key), &mut out);
            key = if is_key { inside } else { "" };
            let Some(after) = after else { return out.into_bytes() };
            out.push('"');
            rest = after;
        }
        out += &numbers(rest);
        out.into_bytes()
    }

    /// The inside of a string.
    fn string(&mut self, inside: &str, shown: bool, out: &mut String) {
        let mut rest = inside;
        if let Some(first) = self.half.take_if(|_| shown && !inside.is_empty()) {
            match unit(rest).filter(|second| is_second(*second)) {
                Some(second) => {
                    out.extend([escaped(first), escaped(second)]);
                    rest = &rest[UNIT..];
                }
                None => *out += SIGN,
            }
        }
        while let Some(c) = rest.chars().next() {
            match unit(rest) {
                Some(first) if is_first(first) => {
                    let after = &rest[UNIT..];
                    if unit(after).is_some_and(is_second) {
                        *out += &rest[..2 * UNIT];
                        rest = &after[UNIT..];
                        continue;
                    }
                    if shown && self.joins && after.is_empty() {
                        self.half = Some(first);
                    } else {
                        *out += SIGN;
                    }
                    rest = after;
                }
                Some(second) if is_second(second) => {
                    *out += SIGN;
                    rest = &rest[UNIT..];
                }
                _ => {
                    // What is escaped goes with its backslash.
                    let length = if c == '\\' {
                        1 + rest[1..].chars().next().map_or(0, char::len_utf8)
                    } else {
                        c.len_utf8()
                    };
                    match c {
                        c if c.is_ascii_control() => *out += &escaped(c as u16),
                        _ => *out += &rest[..length],
                    }
                    rest = &rest[length..];
                }
            }
        }
    }
}

/// The length of an escaped half, `\ud83e`.
const UNIT: usize = 6;
/// The sign for what is no character, escaped.
const SIGN: &str = "\\ufffd";

/// What is escaped at the beginning of a text, as a unit of UTF-16.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..UNIT - 2)?, 16).ok()
}

/// A unit of UTF-16, escaped.
fn escaped(unit: u16) -> String {
    format!("\\u{unit:04x}")
}

fn is_first(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_second(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

/// How long the string is that a text begins inside of, up to its closing mark or its end.
fn length_of(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

/// What stands outside of strings, without names for what is no number.
fn numbers(text: &str) -> String {
    ["-Infinity", "Infinity", "-NaN", "NaN"]
        .iter()
        .fold(text.to_owned(), |text, name| text.replace(name, "null"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn what_is_mended_is_json_and_says_the_same() {
        let check = |text: &[u8], expected: &str| {
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&mended(text)).unwrap(), expected);
        };
        check(
            br#"{"a": [NaN, -Infinity, 1], "NaN": "Infinity \" NaN"}"#,
            r#"{"a":[null,null,1],"NaN":"Infinity \" NaN"}"#,
        );
        check(b"{\"a\":\"\xff \\\\ud83e \\ud83e\\udd80\ttab\"}", r#"{"a":"\ufffd \\ud83e 🦀\ttab"}"#);
        check(br#"{"content":"\ud83e","b":"\udd80"}"#, r#"{"content":"\ufffd","b":"\ufffd"}"#);
    }

    #[test]
    fn only_what_is_shown_goes_on_in_the_next_event() {
        let mut mender = Mender::new(true);
        let mut read = |text: &str| serde_json::from_slice::<Value>(&mender.mend(text.as_bytes())).unwrap();
        assert_eq!(read(r#"{"token":"x\ud83e","content":"x\ud83e"}"#)["token"], "x\u{fffd}");
        assert_eq!(read(r#"{"token":"\udd80","content":"\udd80"}"#)["content"], "🦀");
        assert_eq!(read(r#"{"content":"\udd80"}"#)["content"], "\u{fffd}");
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["", "<html>", "{\"a\":\"\\", "{\"a\":\"\\ud8", "\"\\u\u{e9}\u{e9}\u{e9}"] {
            assert!(serde_json::from_slice::<Value>(&mended(text.as_bytes())).is_err(), "{text}");
        }
    }
}

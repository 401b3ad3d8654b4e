//! The line at which a part of a JSON text stands, by the way to it.
//!
//! Invariant: the text is JSON already; elsewhere the answer is some line, never a panic.

/// A step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the value of a key.
    Key(String),
    /// To an entry of a list.
    Entry(usize),
}

/// The line, from 1, at which the value at `path` stands, or the key before it.
pub(super) fn line_of(text: &str, path: &[Step]) -> usize {
    let mut at = space(text, 0);
    for step in path {
        match inside(text, at, step) {
            Some(place) => at = place,
            None => break,
        }
    }
    1 + text.get(..at).unwrap_or(text).matches('\n').count()
}

/// Where the value of this key or entry begins.
fn inside(text: &str, at: usize, step: &Step) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = space(text, at + 1);
    let mut nth = 0;
    while at < text.len() && !matches!(bytes[at], b'}' | b']') {
        let is_wanted = match step {
            Step::Entry(index) => nth == *index,
            Step::Key(key) => {
                let end = string_end(bytes, at);
                let found: Option<String> =
                    text.get(at..end).and_then(|name| serde_json::from_str(name).ok());
                // Behind the colon.
                at = space(text, space(text, end) + 1);
                found.as_ref() == Some(key)
            }
        };
        if is_wanted {
            return Some(at);
        }
        at = space(text, value_end(bytes, at));
        if bytes.get(at) == Some(&b',') {
            at = space(text, at + 1);
        }
        nth += 1;
    }
    None
}

fn space(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Behind the string that begins here.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// Behind the value that begins here.
fn value_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at + depth,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_value_has_its_line() {
        let text = "{\n  \"a\": [1, {\"x\": \"}\\\"\"},\n    {\"b\": 2}],\n  \"c\\u0064\":\n    true\n}";
        let key = |name: &str| Step::Key(name.into());
        for (path, line) in [
            (vec![], 1),
            (vec![key("a")], 2),
            (vec![key("a"), Step::Entry(1), key("x")], 2),
            (vec![key("a"), Step::Entry(2), key("b")], 3),
            (vec![key("cd")], 5),
            (vec![key("none")], 1),
        ] {
            assert_eq!(line_of(text, &path), line, "{path:?}");
        }
        for cut in 0..text.len() {
            let Some(text) = text.get(..cut) else { continue };
            line_of(text, &[key("a"), Step::Entry(2), key("b")]);
        }
    }
}

//! Regular expressions over the text of a JSON string, as grammars.
//!
//! Invariant: a sentence is a JSON string whose text the expression matches; what cannot be said so is refused.

use std::iter::Peekable;
use std::str::Chars;

/// Any character that stands in a JSON string as itself.
pub(super) const PLAIN: &str = r#"[^"\\\x7F\x00-\x1F]"#;

/// The inside of a string (without its quotes) that the expression matches; `any` is the rule for one character.
///
/// # Errors
/// What of it has no place in a grammar.
pub(super) fn to_rule(pattern: &str, any: &str) -> Result<String, String> {
    let (begins, rest) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let escapes = |rest: &str| rest.bytes().rev().skip(1).take_while(|byte| *byte == b'\\').count();
    let is_end = |rest: &str| rest.ends_with('$') && escapes(rest) % 2 == 0;
    let (ends, rest) = if is_end(rest) { (true, &rest[..rest.len() - 1]) } else { (false, rest) };
    let mut reader = Reader { rest: rest.chars().peekable(), depth: 0 };
    let (rule, branches) = reader.alternatives()?;
    if reader.rest.peek().is_some() {
        return Err("a ) too many".into());
    }
    if branches > 1 && (begins || ends) {
        return Err("^ or $ beside an | that stands in no ( )".into());
    }
    let around = |is_there: bool| if is_there { String::new() } else { format!("{any}*") };
    Ok(format!("{} ({rule}) {}", around(begins), around(ends)).trim().to_owned())
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    depth: usize,
}

impl Reader<'_> {
    fn take(&mut self, mark: char) -> bool {
        self.rest.next_if_eq(&mark).is_some()
    }

    /// The rule, and of how many branches.
    fn alternatives(&mut self) -> Result<(String, usize), String> {
        let mut branches = vec![self.sequence()?];
        while self.take('|') {
            branches.push(self.sequence()?);
        }
        Ok((branches.join(" | "), branches.len()))
    }

    fn sequence(&mut self) -> Result<String, String> {
        let mut parts = Vec::new();
        while let Some(next) = self.rest.peek().copied().filter(|next| !matches!(next, '|' | ')')) {
            self.rest.next();
            let part = match next {
                '(' => self.group()?,
                '[' => self.class()?,
                '.' => PLAIN.to_owned(),
                '\\' => self.escape()?,
                '^' | '$' => return Err(format!("{next} in the middle")),
                '*' | '+' | '?' | '{' => return Err(format!("nothing before {next} that could be repeated")),
                other => literal(other),
            };
            let times = self.repetition()?;
            parts.push(format!("{part}{times}"));
        }
        Ok(if parts.is_empty() { "\"\"".to_owned() } else { parts.join(" ") })
    }

    fn group(&mut self) -> Result<String, String> {
        if self.take('?') && !self.take(':') {
            return Err("a group that begins with (? and is no (?: )".into());
        }
        self.depth += 1;
        if self.depth > 50 {
            return Err("groups in groups, more than 50 deep".into());
        }
        let (inner, _) = self.alternatives()?;
        self.depth -= 1;
        if self.take(')') { Ok(format!("({inner})")) } else { Err("a ( without its )".into()) }
    }

    fn repetition(&mut self) -> Result<String, String> {
        let times = match self.rest.peek() {
            Some('*' | '+' | '?') => self.rest.next().map(String::from).unwrap_or_default(),
            Some('{') => {
                let inside: String = self.rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let is_count = |text: &str| text.parse::<u64>().is_ok_and(|count| count <= 2000);
                match inside.split_once(',') {
                    None if is_count(&inside) => format!("{{{inside}}}"),
                    Some((least, "")) if is_count(least) => format!("{{{least},}}"),
                    Some(("", most)) if is_count(most) => format!("{{0,{most}}}"),
                    Some((least, most)) if is_count(least) && is_count(most) => format!("{{{least},{most}}}"),
                    _ => return Err(format!("{{{inside}}}")),
                }
            }
            _ => return Ok(String::new()),
        };
        // A lazy repetition matches the same texts.
        self.take('?');
        if matches!(self.rest.peek(), Some('*' | '+' | '{')) {
            return Err("a repetition of a repetition".into());
        }
        Ok(times)
    }

    fn escape(&mut self) -> Result<String, String> {
        let Some(next) = self.rest.next() else { return Err("a \\ at the end".into()) };
        if let Some(class) = shorthand(next) {
            return Ok(format!("[{class}]"));
        }
        match next {
            'D' => Ok(r#"[^0-9"\\\x7F\x00-\x1F]"#.into()),
            'W' => Ok(r#"[^A-Za-z0-9_"\\\x7F\x00-\x1F]"#.into()),
            'S' => Ok(r#"[^ "\\\x7F\x00-\x1F]"#.into()),
            'n' => Ok(r#""\\n""#.into()),
            't' => Ok(r#""\\t""#.into()),
            'r' => Ok(r#""\\r""#.into()),
            other if other.is_ascii_alphanumeric() => Err(format!("\\{other}")),
            other => Ok(literal(other)),
        }
    }

    fn class(&mut self) -> Result<String, String> {
        let negated = self.take('^');
        let mut inside = String::new();
        let mut first = true;
        loop {
            let next = self.rest.next().ok_or("a [ without its ]")?;
            match next {
                ']' if !first => break,
                '\\' => {
                    let escaped = self.rest.next().ok_or("a [ without its ]")?;
                    match shorthand(escaped) {
                        Some(class) => inside.push_str(class),
                        None if escaped.is_ascii_alphanumeric() => return Err(format!("\\{escaped} in [ ]")),
                        None => inside.push_str(&in_class(escaped, negated)?),
                    }
                }
                '-' if !inside.is_empty() && self.rest.peek() != Some(&']') => inside.push('-'),
                other => inside.push_str(&in_class(other, negated)?),
            }
            first = false;
        }
        Ok(if negated { format!(r#"[^{inside}"\\\x7F\x00-\x1F]"#) } else { format!("[{inside}]") })
    }
}

/// What `\d` and the like stand for, inside of brackets.
fn shorthand(letter: char) -> Option<&'static str> {
    match letter {
        'd' => Some("0-9"),
        'w' => Some("A-Za-z0-9_"),
        's' => Some(" "),
        _ => None,
    }
}

/// One character of a class; what JSON writes with an escape is not one character there.
fn in_class(c: char, negated: bool) -> Result<String, String> {
    match c {
        '"' | '\\' if negated => Ok(String::new()),
        '"' | '\\' => Err(format!("{c} in [ ]")),
        '[' | ']' | '-' => Ok(format!("\\{c}")),
        other => Ok(other.to_string()),
    }
}

/// A character as it stands in a JSON string, as a literal.
fn literal(c: char) -> String {
    let json = serde_json::Value::from(c.to_string()).to_string();
    super::gbnf::quoted(&json[1..json.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::super::gbnf::tests::accepts;
    use super::*;

    #[test]
    fn a_sentence_is_a_string_that_the_expression_matches() {
        for (pattern, fits, others) in [
            ("^[A-Z]{2}\\d+$", &["AB1", "XY123"][..], &["A1", "AB", "AB1x", "ab1"][..]),
            ("^(red|green)$", &["red", "green"], &["redgreen", "blue"]),
            ("^\\(?[0-9]{3}\\)?-\\w*$", &["(123)-ab_", "123-"], &["12-"]),
            ("b+", &["b", "abba"], &["", "aca"]),
            ("^a.c", &["abc", "axcd"], &["ac", "xabc"]),
            ("^[^a-c]+$", &["xyz"], &["xaz"]),
            ("^say \"hi\"\\\\$", &["say \\\"hi\\\"\\\\"], &["say \"hi\"\\"]),
            ("^(?:ab?)+?$", &["aab", "a"], &["b", ""]),
            ("^[a\\-z]$", &["a", "-", "z"], &["m"]),
        ] {
            let grammar = format!("root ::= {}", to_rule(pattern, PLAIN).unwrap());
            for text in fits {
                assert!(accepts(&grammar, text), "{pattern} {text}\n{grammar}");
            }
            for text in others {
                assert!(!accepts(&grammar, text), "{pattern} {text}\n{grammar}");
            }
        }
    }

    #[test]
    fn what_has_no_grammar_is_refused() {
        for pattern in
            ["^(?=a)b$", "\\bword", "(a)\\1", "^a|b$", "a{2}{3}", "(", "a)", "[a", "*", "a^b", "^\\"]
        {
            assert!(to_rule(pattern, PLAIN).is_err(), "{pattern}");
        }
    }
}

//! What a reply has to look like: grammars in llama.cpp's notation (GBNF), and JSON schemas as such grammars.
//!
//! Invariant: what these accept, llama.cpp's grammar sampler accepts too, but for what only a loaded model can tell
//! (`<token>` names); whatever is refused is named with its line.

pub mod gbnf;
mod numbers;
mod pattern;
mod place;
pub mod schema;

use std::fmt;

/// Why a grammar or a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which line of the text, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl Problem {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for Problem {}

/// What a file holds that a reply has to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A grammar as llama.cpp reads it.
    Grammar,
    /// A JSON schema.
    Schema,
}

/// What the first line of a schema's grammar begins with; behind it is the schema, for servers that take no grammars.
const SCHEMA: &str = "# JSON schema: ";

/// The schema that a grammar was made of, where it was.
#[must_use]
pub fn schema_of(grammar: &str) -> Option<&str> {
    grammar.lines().next()?.strip_prefix(SCHEMA)
}

/// The grammar of a file's text, and what of a schema it does not hold the reply to. That of a schema says in its first
/// line, a comment, which one that is.
///
/// # Errors
/// Where the text cannot be used.
pub fn read(text: &str, form: Form) -> Result<(String, Vec<String>), Problem> {
    match form {
        Form::Grammar => gbnf::check(text).map(|()| (text.to_owned(), Vec::new())),
        Form::Schema => {
            let (grammar, notes) = schema::to_grammar(text)?;
            // In one line; that it is JSON was found out already.
            let schema: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            Ok((format!("{SCHEMA}{schema}\n{grammar}"), notes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grammar_of_a_schema_says_which_and_is_one_all_the_same() {
        let text = "{\n  \"type\": \"object\",\n  \"description\": \"a\\nb\"\n}";
        let (grammar, _) = read(text, Form::Schema).unwrap();
        assert_eq!(schema_of(&grammar), Some(r#"{"type":"object","description":"a\nb"}"#));
        assert_eq!(gbnf::check(&grammar), Ok(()));
        assert_eq!(schema_of("root ::= \"a\""), None);
    }
}

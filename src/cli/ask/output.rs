//! Where a reply goes: as text, or as one JSON object a line.
//!
//! Invariant: text goes out in whole characters, and a terminal never sees a control character of the model's.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::chat::unfinished_tail;
use crate::export;
use crate::sanitize;
use crate::token::{Step, Vocabulary};

/// Where the reply goes.
pub struct Output<'a> {
    /// Set for JSON.
    vocabulary: Option<&'a Vocabulary>,
    /// Bytes of an unfinished character.
    held: Vec<u8>,
    /// Number of the next token.
    index: u32,
    /// Whether standard output is a terminal.
    terminal: bool,
}

impl<'a> Output<'a> {
    /// JSON with a vocabulary, text without.
    pub fn new(vocabulary: Option<&'a Vocabulary>) -> Self {
        Self { vocabulary, held: Vec::new(), index: 0, terminal: std::io::stdout().is_terminal() }
    }

    /// Writes a token, as far as its characters are whole.
    ///
    /// # Errors
    /// When standard output was closed.
    pub fn token(&mut self, step: &Step) -> anyhow::Result<()> {
        if let Some(vocabulary) = self.vocabulary {
            let line = token_line(self.index, step, vocabulary);
            self.index += 1;
            return write(&format!("{line}\n"));
        }
        let text = whole(&mut self.held, &step.bytes);
        if self.terminal { write(&sanitize::for_copy(&text)) } else { write(&text) }
    }

    /// Writes how it ended. The beginning of a character that never came whole is no text.
    ///
    /// # Errors
    /// When standard output was closed.
    pub fn done(&mut self, end: &Value) -> anyhow::Result<()> {
        if self.vocabulary.is_some() { write(&format!("{end}\n")) } else { write("\n") }
    }
}

/// The whole characters of what was held and what comes; the rest is held.
fn whole(held: &mut Vec<u8>, bytes: &[u8]) -> String {
    held.extend_from_slice(bytes);
    let whole = held.len() - unfinished_tail(held);
    let text = String::from_utf8_lossy(&held[..whole]).into_owned();
    held.drain(..whole);
    text
}

/// One token as the JSON object that the README lays down.
pub fn token_line(index: u32, step: &Step, vocabulary: &Vocabulary) -> Value {
    let mut line = serde_json::Map::new();
    line.insert("type".into(), json!("token"));
    line.insert("index".into(), json!(index));
    line.extend(export::json::step(step, |id| vocabulary.bytes(id)));
    Value::Object(line)
}

/// A measured time or speed, to a tenth.
pub fn rounded(value: f32) -> Value {
    export::json::number((value * 10.0).round() / 10.0)
}

/// Writes to standard output at once.
///
/// # Errors
/// When it was closed.
pub fn write(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output was closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Candidate, TokenId, TokenKind};

    #[test]
    fn a_token_line_has_exactly_the_fields_of_the_format() {
        let mut vocabulary = Vocabulary::default();
        vocabulary.push(b" Paris", TokenKind::Normal);
        let step = Step {
            id: Some(TokenId(0)),
            bytes: b" Paris".to_vec(),
            logprob: -0.25,
            rank: 1,
            entropy: 1.5,
            candidates: vec![Candidate { id: TokenId(0), logprob: -0.25 }],
            ..Step::default()
        };
        assert_eq!(
            token_line(3, &step, &vocabulary).to_string(),
            concat!(
                r#"{"type":"token","index":3,"id":0,"token":" Paris","bytes":[32,80,97,114,105,115],"#,
                r#""logprob":-0.25,"rank":1,"entropy":1.5,"top_logprobs":["#,
                r#"{"id":0,"token":" Paris","bytes":[32,80,97,114,105,115],"logprob":-0.25}]}"#
            )
        );
    }

    #[test]
    fn a_character_split_over_tokens_goes_out_whole_or_not_at_all() {
        let mut held = Vec::new();
        let came: Vec<String> =
            [&b"a\xf0\x9f"[..], b"\x98", b"\x80b", b"\xf0\x9f"].map(|bytes| whole(&mut held, bytes)).to_vec();
        assert_eq!(came, ["a", "", "😀b", ""]);
        assert_eq!(held, b"\xf0\x9f");
    }
}

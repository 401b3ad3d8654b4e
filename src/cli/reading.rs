//! A text as the tokens that a command reads: as it is, with its marks as control tokens, or as a message under the
//! model's template.
//!
//! Invariant: joined, the tokens' bytes hold the text (some vocabularies make blanks of its `▁`), and it is known which of
//! them are the text's own.

use std::ops::Range;

use anyhow::Context as _;
use serde_bytes::ByteBuf;

use super::args::Reading;
use super::ask::chat;
use super::session::Session;
use crate::chat::Role;
use crate::engine::protocol::{Message, Prompt, TemplateSetting};
use crate::token::{TokenId, Vocabulary, with_blanks};

/// What is read.
pub struct Read {
    /// The tokens with their bytes; a control token's are its name.
    pub tokens: Vec<(TokenId, ByteBuf)>,
    /// Whether the first is the token that begins every text of this model, and no part of this one.
    pub begins: bool,
    /// Those that are the text's own, and the one that begins it.
    pub own: Range<usize>,
    /// What is read, as text.
    pub text: String,
}

/// Cuts a text into what the model reads.
///
/// # Errors
/// With the engine's own sentence, or when the template leaves the text out.
pub async fn read(
    session: &mut Session,
    vocabulary: &Vocabulary,
    text: &str,
    how: Reading,
) -> anyhow::Result<Read> {
    if how.as_message {
        return message(session, vocabulary, text).await;
    }
    let tokens = session.tokenize(text, how.special, true).await?;
    let begin = session.tokenize("", false, true).await?.into_iter().next();
    // A text that spells the mark itself begins with its own.
    let begins = begin.is_some_and(|begin| {
        let spelt = how.special && text.as_bytes().starts_with(&begin.1);
        tokens.first() == Some(&begin) && !spelt
    });
    Ok(Read { begins, own: 0..tokens.len(), text: text.to_owned(), tokens })
}

async fn message(session: &mut Session, vocabulary: &Vocabulary, text: &str) -> anyhow::Result<Read> {
    let message = Message::new(Role::User, text);
    let (clock_ms, offset_minutes) = (super::wall_ms(), super::offset_minutes());
    let setting = TemplateSetting { clock_ms, offset_minutes, ..TemplateSetting::default() };
    let Rendered { tokens, begins, text: rendered } =
        rendered(session, vocabulary, chat(vec![message], "", setting)).await?;
    let text = text.trim().as_bytes();
    let own = place(&tokens, text)
        .or_else(|| place(&tokens, &with_blanks(text).0))
        .context("the model's template changes the text, so which tokens are its own cannot be told")?;
    Ok(Read { tokens, begins, own, text: rendered })
}

/// A chat as the model reads it.
pub struct Rendered {
    /// The tokens with their bytes; a control token's are its name.
    pub tokens: Vec<(TokenId, ByteBuf)>,
    /// Whether the first is the token that begins every text of this model, and no part of this one.
    pub begins: bool,
    /// The same as text.
    pub text: String,
}

/// Puts a chat into the model's template; what is to be known of it goes to standard error.
///
/// # Errors
/// With the engine's own sentence.
pub async fn rendered(
    session: &mut Session,
    vocabulary: &Vocabulary,
    prompt: Prompt,
) -> anyhow::Result<Rendered> {
    let rendered = session.render(prompt).await?;
    rendered.notes.iter().for_each(|note| super::note(note));
    let bytes = |id: TokenId| ByteBuf::from(vocabulary.bytes(id).unwrap_or_default());
    let tokens: Vec<_> = rendered.ids.into_iter().map(|id| (id, bytes(id))).collect();
    let begins = tokens.first().is_some_and(|(_, bytes)| !rendered.text.as_bytes().starts_with(bytes));
    Ok(Rendered { tokens, begins, text: rendered.text })
}

/// The tokens that hold the last place where the text stands.
fn place(tokens: &[(TokenId, ByteBuf)], text: &[u8]) -> Option<Range<usize>> {
    let whole: Vec<u8> = tokens.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let start = (0..=whole.len().checked_sub(text.len())?).rev().find(|at| whole[*at..].starts_with(text))?;
    let ends = tokens.iter().scan(0, |end, (_, bytes)| {
        *end += bytes.len();
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    let first = ends.partition_point(|end| *end <= start);
    let last = ends.partition_point(|end| *end < start + text.len());
    Some(first..(last + 1).min(tokens.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_between_its_marks() {
        let tokens = |pieces: &[&str]| -> Vec<(TokenId, ByteBuf)> {
            pieces.iter().map(|piece| (TokenId(1), ByteBuf::from(piece.as_bytes()))).collect()
        };
        let all = tokens(&["<|im_start|>", "user", "\n", "Hi", " there", "<|im_end|>", "\n"]);
        assert_eq!(place(&all, b"Hi there"), Some(3..5));
        assert_eq!(place(&all, b"Hi"), Some(3..4));
        assert_eq!(place(&all, b"Ho"), None);
        let all = tokens(&["User", ": user", " said", "\nAssistant:"]);
        assert_eq!(place(&all, b"user said"), Some(1..3));
    }
}

//! A text as the tokens that a command reads: as it is, with its marks as control tokens, or as a message under the
//! model's template.
//!
//! Invariant: joined, the tokens' bytes hold the text (some vocabularies make blanks of its `▁`), and it is known which of
//! them are the text's own and where in it each ends: what a vocabulary or a template puts around it moves no place.

use std::ops::Range;

use anyhow::Context as _;
use serde_bytes::ByteBuf;

use super::args::Reading;
use super::ask::chat;
use super::session::Session;
use super::tokenize::doubt;
use crate::chat::Role;
use crate::engine::protocol::{Message, Prompt, TemplateSetting};
use crate::token::{TokenId, Vocabulary, end_of, with_blanks};

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
    /// Which bytes of the text that was given are read: a template takes the blanks around a message away.
    pub of: Range<usize>,
    /// Where in the tokens' joined bytes these begin.
    pub from: usize,
}

impl Read {
    /// Of a text that these tokens are, but for the one that begins every text.
    fn of_text(text: &str, tokens: Vec<(TokenId, ByteBuf)>, begins: bool) -> Self {
        let from = behind_what_is_put_before(&tokens, begins, text);
        Self { begins, own: 0..tokens.len(), text: text.to_owned(), of: 0..text.len(), from, tokens }
    }

    /// Of a text somewhere in what a template rendered; `None` where it is not there.
    fn within(text: &str, tokens: Vec<(TokenId, ByteBuf)>, begins: bool, rendered: String) -> Option<Self> {
        let start = text.len() - text.trim_start().len();
        let text = text.trim().as_bytes();
        let Place { own, from } = place(&tokens, text).or_else(|| place(&tokens, &with_blanks(text).0))?;
        Some(Self { tokens, begins, own, text: rendered, of: start..start + text.len(), from })
    }

    /// Where in the text that was given each token ends; those before it end where it begins.
    pub fn ends(&self, text: &str) -> Vec<usize> {
        let (mut at, mut end) = (0, self.of.start);
        let ends = self.tokens.iter().map(|(_, bytes)| {
            let before = self.from.saturating_sub(at).min(bytes.len());
            at += bytes.len();
            end = end_of(text.as_bytes(), end, &bytes[before..]).min(self.of.end);
            end
        });
        ends.collect()
    }
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
    doubt(&tokens, text).into_iter().for_each(super::note);
    Ok(Read::of_text(text, tokens, begins))
}

/// Where a text begins that the tokens' bytes end with: behind the name of the token that begins every text, and behind
/// the blank that some vocabularies put in front.
fn behind_what_is_put_before(tokens: &[(TokenId, ByteBuf)], begins: bool, text: &str) -> usize {
    let whole = joined(tokens);
    let name = tokens.first().filter(|_| begins).map_or(0, |(_, bytes)| bytes.len());
    let length = if whole[name..].ends_with(text.as_bytes()) {
        text.len()
    } else {
        with_blanks(text.as_bytes()).0.len()
    };
    whole.len().saturating_sub(length).max(name)
}

fn joined(tokens: &[(TokenId, ByteBuf)]) -> Vec<u8> {
    tokens.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect()
}

async fn message(session: &mut Session, vocabulary: &Vocabulary, text: &str) -> anyhow::Result<Read> {
    let message = Message::new(Role::User, text);
    let (clock_ms, offset_minutes) = (super::wall_ms(), super::offset_minutes());
    let setting = TemplateSetting { clock_ms, offset_minutes, ..TemplateSetting::default() };
    let Rendered { tokens, begins, text: rendered } =
        rendered(session, vocabulary, chat(vec![message], "", setting)).await?;
    doubt(&tokens, text.trim()).into_iter().for_each(super::note);
    Read::within(text, tokens, begins, rendered)
        .context("the chat template changes the text, so which tokens are its own cannot be told")
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

/// Where a text stands: the tokens that hold it, and where in their joined bytes it begins.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    own: Range<usize>,
    from: usize,
}

/// The last place where the text stands.
fn place(tokens: &[(TokenId, ByteBuf)], text: &[u8]) -> Option<Place> {
    let whole = joined(tokens);
    let start = (0..=whole.len().checked_sub(text.len())?).rev().find(|at| whole[*at..].starts_with(text))?;
    let ends = tokens.iter().scan(0, |end, (_, bytes)| {
        *end += bytes.len();
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    let first = ends.partition_point(|end| *end <= start);
    let last = ends.partition_point(|end| *end < start + text.len());
    Some(Place { own: first..(last + 1).min(tokens.len()), from: start })
}

#[cfg(test)]
impl Read {
    /// A text as it is, cut into these pieces.
    pub(super) fn whole(text: &str, pieces: &[&str], begins: bool) -> Self {
        Self::of_text(text, tests::tokens(pieces), begins)
    }

    /// A message among these pieces.
    pub(super) fn of_message(text: &str, pieces: &[&str]) -> Self {
        Self::within(text, tests::tokens(pieces), false, pieces.concat()).expect("it is among the pieces")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn tokens(pieces: &[&str]) -> Vec<(TokenId, ByteBuf)> {
        pieces.iter().map(|piece| (TokenId(1), ByteBuf::from(piece.as_bytes()))).collect()
    }

    #[test]
    fn a_message_is_found_between_its_marks() {
        let all = tokens(&["<|im_start|>", "user", "\n", "Hi", " there", "<|im_end|>", "\n"]);
        let found = |all: &[_], text: &[u8]| place(all, text).map(|place| (place.own, place.from));
        assert_eq!(found(&all, b"Hi there"), Some((3..5, 17)));
        assert_eq!(found(&all, b"Hi"), Some((3..4, 17)));
        assert_eq!(found(&all, b"Ho"), None);
        let all = tokens(&["User", ": user", " said", "\nAssistant:"]);
        assert_eq!(found(&all, b"user said"), Some((1..3, 6)));
    }
}

//! The vocabulary of a loaded model as plain data.
//!
//! Invariant: the hash covers every entry's bytes and kind in order, so equal hashes mean equal ids.

use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::{LlamaTokenAttr, LlamaTokenAttrs};
use llama_cpp_2::vocab::LlamaVocab;
use sha2::{Digest, Sha256};

use crate::reasoning::Form;
use crate::token::{TokenId, TokenKind, Vocabulary};

/// Tokens at the end of a prompt that can hold an open mark.
const MARK: usize = 12;

/// Reads all entries; control tokens are given by their name.
#[must_use]
pub fn read(vocab: &LlamaVocab<'_>) -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    let mut digest = Sha256::new();
    let mut bytes = Vec::with_capacity(64);
    for token in vocab.tokens() {
        bytes.clear();
        vocab.token_to_piece_into(token, &mut bytes, true, None);
        let kind = kind(vocab.attr(token));
        digest.update((bytes.len() as u32).to_le_bytes());
        digest.update(&bytes);
        digest.update([kind as u8]);
        vocabulary.push(&bytes, kind);
    }
    vocabulary.hash = hex::encode(digest.finalize());
    vocabulary
}

/// The marks that are not control tokens: others that end a reply, and those that the template writes out.
#[must_use]
pub fn marks(vocab: &LlamaVocab<'_>, vocabulary: &Vocabulary, template: &str) -> Vec<TokenId> {
    let is_written = |id: TokenId| {
        // Runs of blanks and the like are tokens of their own in some vocabularies, and are text.
        let text = vocabulary.bytes(id).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
        vocabulary.kind(id) == TokenKind::UserDefined
            && text.chars().count() > 2
            && !text.contains(char::is_whitespace)
            && template.contains(text)
    };
    let is_mark = |id: &TokenId| {
        vocabulary.kind(*id) != TokenKind::Control && (vocab.is_eog(LlamaToken(id.0)) || is_written(*id))
    };
    ids(vocabulary).filter(is_mark).collect()
}

/// The form of thoughts whose open mark ends a prompt.
#[must_use]
pub fn opened_by(vocabulary: &Vocabulary, prompt: &[TokenId]) -> Option<Form> {
    Form::opened_by(&vocabulary.spelt(&prompt[prompt.len().saturating_sub(MARK)..]))
}

/// All ids in order.
pub fn ids(vocabulary: &Vocabulary) -> impl Iterator<Item = TokenId> + use<> {
    (0..i32::MAX).take(vocabulary.len()).map(TokenId)
}

/// The bytes that a token adds to a text: none for a control token.
pub(crate) fn text_bytes(vocabulary: &Vocabulary, id: TokenId) -> &[u8] {
    match vocabulary.kind(id) {
        TokenKind::Control | TokenKind::Unused => &[],
        TokenKind::Normal | TokenKind::Byte | TokenKind::UserDefined => {
            vocabulary.bytes(id).unwrap_or_default()
        }
    }
}

/// A text's ids, without the model's own begin or end marks.
#[must_use]
pub fn tokenize(vocab: &LlamaVocab<'_>, text: &str, special: bool) -> Vec<TokenId> {
    if text.is_empty() {
        return Vec::new();
    }
    vocab.tokenize(text.as_bytes(), false, special).into_iter().map(|LlamaToken(id)| TokenId(id)).collect()
}

fn kind(attributes: LlamaTokenAttrs) -> TokenKind {
    use LlamaTokenAttr as Attr;
    if attributes.contains(Attr::Control) {
        TokenKind::Control
    } else if attributes.contains(Attr::UserDefined) {
        TokenKind::UserDefined
    } else if attributes.contains(Attr::Byte) {
        TokenKind::Byte
    } else if attributes.contains(Attr::Unused) || attributes.contains(Attr::Unknown) {
        TokenKind::Unused
    } else {
        TokenKind::Normal
    }
}

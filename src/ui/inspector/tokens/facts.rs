//! What the vocabulary is, and the tokens that text never makes.
//!
//! Invariant: what is not told is left out, never guessed.

use super::message::Message;
use super::said;
use crate::inspect::pieces::TokenizerKind;
use crate::theme::Role;
use crate::token::{TokenId, TokenKind};
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::{number, token};

/// Special tokens that are listed by name, and where there are few columns.
const LISTED: (usize, usize) = (6, 3);
/// Columns from which on the more are listed.
const WIDE: u16 = 60;

/// The size of the vocabulary.
pub fn size(message: &Message<'_>, width: u16) -> Vec<Row> {
    let (merges, tokens) = match (&message.around, message.vocabulary) {
        (Some((_, pieces, _)), _) => (pieces.merges, u64::from(pieces.vocabulary)),
        (None, Some(vocabulary)) if vocabulary.is_whole() => (0, vocabulary.len() as u64),
        (None, _) => return Vec::new(),
    };
    let merges = match merges {
        0 => String::new(),
        merges => format!("{} merges, ", number::grouped(merges.into())),
    };
    let words = format!("vocabulary: {merges}{} tokens", number::grouped(tokens));
    said(message, &words, width, Role::Muted)
}

/// The rule of the tokenizer.
pub fn rule(message: &Message<'_>, width: u16) -> Vec<Row> {
    let Some((_, pieces, _)) = &message.around else { return Vec::new() };
    let rule = match pieces.kind {
        TokenizerKind::ByteLevel => {
            "byte-level BPE: low merge numbers were learned first, from text that is common"
        }
        TokenizerKind::SentencePiece => {
            "SentencePiece BPE: the two neighbours whose joined piece has the highest score merge first"
        }
        TokenizerKind::Characters => {
            "BPE over characters: low merge numbers were learned first, from text that is common"
        }
        TokenizerKind::WordPiece => "WordPiece: from the left, always the longest piece there is",
        TokenizerKind::Unigram => "Unigram: of all ways to cut a word, the likeliest",
        TokenizerKind::Other => "a tokenizer whose rule is not known here",
    };
    said(message, rule, width, Role::Muted)
}

/// The first special tokens by name, and how many there are.
pub fn special(message: &Message<'_>, width: u16) -> Vec<Row> {
    let Some(vocabulary) = message.vocabulary else { return Vec::new() };
    let is_special = |(_, kind): &(i32, &TokenKind)| **kind == TokenKind::Control;
    let mut special = (0..).zip(&vocabulary.kinds).filter(is_special).map(|(id, _)| id);
    let listed = if width >= WIDE { LISTED.0 } else { LISTED.1 };
    let first: Vec<i32> = special.by_ref().take(listed).collect();
    if first.is_empty() {
        return Vec::new();
    }
    let more = special.count();
    let symbols = &message.theme.symbols;
    let entry = |id: &i32| format!("{id} {}", token::named(TokenId(*id), Some(vocabulary), symbols));
    let mut names: Vec<String> = first.iter().map(entry).collect();
    if more > 0 {
        names.push(format!("… {} in all", number::grouped((first.len() + more) as u64)));
    }
    let mut rows = said(message, "special tokens, never made from typed text", width, Role::Text);
    rows.extend(row::packed(&names, 1, width, message.theme.style(Role::TokenSpecial)));
    rows
}

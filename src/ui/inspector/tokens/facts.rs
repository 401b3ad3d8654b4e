//! What the vocabulary is, and the tokens that text never makes.
//!
//! Invariant: what is not told is left out, never guessed.

use super::message::Message;
use super::said;
use crate::inspect::pieces::TokenizerKind;
use crate::theme::Role;
use crate::token::{TokenId, TokenKind};
use crate::ui::inspector::own::{self, Row};
use crate::ui::widgets::{number, token};

/// Special tokens that are listed by name.
const LISTED: usize = 6;

/// The rule of the tokenizer, and the size of its vocabulary.
pub fn tokenizer(message: &Message<'_>, width: u16) -> Vec<Row> {
    let Some((_, pieces, _)) = &message.around else {
        let Some(vocabulary) = message.vocabulary else { return Vec::new() };
        let words = format!("this vocabulary: {} tokens", number::grouped(vocabulary.len() as u64));
        return said(message, &words, width, Role::Muted);
    };
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
    let merges = match pieces.merges {
        0 => String::new(),
        merges => format!("{} merges, ", number::grouped(merges.into())),
    };
    let size = format!("this vocabulary: {merges}{} tokens", number::grouped(pieces.vocabulary.into()));
    let mut rows = said(message, &size, width, Role::Muted);
    rows.extend(said(message, rule, width, Role::Muted));
    rows
}

/// The first special tokens by name, and how many there are.
pub fn special(message: &Message<'_>, width: u16) -> Vec<Row> {
    let Some(vocabulary) = message.vocabulary else { return Vec::new() };
    let is_special = |(_, kind): &(i32, &TokenKind)| **kind == TokenKind::Control;
    let mut special = (0..).zip(&vocabulary.kinds).filter(is_special).map(|(id, _)| id);
    let first: Vec<i32> = special.by_ref().take(LISTED).collect();
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
    let mut rows =
        said(message, "special tokens of this model, never made from text you type", width, Role::Text);
    rows.extend(own::packed(&names, 1, width, message.theme.style(Role::TokenSpecial)));
    rows
}

//! How a tokenizer built its tokens: the text's cuts, and each merge. Plain data.
//!
//! Invariant: offsets count bytes of the text that was asked about; words do not overlap and are in order.

use serde::{Deserialize, Serialize};

use crate::token::TokenId;

/// A text's way into tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pieces {
    /// What sort of tokenizer it is.
    pub kind: TokenizerKind,
    /// Entries of the vocabulary, and rules that merge two of them.
    pub vocabulary: u32,
    /// Number of merge rules; 0 where there are none.
    pub merges: u32,
    /// The text's words: before merging it was cut there, and merges never cross a cut.
    pub words: Vec<Word>,
    /// Why these words are not told, or do not agree with the ids in use; `None` where they do.
    pub doubt: Option<String>,
}

impl Pieces {
    /// What is told of a stretch of the text alone, places counted from where it begins: a token or a merge that
    /// reaches beyond it is left out.
    #[must_use]
    pub fn within(&self, from: u32, to: u32) -> Self {
        let inside = |start: u32, end: u32| from <= start && end <= to;
        let shifted = |(start, end): (u32, u32)| (start - from, end - from);
        let words =
            self.words.iter().filter(|word| word.span.0 < to && from < word.span.1).map(|word| Word {
                span: (word.span.0.max(from) - from, word.span.1.min(to) - from),
                start: word
                    .start
                    .iter()
                    .filter(|(start, end)| inside(*start, *end))
                    .map(|span| shifted(*span))
                    .collect(),
                merges: word
                    .merges
                    .iter()
                    .filter(|merge| inside(merge.span.0, merge.span.2))
                    .map(|merge| merge.before(from))
                    .collect(),
                tokens: word
                    .tokens
                    .iter()
                    .filter(|(_, (start, end))| inside(*start, *end))
                    .map(|(id, span)| (*id, shifted(*span)))
                    .collect(),
            });
        Self { words: words.collect(), ..self.clone() }
    }

    /// From and to of the word that the pre-tokenizer cut out around a byte; `None` where nothing is cut, or not told.
    pub(crate) fn cut_at(&self, at: u32) -> Option<(u32, u32)> {
        let cuts = matches!(self.kind, TokenizerKind::ByteLevel | TokenizerKind::Characters);
        let word = self.words.iter().find(|word| word.span.0 <= at && at < word.span.1);
        word.map(|word| word.span).filter(|_| cuts)
    }

    /// All tokens with their places.
    pub fn tokens(&self) -> impl Iterator<Item = &(TokenId, (u32, u32))> {
        self.words.iter().flat_map(|word| &word.tokens)
    }
}

impl Merge {
    /// The same merge with places counted from a later byte.
    fn before(&self, from: u32) -> Self {
        let (start, meet, end) = self.span;
        Self { span: (start - from, meet - from, end - from), ..*self }
    }
}

/// Sorts of tokenizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerKind {
    /// Byte-level BPE (GPT-2's and its kin).
    ByteLevel,
    /// The BPE of `SentencePiece` with scores, bytes as a last resort.
    SentencePiece,
    /// `WordPiece`: the longest piece first.
    WordPiece,
    /// Unigram: the likeliest cut.
    Unigram,
    /// BPE over characters with numbered merges, bytes as a last resort (Gemma 4's and its kin).
    Characters,
    /// None of these.
    #[default]
    Other,
}

/// A stretch that the pre-tokenizer cut out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// Where it begins and ends in the text, bytes.
    pub span: (u32, u32),
    /// Its pieces before the first merge, as (start, end) in the text, bytes.
    pub start: Vec<(u32, u32)>,
    /// The merges in the order they were made.
    pub merges: Vec<Merge>,
    /// The tokens it became, with their spans.
    pub tokens: Vec<(TokenId, (u32, u32))>,
}

/// One merge of two neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Merge {
    /// Its rule: low numbers were learned first. `None` where the rule follows from scores.
    pub rank: Option<u32>,
    /// The score of the piece that it made, where the tokenizer has scores.
    pub score: Option<f32>,
    /// Where the left piece begins, where they meet, where the right one ends, bytes of the text.
    pub span: (u32, u32, u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_told_from_where_it_begins() {
        let merge = |from, meet, to| Merge { rank: Some(7), score: None, span: (from, meet, to) };
        let token = |id, from, to| (TokenId(id), (from, to));
        let whole = Word {
            span: (0, 6),
            start: (0..6).map(|at| (at, at + 1)).collect(),
            merges: vec![merge(0, 1, 2), merge(3, 4, 5), merge(2, 3, 5)],
            tokens: vec![token(1, 0, 2), token(2, 2, 5), token(3, 5, 6)],
        };
        let next = Word { span: (6, 8), tokens: vec![token(4, 6, 8)], ..Word::default() };
        let pieces = Pieces { merges: 9, words: vec![whole, next], ..Pieces::default() };
        let within = pieces.within(2, 6);
        let expected = Word {
            span: (0, 4),
            start: (0..4).map(|at| (at, at + 1)).collect(),
            merges: vec![merge(1, 2, 3), merge(0, 1, 3)],
            tokens: vec![token(2, 0, 3), token(3, 3, 4)],
        };
        assert_eq!(within, Pieces { words: vec![expected], ..pieces.clone() });
        assert_eq!(pieces.within(6, 8).words.len(), 1);
        assert!(pieces.within(8, 8).words.is_empty());
    }
}

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

//! The model's tokenizer built again with the `tokenizers` crate: what our own merging is held against, and what
//! cuts a text before it.
//!
//! Invariant: it is fed one fragment between special tokens at a time, spelt as the vocabulary spells text.

use std::collections::HashSet;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{
    BertNormalizer, Precompiled, Prepend, Replace, Sequence as Normalizers, Strip,
};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    ModelWrapper, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer,
};

use super::cuts;
use super::rules::Rules;
use crate::inspect::pieces::TokenizerKind;
use crate::token::TokenKind;

/// The crate's tokenizer, and its cutter alone.
pub struct Second {
    tokenizer: Tokenizer,
    cutter: Option<Sequence>,
}

/// A token that the crate made: its id, its word's number, and where it stands in the fragment, bytes.
pub type Made = (u32, u32, (usize, usize));

impl Second {
    /// Builds it from the rules.
    ///
    /// # Errors
    /// A sentence, where the crate does not take the rules.
    pub fn build(rules: &Rules) -> Result<Self, String> {
        let cannot = |error: tokenizers::Error| format!("its rules cannot be built: {error}");
        let mut tokenizer = Tokenizer::new(model(rules).map_err(cannot)?);
        let mut cutter = None;
        match rules.kind {
            TokenizerKind::ByteLevel | TokenizerKind::Characters => {
                let splits = splits(&rules.pre).map_err(cannot)?;
                let mut all = splits.clone();
                if rules.kind == TokenizerKind::ByteLevel {
                    all.push(ByteLevel::new(false, false, false).into());
                }
                tokenizer.with_pre_tokenizer(Some(Sequence::new(all)));
                cutter = Some(Sequence::new(splits));
            }
            TokenizerKind::WordPiece => {
                let normalizer = BertNormalizer::new(true, true, Some(rules.no_accents), rules.lowercase);
                tokenizer.with_normalizer(Some(normalizer)).map_err(cannot)?;
                tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
            }
            TokenizerKind::Unigram => {
                tokenizer.with_normalizer(Some(unigram_normalizer(rules)?)).map_err(cannot)?;
                tokenizer.with_pre_tokenizer(Some(Metaspace::new('▁', PrependScheme::Never, false)));
            }
            TokenizerKind::SentencePiece | TokenizerKind::Other => {}
        }
        Ok(Self { tokenizer, cutter })
    }

    /// The tokens of a fragment.
    ///
    /// # Errors
    /// A sentence, where the crate gives up.
    pub fn encode(&self, fragment: &str) -> Result<Vec<Made>, String> {
        let encoding = self.tokenizer.encode(fragment, false).map_err(|error| error.to_string())?;
        let words = encoding.get_word_ids().iter().map(|word| word.unwrap_or_default());
        let spans = encoding.get_offsets().iter().copied();
        Ok(encoding
            .get_ids()
            .iter()
            .copied()
            .zip(words)
            .zip(spans)
            .map(|((id, word), span)| (id, word, span))
            .collect())
    }

    /// Where a fragment is cut before anything is merged: from and to, bytes; whole where nothing cuts.
    ///
    /// # Errors
    /// A sentence, where an expression gives up on the text.
    pub fn cut(&self, fragment: &str) -> Result<Vec<(usize, usize)>, String> {
        let Some(cutter) = &self.cutter else { return Ok(vec![(0, fragment.len())]) };
        let mut text = PreTokenizedString::from(fragment);
        cutter.pre_tokenize(&mut text).map_err(|error| error.to_string())?;
        let splits = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
        Ok(splits.into_iter().map(|(_, span, _)| span).filter(|(from, to)| from < to).collect())
    }
}

fn splits(pre: &str) -> tokenizers::Result<Vec<PreTokenizerWrapper>> {
    let expressions = cuts::expressions(pre).unwrap_or_default();
    let split = |expression: &&str| {
        let pattern = SplitPattern::Regex((*expression).to_owned());
        Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map(PreTokenizerWrapper::from)
    };
    expressions.iter().map(split).collect()
}

fn model(rules: &Rules) -> tokenizers::Result<ModelWrapper> {
    match rules.kind {
        TokenizerKind::WordPiece => word_piece(rules).map(ModelWrapper::from),
        TokenizerKind::Unigram => unigram(rules).map(ModelWrapper::from),
        _ => bpe(rules).map(ModelWrapper::from),
    }
}

fn bpe(rules: &Rules) -> tokenizers::Result<BPE> {
    let vocabulary: Vocab = rules.ids.iter().map(|(piece, id)| (piece.clone(), *id)).collect();
    let over_bytes = rules.kind == TokenizerKind::ByteLevel;
    let merges = if rules.kind == TokenizerKind::SentencePiece { by_score(rules) } else { by_rank(rules) };
    let mut builder = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .cache_capacity(0)
        .ignore_merges(cuts::takes_whole_words(&rules.pre))
        .byte_fallback(!over_bytes);
    // Where letters stand for bytes, llama.cpp drops a byte that has no piece.
    let unknown = rules.unknown.filter(|_| !over_bytes);
    if let Some(unknown) = unknown.and_then(|id| rules.pieces.get(id as usize)) {
        builder = builder.unk_token(unknown.clone());
    }
    builder.build()
}

fn by_rank(rules: &Rules) -> Vec<(String, String)> {
    let mut merges: Vec<_> = rules.merges.iter().map(|(pair, (rank, _))| (*rank, *pair)).collect();
    merges.sort_unstable();
    let piece = |id: u32| rules.pieces[id as usize].clone();
    merges.into_iter().map(|(_, (left, right))| (piece(left), piece(right))).collect()
}

/// Each piece cut in two pieces in all ways, those of the highest score first.
fn by_score(rules: &Rules) -> Vec<(String, String)> {
    let mut merges: Vec<(u32, usize)> = Vec::new();
    for (id, piece) in (0..).zip(&rules.pieces) {
        let cuts = piece.char_indices().map(|(at, _)| at).skip(1);
        let known =
            |at: &usize| rules.ids.contains_key(&piece[..*at]) && rules.ids.contains_key(&piece[*at..]);
        merges.extend(cuts.filter(known).map(|at| (id, at)));
    }
    let score = |id: u32| rules.scores[id as usize];
    merges.sort_by(|(a, _), (b, _)| score(*b).total_cmp(&score(*a)));
    let halves = |(id, at): (u32, usize)| {
        let (left, right) = rules.pieces[id as usize].split_at(at);
        (left.to_owned(), right.to_owned())
    };
    merges.into_iter().map(halves).collect()
}

/// In the file a piece that begins a word has `▁` before it, and one inside a word nothing.
fn word_piece(rules: &Rules) -> tokenizers::Result<WordPiece> {
    let special: HashSet<u32> = rules.special.iter().map(|special| special.id).collect();
    let spelt = |(piece, id): (&String, &u32)| {
        let piece = match piece.strip_prefix('▁') {
            _ if special.contains(id) || Some(*id) == rules.unknown => piece.clone(),
            Some(begins) => begins.to_owned(),
            None => format!("##{piece}"),
        };
        (piece, *id)
    };
    let vocabulary: Vocab = rules.ids.iter().map(spelt).collect();
    let unknown = rules.unknown.and_then(|id| rules.pieces.get(id as usize)).cloned().unwrap_or_default();
    WordPiece::builder().vocab(vocabulary).unk_token(unknown).max_input_chars_per_word(usize::MAX).build()
}

/// What text never matches gets a name that no text holds, since the crate knows no kinds of pieces.
fn unigram(rules: &Rules) -> tokenizers::Result<Unigram> {
    let entry = |(id, piece): (usize, &String)| match rules.kinds[id] {
        TokenKind::Control | TokenKind::Byte => (format!("\u{F8FF}{id}"), f64::from(rules.scores[id])),
        TokenKind::UserDefined => (piece.clone(), 0.0),
        TokenKind::Unused if Some(id as u32) == rules.unknown => {
            (format!("\u{F8FF}{id}"), f64::from(rules.scores[id]))
        }
        TokenKind::Normal | TokenKind::Unused => (piece.clone(), f64::from(rules.scores[id])),
    };
    let vocabulary = rules.pieces.iter().enumerate().map(entry).collect();
    Unigram::from(vocabulary, rules.unknown.map(|id| id as usize), false)
}

fn unigram_normalizer(rules: &Rules) -> Result<Normalizers, String> {
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if !rules.replacements.is_empty() {
        let table = Precompiled::from(&rules.replacements)
            .map_err(|error| format!("its table of replacements cannot be read: {error}"))?;
        steps.push(table.into());
    }
    if rules.one_blank {
        steps.push(Strip::new(true, true).into());
        let pattern = tokenizers::normalizers::replace::ReplacePattern::Regex(" {2,}".into());
        let replace = Replace::new(pattern, " ").map_err(|error| error.to_string())?;
        steps.push(replace.into());
    }
    if rules.blank_before || rules.one_blank {
        steps.push(Prepend::new("▁".into()).into());
    }
    Ok(Normalizers::new(steps))
}

//! Merging as the rules say it, step by step: our own arithmetic, so that every merge can be shown.
//!
//! Source: llama.cpp, `llm_tokenizer_bpe_session` and `llm_tokenizer_spm_session`. Invariant: spans count bytes of
//! the text that was asked about; a blank put before it, or `▁` for a blank, never shifts them.

use std::cmp::Reverse;

use super::cuts;
use super::letters;
use super::rules::Rules;
use crate::inspect::merging::{self, Score, Symbol};
use crate::inspect::pieces::{Merge, TokenizerKind, Word};
use crate::token::TokenId;

/// A word of a tokenizer whose merges are numbered: `text` begins at byte `at` of what was asked.
pub fn numbered(rules: &Rules, text: &str, at: u32) -> Word {
    let span = (at, at + text.len() as u32);
    let symbols = match rules.kind {
        TokenizerKind::ByteLevel => bytes(rules, text, at),
        _ => characters(rules, text, at),
    };
    if let Some(id) = whole(rules, text) {
        return Word { span, start: vec![span], merges: Vec::new(), tokens: vec![(token(id), span)] };
    }
    let start = symbols.iter().map(|symbol| (symbol.start, symbol.end)).collect();
    let (joined, left) = merging::merge(symbols, |left, right| {
        let (rank, id) = *rules.merges.get(&(left.value?, right.value?))?;
        Some((Reverse(rank), Some(id)))
    });
    let merges =
        joined.iter().map(|joined| Merge { rank: Some(joined.priority.0), score: None, span: joined.span });
    let tokens = left.iter().flat_map(|symbol| match symbol.value {
        Some(id) => vec![(token(id), (symbol.start, symbol.end))],
        None if rules.kind == TokenizerKind::ByteLevel => Vec::new(),
        None => fallback(
            rules,
            &text.as_bytes()[(symbol.start - at) as usize..(symbol.end - at) as usize],
            symbol,
        ),
    });
    Word { span, start, merges: merges.collect(), tokens: tokens.collect() }
}

/// The id of a word that is taken without merging.
fn whole(rules: &Rules, text: &str) -> Option<u32> {
    if cuts::takes_whole_words(&rules.pre) {
        return rules.ids.get(&text.bytes().map(letters::letter).collect::<String>()).copied();
    }
    let lines = rules.kind == TokenizerKind::Characters && text.bytes().all(|byte| byte == b'\n');
    if lines { rules.ids.get(text).copied() } else { None }
}

fn bytes(rules: &Rules, text: &str, at: u32) -> Vec<Symbol<Option<u32>>> {
    let symbol = |(at, byte)| Symbol {
        start: at,
        end: at + 1,
        value: rules.ids.get(letters::letter(byte).encode_utf8(&mut [0; 4])).copied(),
    };
    (at..).zip(text.bytes()).map(symbol).collect()
}

fn characters(rules: &Rules, text: &str, at: u32) -> Vec<Symbol<Option<u32>>> {
    let symbol = |(from, character): (usize, char)| {
        let spelt = if character == ' ' { '▁' } else { character };
        let start = at + from as u32;
        let value = rules.ids.get(spelt.encode_utf8(&mut [0; 4]) as &str).copied();
        Symbol { start, end: start + character.len_utf8() as u32, value }
    };
    text.char_indices().map(symbol).collect()
}

/// A fragment of a tokenizer whose merges follow from scores; `blank` puts one before it.
pub fn scored(rules: &Rules, text: &str, at: u32, blank: bool) -> Word {
    let (escaped, origins) = escaped(text, at, blank);
    // The value is where a symbol stands in the escaped text.
    let mut symbols: Vec<Symbol<(u32, u32)>> = Vec::new();
    for (from, character) in escaped.char_indices() {
        let to = from + character.len_utf8();
        symbols.push(Symbol { start: origins[from], end: origins[to], value: (from as u32, to as u32) });
    }
    let piece = |from: u32, to: u32| rules.ids.get(&escaped[from as usize..to as usize]).copied();
    let start = symbols.iter().map(|symbol| (symbol.start, symbol.end)).collect();
    let (joined, left) = merging::merge(symbols, |left, right| {
        let id = piece(left.value.0, right.value.1)?;
        Some((Score(*rules.scores.get(id as usize)?), (left.value.0, right.value.1)))
    });
    let merges =
        joined.iter().map(|joined| Merge { rank: None, score: Some(joined.priority.0), span: joined.span });
    let tokens = left.iter().flat_map(|symbol| match piece(symbol.value.0, symbol.value.1) {
        Some(id) => vec![(token(id), (symbol.start, symbol.end))],
        None => fallback(
            rules,
            &escaped.as_bytes()[symbol.value.0 as usize..symbol.value.1 as usize],
            &Symbol { start: symbol.start, end: symbol.end, value: None },
        ),
    });
    let span = (at, at + text.len() as u32);
    Word { span, start, merges: merges.collect(), tokens: tokens.collect() }
}

/// The text with `▁` for blanks, and of each of its bytes (and its end) the place in the text asked about.
pub fn escaped(text: &str, at: u32, blank: bool) -> (String, Vec<u32>) {
    let mut escaped = String::with_capacity(text.len() + 3);
    let mut origins = Vec::with_capacity(text.len() + 4);
    if blank {
        escaped.push('▁');
        origins.resize(escaped.len(), at);
    }
    for (from, character) in text.char_indices() {
        escaped.push(if character == ' ' { '▁' } else { character });
        let last = from + character.len_utf8() - 1;
        let bytes = escaped.len() - origins.len();
        origins.extend((from..from + bytes).map(|byte| at + byte.min(last) as u32));
    }
    origins.push(at + text.len() as u32);
    (escaped, origins)
}

/// Each byte as a token of its own, where the vocabulary has such; else the token for what is not known.
fn fallback(rules: &Rules, bytes: &[u8], symbol: &Symbol<Option<u32>>) -> Vec<(TokenId, (u32, u32))> {
    let place = |at: usize| (symbol.start + at as u32).min(symbol.end);
    let each = bytes.iter().enumerate().filter_map(|(at, byte)| {
        let id = rules.byte(*byte).or(rules.unknown)?;
        Some((token(id), (place(at), place(at + 1))))
    });
    each.collect()
}

fn token(id: u32) -> TokenId {
    TokenId(id.cast_signed())
}

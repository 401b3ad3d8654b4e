//! The model's tokenizer, built from the rules in its file: how a text was cut, every merge, the tokens.
//!
//! Invariants: it is built when first asked for, and reads nothing afterwards; what it says is held against the
//! `tokenizers` crate here and against llama.cpp's ids by `jobs::pieces`.

pub mod cuts;
pub(crate) mod letters;
mod rules;
mod second;
mod special;
#[cfg(test)]
mod tests;
mod trace;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::inspect::pieces::{TokenizerKind, Word};
use crate::model_entry::ModelFile;
use crate::token::{TokenId, TokenKind};
use rules::Rules;
use second::Second;
use special::Fragment;

/// A tokenizer that can tell what it does.
pub struct Tokenizer {
    rules: Rules,
    second: Second,
}

/// A text's way into tokens, told twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The cuts, with every merge: our own arithmetic.
    pub words: Vec<Word>,
    /// The ids that the `tokenizers` crate gives.
    pub second: Vec<TokenId>,
}

impl Tokenizer {
    /// Reads the rules and builds it. `kinds` are the vocabulary's entries as llama.cpp has them.
    ///
    /// # Errors
    /// A sentence that says what is missing or not known.
    pub fn build(file: &dyn ModelFile, kinds: &[TokenKind]) -> Result<Self, String> {
        let rules = rules::read(file, kinds)?;
        let second = catch_unwind(AssertUnwindSafe(|| Second::build(&rules)))
            .unwrap_or_else(|_| Err("its rules cannot be built".into()))?;
        Ok(Self { rules, second })
    }

    /// What sort of tokenizer it is.
    #[must_use]
    pub fn kind(&self) -> TokenizerKind {
        self.rules.kind
    }

    /// How many merge rules the file lists.
    #[must_use]
    pub fn merges(&self) -> u32 {
        self.rules.listed
    }

    /// Whether a blank is put before a text.
    pub(crate) fn puts_blank_before(&self) -> bool {
        self.rules.kind == TokenizerKind::SentencePiece && self.rules.blank_before
    }

    /// Tells how a text is cut and merged. With `marks`, special tokens may be spelt in it; `inside` says that it
    /// goes on after other text, so that no blank is put before it.
    ///
    /// # Errors
    /// A sentence, where an expression gives up on the text.
    pub fn tell(&self, text: &str, marks: bool, inside: bool) -> Result<Told, String> {
        let mut told = Told::default();
        let mut first = true;
        for fragment in special::fragments(text, &self.rules.special, marks) {
            match fragment {
                Fragment::Special(id, from, to) => {
                    let (span, id) = ((from as u32, to as u32), TokenId(id.cast_signed()));
                    told.words.push(Word { span, tokens: vec![(id, span)], ..Word::default() });
                    told.second.push(id);
                    first = true;
                }
                Fragment::Text(from, to) => {
                    let blank = self.puts_blank_before() && first && !(inside && from == 0);
                    self.tell_fragment(&text[from..to], from as u32, blank, &mut told)?;
                    first = false;
                }
            }
        }
        Ok(told)
    }

    fn tell_fragment(&self, text: &str, at: u32, blank: bool, told: &mut Told) -> Result<(), String> {
        let ids = |made: &[second::Made]| {
            made.iter().map(|(id, ..)| TokenId((*id).cast_signed())).collect::<Vec<_>>()
        };
        match self.rules.kind {
            TokenizerKind::ByteLevel | TokenizerKind::Characters => {
                for (from, to) in self.second.cut(text)? {
                    told.words.push(trace::numbered(&self.rules, &text[from..to], at + from as u32));
                }
                let spelt = match self.rules.kind {
                    TokenizerKind::ByteLevel => text.to_owned(),
                    _ => trace::escaped(text, 0, false).0,
                };
                told.second.extend(ids(&self.second.encode(&spelt)?));
            }
            TokenizerKind::SentencePiece => {
                told.words.push(trace::scored(&self.rules, text, at, blank));
                let (spelt, _) = trace::escaped(text, at, blank);
                told.second.extend(ids(&self.second.encode(&spelt)?));
            }
            TokenizerKind::WordPiece | TokenizerKind::Unigram => {
                let made = self.second.encode(text)?;
                told.second.extend(ids(&made));
                told.words.extend(words(&made, at));
            }
            TokenizerKind::Other => {}
        }
        Ok(())
    }
}

/// The crate's own tokens, word by word: these kinds do not merge.
fn words(made: &[second::Made], at: u32) -> impl Iterator<Item = Word> {
    made.chunk_by(|a, b| a.1 == b.1).map(move |word| {
        let place = |byte: usize| at + byte as u32;
        let tokens: Vec<_> = word
            .iter()
            .map(|(id, _, (from, to))| (TokenId((*id).cast_signed()), (place(*from), place(*to))))
            .collect();
        let span = (tokens[0].1.0, tokens[tokens.len() - 1].1.1);
        Word { span, start: Vec::new(), merges: Vec::new(), tokens }
    })
}

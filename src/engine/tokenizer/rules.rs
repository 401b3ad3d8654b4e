//! A tokenizer's rules as the model's file states them: pieces, scores, merges, options.
//!
//! Source: llama.cpp, `llama_vocab::impl::load`, for what each kind does where the file says nothing.
//! Invariant: nothing is invented; what the file lacks or what is not known here is an error in one sentence.

use std::collections::HashMap;

use super::cuts;
use crate::inspect::pieces::TokenizerKind;
use crate::model_entry::ModelFile;
use crate::token::TokenKind;

/// The pieces and what is done with them.
#[derive(Debug, Default)]
pub struct Rules {
    /// What sort of tokenizer it is.
    pub kind: TokenizerKind,
    /// All pieces as the file spells them, by id.
    pub pieces: Vec<String>,
    /// Ids of the pieces; of two that are spelt alike the later one, as in llama.cpp.
    pub ids: HashMap<String, u32>,
    /// What sort of entry each piece is.
    pub kinds: Vec<TokenKind>,
    /// A score for each piece; empty where there are none.
    pub scores: Vec<f32>,
    /// Ids of two pieces that merge → the rule's number and the piece they become.
    pub merges: HashMap<(u32, u32), (u32, u32)>,
    /// How many rules the file lists.
    pub listed: u32,
    /// Name of the pre-tokenizer.
    pub pre: String,
    /// A blank is put before a text, or a stretch after a special token.
    pub blank_before: bool,
    /// Runs of blanks count as one, and those at the ends as none (Unigram).
    pub one_blank: bool,
    /// Texts are made lower case, and accents are taken off (`WordPiece`).
    pub lowercase: bool,
    /// Accents are taken off (`WordPiece`).
    pub no_accents: bool,
    /// The piece for what is in no piece.
    pub unknown: Option<u32>,
    /// Special tokens: text, id, and whether text alone never makes them, and whether blanks after them go.
    pub special: Vec<Special>,
    /// A table of replacements that goes before everything (Unigram).
    pub replacements: Vec<u8>,
}

/// A token that is found in the text before anything else is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Special {
    /// As it is spelt.
    pub text: String,
    /// Its id.
    pub id: u32,
    /// Whether it is a mark that typed text must not make.
    pub is_mark: bool,
    /// Whether the blanks after it go.
    pub strips: bool,
}

/// Reads the rules of a model's tokenizer. `kinds` are the entries' as llama.cpp has them.
///
/// # Errors
/// A sentence that says what is missing or not known.
pub fn read(file: &dyn ModelFile, kinds: &[TokenKind]) -> Result<Rules, String> {
    let model = file.text("tokenizer.ggml.model").unwrap_or_default();
    let pre = match model.as_str() {
        "gemma4" => "gemma4".to_owned(),
        _ => file.text("tokenizer.ggml.pre").unwrap_or_default(),
    };
    let kind = kind(&model, &pre)?;
    let pieces = file.texts("tokenizer.ggml.tokens").ok_or("the model's file lists no tokens")?;
    if pieces.len() != kinds.len() {
        return Err("the file's list of tokens is not the one in use".into());
    }
    let ids: HashMap<String, u32> = pieces.iter().cloned().zip(0..).collect();
    let scores = file.numbers("tokenizer.ggml.scores").unwrap_or_default();
    let scores: Vec<f32> = scores.into_iter().map(|score| score as f32).collect();
    let yes = |key: &str, default: bool| file.number(key).map_or(default, |number| number != 0.0);
    let lowercase = yes("tokenizer.ggml.normalizer.lowercase", true);
    let mut rules = Rules {
        blank_before: yes("tokenizer.ggml.add_space_prefix", kind == TokenizerKind::SentencePiece),
        one_blank: yes("tokenizer.ggml.remove_extra_whitespaces", false),
        lowercase,
        no_accents: yes("tokenizer.ggml.normalizer.strip_accents", lowercase),
        unknown: unknown(file, kind).filter(|id| (*id as usize) < pieces.len()),
        special: special(file, &pieces, kinds),
        kinds: kinds.to_vec(),
        kind,
        pieces,
        ids,
        scores,
        pre,
        ..Rules::default()
    };
    if kind == TokenizerKind::Unigram {
        let table = file.numbers("tokenizer.ggml.precompiled_charsmap").unwrap_or_default();
        // The table is kept as signed bytes in some files.
        rules.replacements = table.into_iter().map(|byte| byte as i64 as u8).collect();
    }
    rules.read_merges(file)?;
    Ok(rules)
}

fn kind(model: &str, pre: &str) -> Result<TokenizerKind, String> {
    match model {
        "gpt2" | "gemma4" if cuts::expressions(pre).is_none() => {
            Err(format!("how the pre-tokenizer \"{pre}\" cuts a text is not known here"))
        }
        "gpt2" | "gemma4" if cuts::is_over_characters(pre) => Ok(TokenizerKind::Characters),
        "gpt2" => Ok(TokenizerKind::ByteLevel),
        "llama" => Ok(TokenizerKind::SentencePiece),
        "bert" => Ok(TokenizerKind::WordPiece),
        "t5" => Ok(TokenizerKind::Unigram),
        other => Err(format!("the rules of a tokenizer of the kind \"{other}\" are not known here")),
    }
}

fn unknown(file: &dyn ModelFile, kind: TokenizerKind) -> Option<u32> {
    let stated = file.number("tokenizer.ggml.unknown_token_id").map(|id| id as u32);
    stated.or(match kind {
        TokenizerKind::SentencePiece => Some(0),
        TokenizerKind::WordPiece => Some(100),
        TokenizerKind::Unigram => Some(2),
        _ => None,
    })
}

/// The longest first, as llama.cpp looks for them.
fn special(file: &dyn ModelFile, pieces: &[String], kinds: &[TokenKind]) -> Vec<Special> {
    // Number 2 in the file is the unknown token, which the vocabulary counts among those that are never used.
    let types = file.numbers("tokenizer.ggml.token_type").unwrap_or_default();
    let name = file.text("general.name").unwrap_or_default().to_lowercase();
    let phi = name.contains("phi-3") || name.contains("phi3");
    let keeps_blanks = |text: &str| matches!(text, "<unk>" | "<s>" | "<|endoftext|>");
    let mut special: Vec<Special> = (0_u32..)
        .zip(pieces.iter().zip(kinds))
        .filter(|(id, (text, kind))| {
            let is_unknown = types.get(*id as usize).is_some_and(|kind| *kind as u32 == 2);
            !text.is_empty() && (matches!(kind, TokenKind::Control | TokenKind::UserDefined) || is_unknown)
        })
        .map(|(id, (text, kind))| Special {
            text: text.clone(),
            id,
            is_mark: *kind != TokenKind::UserDefined,
            strips: phi && !keeps_blanks(text),
        })
        .collect();
    special.sort_by_key(|special| std::cmp::Reverse(special.text.len()));
    special
}

impl Rules {
    fn read_merges(&mut self, file: &dyn ModelFile) -> Result<(), String> {
        match self.kind {
            TokenizerKind::ByteLevel | TokenizerKind::Characters => {
                let listed = file.texts("tokenizer.ggml.merges").ok_or("the model's file lists no merges")?;
                self.listed = listed.len() as u32;
                for (rank, line) in (0..).zip(&listed) {
                    let Some((left, right, joined)) = self.parts(line) else { continue };
                    self.merges.entry((left, right)).or_insert((rank, joined));
                }
                Ok(())
            }
            TokenizerKind::SentencePiece | TokenizerKind::Unigram
                if self.scores.len() < self.pieces.len() =>
            {
                Err("the model's file lists no scores".into())
            }
            TokenizerKind::WordPiece if self.unknown.is_none() => {
                Err("the model's file names no token for what it does not know".into())
            }
            _ => Ok(()),
        }
    }

    /// `left right` as ids with the piece they become; `None` where one of them is not a piece.
    fn parts(&self, line: &str) -> Option<(u32, u32, u32)> {
        let first = line.chars().next()?.len_utf8();
        let at = first + line[first..].find(' ')?;
        let (left, right) = (&line[..at], &line[at + 1..]);
        let id = |text: &str| self.ids.get(text).copied();
        Some((id(left)?, id(right)?, id(&format!("{left}{right}"))?))
    }

    /// The token of a single byte, in vocabularies that have such; the byte itself as a piece where they have none.
    pub fn byte(&self, byte: u8) -> Option<u32> {
        let named = self.ids.get(&format!("<0x{byte:02X}>"));
        named.or_else(|| self.ids.get(&char::from(byte).to_string()).filter(|_| byte < 128)).copied()
    }
}

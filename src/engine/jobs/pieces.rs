//! How the model's tokenizer cut and merged a text, held against llama.cpp's own ids.
//!
//! Invariant: llama.cpp's ids stand; where the rules cannot be read or give other ids, [`Pieces::doubt`] says so.

use crate::engine::model::loaded::LoadedModel;
use crate::engine::model::vocabulary;
use crate::engine::protocol::{Failure, FailureKind};
use crate::engine::tokenizer::Tokenizer;
use crate::inspect::pieces::{Pieces, Word};
use crate::token::{SIGNS_ARE_BLANKS, TokenId, end_of, with_blanks};

/// Longest text that is told, bytes: beyond it nothing can be looked at.
const LONGEST: usize = 1 << 20;

/// A text's way into tokens. With `special`, special tokens may be spelt in it; with `inside`, it goes on after
/// other text. Fails for a text that is too long to be looked at. What cannot be told of others is said in
/// [`Pieces::doubt`].
pub fn pieces(model: &LoadedModel, text: &str, special: bool, inside: bool) -> Result<Pieces, Failure> {
    if text.len() > LONGEST {
        let message = format!("The text has {} bytes; how it is cut is told up to {LONGEST}.", text.len());
        return Err(Failure { message, kind: FailureKind::Other });
    }
    let vocabulary = model.vocabulary.len() as u32;
    let built = model.rules.get_or_init(|| build(model));
    let pieces = match built {
        Ok(tokenizer) => tell(model, tokenizer, text, special, inside),
        Err(why) => given(model, &model.tokenize(text, special), text, why.clone()),
    };
    Ok(Pieces { vocabulary, ..pieces })
}

fn build(model: &LoadedModel) -> Result<Tokenizer, String> {
    let file = model.file.get().ok_or("the model's file could not be read")?;
    Tokenizer::build(file.as_ref(), &model.vocabulary.kinds)
}

fn tell(model: &LoadedModel, tokenizer: &Tokenizer, text: &str, special: bool, inside: bool) -> Pieces {
    let known = Pieces { kind: tokenizer.kind(), merges: tokenizer.merges(), ..Pieces::default() };
    let Some(ids) = in_use(model, tokenizer, text, special, inside) else {
        let why = "where the text begins among llama.cpp's tokens cannot be told";
        return given(model, &model.tokenize(text, special), text, why.into());
    };
    let told = match tokenizer.tell(text, special, inside) {
        Ok(told) => told,
        Err(why) => {
            let why = format!("the text could not be cut ({why})");
            return Pieces { words: given(model, &ids, text, why.clone()).words, doubt: Some(why), ..known };
        }
    };
    let ours = told.words.iter().flat_map(|word| &word.tokens).map(|(id, _)| *id);
    if !ours.eq(ids.iter().copied()) {
        let why = "the rules in the model's file give other tokens here than llama.cpp; its tokens are shown";
        let words = given(model, &ids, text, String::new()).words;
        return Pieces { words, doubt: Some(why.into()), ..known };
    }
    let why = "a second reading of these rules, by the tokenizers library, gives other tokens here";
    let doubt = spells_other(model, &ids, text).or_else(|| (told.second != ids).then(|| why.into()));
    Pieces { words: told.words, doubt, ..known }
}

/// What is said where the tokens' bytes, joined, are not the text: the places are the text's all the same.
fn spells_other(model: &LoadedModel, ids: &[TokenId], text: &str) -> Option<String> {
    let spelt: Vec<u8> =
        ids.iter().flat_map(|id| model.vocabulary.bytes(*id).unwrap_or_default()).copied().collect();
    let is = |text: &[u8]| spelt == text || spelt.strip_prefix(b" ") == Some(text);
    if is(text.as_bytes()) {
        None
    } else if is(&with_blanks(text.as_bytes()).0) {
        Some(SIGNS_ARE_BLANKS.into())
    } else {
        Some(
            "the tokenizer changes this text before it cuts it, so the tokens' bytes are not the text's"
                .into(),
        )
    }
}

/// llama.cpp's ids. A text that goes on after other text is put after a line end, whose tokens are taken away
/// again; `None` where a token spans both.
fn in_use(
    model: &LoadedModel,
    tokenizer: &Tokenizer,
    text: &str,
    special: bool,
    inside: bool,
) -> Option<Vec<TokenId>> {
    if !inside || !tokenizer.puts_blank_before() || text.is_empty() {
        return Some(model.tokenize(text, special));
    }
    let ids = model.tokenize(&format!("\n{text}"), special);
    let mut before = 0;
    let cut = ids.iter().position(|id| {
        before += model.vocabulary.bytes(*id).map_or(0, <[u8]>::len);
        before == " \n".len()
    })?;
    Some(ids[cut + 1..].to_vec())
}

/// Ids as one word, their places by the bytes that they add to a text.
fn given(model: &LoadedModel, ids: &[TokenId], text: &str, doubt: String) -> Pieces {
    let length = text.len() as u32;
    let bytes: usize = ids.iter().map(|id| vocabulary::text_bytes(&model.vocabulary, *id).len()).sum();
    // A blank before the text belongs to no byte of it.
    let blanks = with_blanks(text.as_bytes()).0.len();
    let extra = if bytes == text.len() { 0 } else { bytes.saturating_sub(blanks).min(1) };
    let mut start = 0;
    let tokens = ids.iter().enumerate().map(|(index, id)| {
        let own = vocabulary::text_bytes(&model.vocabulary, *id);
        let own = &own[if index == 0 { extra.min(own.len()) } else { 0 }..];
        let end = (end_of(text.as_bytes(), start as usize, own) as u32).min(length);
        let span = (start, end);
        start = end;
        (*id, span)
    });
    let word = Word { span: (0, length), tokens: tokens.collect(), ..Word::default() };
    Pieces { words: vec![word], doubt: Some(doubt), ..Pieces::default() }
}

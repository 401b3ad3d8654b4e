//! How the model's tokenizer cut and merged a text, built from the rules in the model's own file.
//!
//! Invariant: llama.cpp's ids stand; where the rules cannot be read or give other ids, [`Pieces::doubt`] says so.

use super::protocol::Failure;
use super::shared::LoadedModel;
use crate::inspect::pieces::{Pieces, Word};

/// A text's way into tokens.
///
/// # Errors
/// None yet: what cannot be told is said in [`Pieces::doubt`].
pub fn merges(model: &LoadedModel, text: &str) -> Result<Pieces, Failure> {
    let ids = model.tokenize(text, false);
    let mut start = 0;
    let tokens = ids.into_iter().map(|id| {
        let end = start + model.vocabulary.bytes(id).map_or(0, |bytes| bytes.len() as u32);
        let span = (start, end);
        start = end;
        (id, span)
    });
    let word = Word { span: (0, text.len() as u32), tokens: tokens.collect(), ..Word::default() };
    let doubt = Some("the rules of this tokenizer cannot be read".to_owned());
    let vocabulary = model.vocabulary.len() as u32;
    Ok(Pieces { vocabulary, words: vec![word], doubt, ..Pieces::default() })
}

//! A grammar that a reply is held to, and where in the reply it counts.
//!
//! Invariant: it sees the answer and nothing else. What a model thinks before, between the marks that it was trained on,
//! is free, but cannot end the reply; so is the mark itself, where nothing is written yet. llama.cpp's sampler is never
//! told a token that it does not allow, since it ends the process over one.

use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use crate::engine::model::vocabulary::{ids, opened_by, text_bytes};
use crate::reasoning::{Form, Splitter};
use crate::token::{TokenId, TokenKind, Vocabulary};

/// Of the likeliest tokens, so many that a text leaves only few of are not allowed in it.
const SPARE: usize = 100;

/// A grammar with its state.
pub struct Grammar {
    sampler: LlamaSampler,
    vocabulary: Arc<Vocabulary>,
    /// What is thought, until the answer begins.
    thoughts: Option<Splitter>,
    /// Whether a mark was the last that came; line ends belong to it.
    after_mark: bool,
    /// In order, what the thoughts can begin with, while nothing is written.
    openers: Vec<TokenId>,
    /// In order, what ends a reply.
    ends: Vec<TokenId>,
}

impl Grammar {
    /// One of which nothing is written yet.
    ///
    /// # Errors
    /// When llama.cpp cannot use it.
    pub fn new(model: &LlamaModel, vocabulary: &Arc<Vocabulary>, grammar: &str) -> Result<Self, String> {
        let sampler = LlamaSampler::grammar(model, grammar, "root").map_err(|_| {
            "llama.cpp cannot use this grammar: a part is repeated too often, or it names a <token> that this model \
             does not have"
                .to_owned()
        })?;
        let vocab = model.vocab();
        let ends = ids(vocabulary).filter(|id| vocab.is_eog(LlamaToken(id.0))).collect();
        let openers = openers(vocabulary);
        Ok(Self { sampler, vocabulary: vocabulary.clone(), thoughts: None, after_mark: false, openers, ends })
    }

    /// The prompt that the reply follows; it may end with the mark that thoughts begin with.
    pub fn follows(&mut self, prompt: &[TokenId]) {
        if let Some(form) = opened_by(&self.vocabulary, prompt) {
            self.thoughts = Some(Splitter::new(Some(form)));
            self.openers.clear();
        }
    }

    /// How many of the likeliest tokens are asked for beside those that the chain needs, since it takes some away.
    pub fn most_taken(&self) -> usize {
        if self.thoughts.is_some() { self.ends.len() } else { SPARE }
    }

    /// Takes out of the list what cannot come next.
    pub fn apply(&mut self, list: &mut LlamaTokenDataArray) {
        let is_in =
            |ids: &[TokenId], entry: &LlamaTokenData| ids.binary_search(&TokenId(entry.id().0)).is_ok();
        if self.thoughts.is_some() {
            list.data.retain(|entry| !is_in(&self.ends, entry));
            return;
        }
        let free: Vec<_> = list.data.iter().filter(|entry| is_in(&self.openers, entry)).copied().collect();
        list.data.retain(|entry| !is_in(&self.openers, entry));
        list.apply_sampler(&mut self.sampler);
        list.data.retain(|entry| entry.logit() > f32::NEG_INFINITY);
        if !free.is_empty() {
            list.data.extend(free);
            list.sorted = false;
        }
    }

    /// Tells it which token came; whether it allows that.
    pub fn accept(&mut self, id: TokenId) -> bool {
        let opens = std::mem::take(&mut self.openers).binary_search(&id).is_ok();
        if opens {
            self.thoughts = Some(Splitter::default());
        }
        let text = text_bytes(&self.vocabulary, id);
        let Some(thoughts) = &mut self.thoughts else {
            let breaks = !text.is_empty() && text.iter().all(|byte| matches!(byte, b'\n' | b'\r'));
            self.after_mark &= breaks;
            return self.takes(id) || self.after_mark;
        };
        thoughts.push(text, self.vocabulary.bytes(id));
        if thoughts.answers() {
            (self.thoughts, self.after_mark) = (None, true);
        }
        true
    }

    fn takes(&mut self, id: TokenId) -> bool {
        let mut only = LlamaTokenDataArray::new(vec![LlamaTokenData::new(LlamaToken(id.0), 0.0, 0.0)], false);
        only.apply_sampler(&mut self.sampler);
        let is_allowed = only.data.iter().all(|entry| entry.logit() > f32::NEG_INFINITY);
        if is_allowed {
            self.sampler.accept(LlamaToken(id.0));
        }
        is_allowed
    }
}

/// The tokens that a mark before thoughts or before an answer begins with.
fn openers(vocabulary: &Vocabulary) -> Vec<TokenId> {
    let is_mark = |id: &TokenId| {
        matches!(vocabulary.kind(*id), TokenKind::Control | TokenKind::UserDefined)
            && vocabulary.bytes(*id).is_some_and(Form::may_open)
    };
    ids(vocabulary).filter(is_mark).collect()
}

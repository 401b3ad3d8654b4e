//! A loaded model with what was derived from it once.
//!
//! Invariant: nothing of it changes; what is filled in later is filled in once.

use std::sync::{Arc, OnceLock};

use llama_cpp_2::model::LlamaModel;

use super::vocabulary;
use crate::engine::prompt::template::{After, Template};
use crate::engine::tokenizer::Tokenizer;
use crate::model_entry::ModelFile;
use crate::token::{TokenId, Vocabulary};

/// A model in memory with what was derived from it.
pub struct LoadedModel {
    /// llama.cpp's model.
    pub model: LlamaModel,
    /// All entries as plain data.
    pub vocabulary: Arc<Vocabulary>,
    /// What a chat is put into.
    pub template: Template,
    /// The token that begins every text, where the model wants one.
    pub begin: Option<TokenId>,
    /// Whether the tokenizer puts a blank in front of a text.
    pub blank_before: bool,
    /// The file beside llama.cpp; empty where it could not be opened.
    pub file: OnceLock<Arc<dyn ModelFile>>,
    /// The tokenizer's rules, once they were asked for; or why they cannot be told.
    pub rules: OnceLock<Result<Tokenizer, String>>,
}

impl LoadedModel {
    /// A text's ids, without the begin-of-sequence token.
    pub fn tokenize(&self, text: &str, special: bool) -> Vec<TokenId> {
        vocabulary::tokenize(&self.model.vocab(), text, special)
    }

    /// A text's ids where it stands: after other text, no blank is put before it.
    pub fn tokenize_after(&self, text: &str, special: bool, after: After) -> Vec<TokenId> {
        /// Of no language, so that no vocabulary joins it with what follows.
        const GUARD: &str = "\u{e000}";
        if after == After::Mark || !self.blank_before || text.is_empty() {
            return self.tokenize(text, special);
        }
        let before = self.tokenize(GUARD, false);
        match self.tokenize(&format!("{GUARD}{text}"), special).strip_prefix(before.as_slice()) {
            Some(ids) => ids.to_vec(),
            None => self.tokenize(text, special),
        }
    }

    /// Puts the begin-of-sequence token in front if the model wants one and it is not there yet.
    pub fn begin(&self, ids: &mut Vec<TokenId>) {
        if let Some(begin) = self.begin
            && ids.first() != Some(&begin)
        {
            ids.insert(0, begin);
        }
    }
}

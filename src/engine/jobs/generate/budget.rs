//! The budget for thinking: once it is used up, the mark that closes the thoughts is written for the model.
//!
//! Invariant: what is forced are the ids of the model's own mark, once a reply; without a budget nothing is followed.

use std::collections::VecDeque;

use crate::engine::model::loaded::LoadedModel;
use crate::engine::model::vocabulary::{opened_by, text_bytes};
use crate::reasoning::Splitter;
use crate::token::TokenId;

/// Follows what a reply thinks.
pub struct Budget {
    /// Tokens that may be thought; 0 is no limit.
    most: u32,
    splitter: Splitter,
    thought: u32,
    forced: VecDeque<TokenId>,
    used_up: bool,
}

impl Budget {
    /// For a reply to a prompt, of which so much is written.
    pub fn new(most: u32, model: &LoadedModel, prompt: &[TokenId], written: &[TokenId]) -> Self {
        let opened = if most > 0 { opened_by(&model.vocabulary, prompt) } else { None };
        let splitter = Splitter::new(opened);
        let mut budget = Self { most, splitter, thought: 0, forced: VecDeque::new(), used_up: false };
        for id in written {
            budget.wrote(model, *id, text_bytes(&model.vocabulary, *id));
        }
        budget
    }

    /// The token that is written instead of what is drawn.
    pub fn force(&mut self) -> Option<TokenId> {
        self.forced.pop_front()
    }

    /// A token was written.
    pub fn wrote(&mut self, model: &LoadedModel, id: TokenId, text: &[u8]) {
        if self.most == 0 || self.used_up {
            return;
        }
        self.splitter.push(text, model.vocabulary.bytes(id));
        let Some(form) = self.splitter.thinking() else { return };
        self.thought += 1;
        if self.thought >= self.most {
            self.forced = model.tokenize(form.forced(), true).into();
            self.used_up = true;
        }
    }
}

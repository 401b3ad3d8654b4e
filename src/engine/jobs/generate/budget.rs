//! The budget for thinking: once it is used up, the mark that closes the thoughts is written for the model.
//!
//! Invariant: what is forced are the ids of the model's own mark, once a reply; without a budget nothing is followed.

use std::collections::VecDeque;

use crate::engine::model::loaded::LoadedModel;
use crate::reasoning::{Form, Splitter};
use crate::token::TokenId;

/// Tokens at the end of a prompt that can hold an open mark.
const END: usize = 12;

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
    /// For a reply to a prompt.
    pub fn new(most: u32, model: &LoadedModel, prompt: &[TokenId]) -> Self {
        let end = &prompt[prompt.len().saturating_sub(END)..];
        let bytes = end.iter().flat_map(|id| model.vocabulary.bytes(*id).unwrap_or_default()).copied();
        let end = String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned();
        let splitter = Splitter::new(if most > 0 { Form::opened_by(&end) } else { None });
        Self { most, splitter, thought: 0, forced: VecDeque::new(), used_up: false }
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

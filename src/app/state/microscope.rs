//! Another model held against the loaded one on this chat, token by token.
//!
//! Invariant: what is shown is of one comparison that ran to its end or is still running; figures are over the whole
//! vocabulary, and the loaded model is the reference.

use crate::app::{Asker, Query, Question};
use crate::chat::{ConversationId, TurnId};
use crate::inspect::contrast::{Contrast, Summary};
use crate::token::TokenId;

/// The comparison, while its panel is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Microscope {
    /// The chat.
    pub chat: ConversationId,
    /// Name of the other model.
    pub other: String,
    /// What is read, in the order of the chat but that a reply stands before the messages that it answers.
    pub texts: Vec<ReadText>,
    /// Whether all have been read.
    pub is_done: bool,
    /// The selected row of [`Microscope::apart`].
    pub selected: usize,
    /// The question to the engine.
    pub reading: Query<HoldAgainst>,
}

/// A message, the system prompt or a reply, read by both models.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadText {
    /// Its turn.
    pub turn: TurnId,
    /// The index of the request's part that holds it.
    pub part: u32,
    /// Whether a model wrote it.
    pub is_reply: bool,
    /// Its tokens, in order; of a message those that something was read before.
    pub tokens: Vec<ReadToken>,
}

/// A token that both models read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadToken {
    /// Its first byte in the turn's text.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// Its index among the ids of the part.
    pub at: usize,
    /// What it is.
    pub id: TokenId,
    /// What both thought of it, once that has come.
    pub found: Option<Contrast>,
}

/// A row of the panel: a token that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Apart {
    /// Its turn.
    pub turn: TurnId,
    /// Its index among the tokens that were read of the turn; those of a reply are all of the turn's.
    pub index: usize,
    /// Whether a model wrote it.
    pub is_reply: bool,
    /// Its first byte in the turn's text.
    pub start: usize,
    /// What it is.
    pub id: TokenId,
    /// What both thought of it.
    pub found: Contrast,
}

/// Asks for the whole comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldAgainst;

impl Question for HoldAgainst {
    const ASKER: Asker = Asker::Microscope;
}

impl Microscope {
    /// Every token that was read, those first at which the models part most.
    pub fn apart(&self) -> Vec<Apart> {
        let mut all: Vec<_> = self.texts.iter().flat_map(ReadText::apart).collect();
        all.sort_by(|a, b| b.found.kl.total_cmp(&a.found.kl));
        all
    }

    /// What all that was read adds up to; of replies alone, or of what was typed alone, where that is asked for.
    pub fn summary(&self, only_replies: Option<bool>) -> Option<Summary> {
        let wanted = |text: &&ReadText| only_replies.is_none_or(|only_replies| text.is_reply == only_replies);
        let tokens = self.texts.iter().filter(wanted).flat_map(|text| &text.tokens);
        Summary::of(&tokens.filter_map(|token| token.found).collect::<Vec<_>>())
    }
}

impl ReadText {
    fn apart(&self) -> impl Iterator<Item = Apart> {
        let Self { turn, is_reply, .. } = *self;
        self.tokens.iter().enumerate().filter_map(move |(index, token)| {
            let ReadToken { start, id, .. } = *token;
            token.found.map(|found| Apart { turn, index, is_reply, start, id, found })
        })
    }
}

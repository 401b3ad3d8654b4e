//! Another model held against the loaded one on this chat's replies, token by token.
//!
//! Invariant: what is shown is of one comparison that ran to its end or is still running; figures are over the whole
//! vocabulary, and the loaded model is the reference.

use crate::app::{Asker, Query, Question, TokenCursor};
use crate::chat::{ConversationId, TurnId};
use crate::inspect::contrast::{Contrast, Summary};

/// The comparison, while its panel is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Microscope {
    /// The chat.
    pub chat: ConversationId,
    /// Name of the other model.
    pub other: String,
    /// The replies that are read, oldest first.
    pub replies: Vec<ReadReply>,
    /// Whether all have been read.
    pub is_done: bool,
    /// The selected row of [`Microscope::apart`].
    pub selected: usize,
    /// The question to the engine.
    pub reading: Query<HoldAgainst>,
}

/// A reply, read by both models.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadReply {
    /// Its turn.
    pub turn: TurnId,
    /// What has come, one entry a token.
    pub tokens: Vec<Contrast>,
}

/// Asks for the whole comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldAgainst;

impl Question for HoldAgainst {
    const ASKER: Asker = Asker::Microscope;
}

impl Microscope {
    /// Every token that was read, those first at which the models part most.
    pub fn apart(&self) -> Vec<(TokenCursor, Contrast)> {
        let tokens = |reply: &ReadReply| {
            let turn = reply.turn;
            let at = move |(index, token): (usize, &Contrast)| (TokenCursor { turn, index }, *token);
            reply.tokens.iter().enumerate().map(at).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.replies.iter().flat_map(tokens).collect();
        all.sort_by(|a, b| b.1.kl.total_cmp(&a.1.kl));
        all
    }

    /// What they add up to.
    pub fn summary(&self) -> Option<Summary> {
        let all: Vec<Contrast> = self.replies.iter().flat_map(|reply| reply.tokens.iter().copied()).collect();
        Summary::of(&all)
    }
}

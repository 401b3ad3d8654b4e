//! Replies read again on trial: after an edited message, and with each sentence left out.
//!
//! Invariant: nothing here is part of the chat. Before and after are both read again in the same way, so that a
//! difference is the text's and not that of another batch size.

use std::ops::Range;
use std::sync::Arc;

use crate::app::{Asker, Query, Question, TokenCursor};
use crate::chat::{ConversationId, Role, TurnId};
use crate::engine::protocol::Rescored;

/// A message changed on trial, and what that does to the replies after it.
#[derive(Clone, Debug, PartialEq)]
pub struct WhatIf {
    /// The chat.
    pub chat: ConversationId,
    /// The message; the system prompt by its own id.
    pub turn: TurnId,
    /// Who speaks in it.
    pub role: Role,
    /// Its text in the chat.
    pub before: String,
    /// Its text on trial.
    pub text: String,
    /// The replies after it, as far as the loaded model wrote them; the next one first.
    pub replies: Vec<RereadReply>,
    /// The selected row of [`WhatIf::changes`].
    pub selected: usize,
    /// The reply that is being read.
    pub reading: Query<ReadAgain>,
}

/// A reply of the open trial that is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAgain {
    /// Its place among the trial's replies.
    pub reply: usize,
    /// Whether after the text on trial.
    pub edited: bool,
}

impl Question for ReadAgain {
    const ASKER: Asker = Asker::WhatIf;
}

/// A reply that is read again.
#[derive(Clone, Debug, PartialEq)]
pub struct RereadReply {
    /// Its turn.
    pub turn: TurnId,
    /// Behind the text as it is.
    pub before: Option<Arc<Rescored>>,
    /// Behind the text on trial.
    pub after: Option<Arc<Rescored>>,
}

/// How a token's probability changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The token.
    pub at: TokenCursor,
    /// ln p before, nats.
    pub before: f32,
    /// ln p after, nats.
    pub after: f32,
}

impl Change {
    /// log₂ of after over before: bits gained.
    pub fn bits(&self) -> f64 {
        bits(f64::from(self.after) - f64::from(self.before))
    }
}

/// Nats to bits. What both sides call impossible has not changed.
fn bits(nats: f64) -> f64 {
    if nats.is_nan() { 0.0 } else { nats / std::f64::consts::LN_2 }
}

impl RereadReply {
    /// Its tokens with both figures, in order; empty until both are there.
    pub fn changes(&self) -> Vec<Change> {
        let (Some(before), Some(after)) = (&self.before, &self.after) else { return Vec::new() };
        let pairs = before.steps.iter().zip(&after.steps).enumerate();
        pairs
            .map(|(index, (before, after))| Change {
                at: TokenCursor { turn: self.turn, index },
                before: before.logprob,
                after: after.logprob,
            })
            .collect()
    }

    /// Bits that the whole reply gained.
    pub fn bits(&self) -> Option<f64> {
        let (before, after) = (self.before.as_ref()?, self.after.as_ref()?);
        Some(bits(after.logprob() - before.logprob()))
    }
}

impl WhatIf {
    /// Every token of the replies that were read, the most changed first.
    pub fn changes(&self) -> Vec<Change> {
        let mut all: Vec<Change> = self.replies.iter().flat_map(RereadReply::changes).collect();
        all.sort_by(|a, b| b.bits().abs().total_cmp(&a.bits().abs()));
        all
    }

    /// What is to be read next.
    pub fn next(&self) -> Option<ReadAgain> {
        let mut replies = self.replies.iter().enumerate();
        replies.find_map(|(reply, of)| match of {
            RereadReply { before: None, .. } => Some(ReadAgain { reply, edited: false }),
            RereadReply { after: None, .. } => Some(ReadAgain { reply, edited: true }),
            _ => None,
        })
    }

    /// Whether everything has been read.
    pub fn is_done(&self) -> bool {
        self.replies.iter().all(|reply| reply.before.is_some() && reply.after.is_some())
    }

    /// Whether what the model reads is the same with the edit as without: it was trimmed away, or left out.
    pub fn is_unread(&self) -> bool {
        let same = |reply: &RereadReply| match (&reply.before, &reply.after) {
            (Some(before), Some(after)) => before.prompt == after.prompt,
            _ => false,
        };
        !self.replies.is_empty() && self.replies.iter().all(same)
    }

    /// The part of the text that was replaced and what stands there instead, widened to whole words.
    pub fn edit(&self) -> (&str, &str) {
        let (before, after) = (self.before.as_str(), self.text.as_str());
        let edge = |text: &str, at: usize| {
            let Some((left, right)) = text.split_at_checked(at) else { return false };
            let space = char::is_whitespace;
            left.is_empty() || right.is_empty() || left.ends_with(space) || right.starts_with(space)
        };
        let start = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
        let start = (0..=start).rev().find(|at| edge(before, *at) && edge(after, *at)).unwrap_or(0);
        let (rest, new) = (&before[start..], &after[start..]);
        let end = rest.bytes().rev().zip(new.bytes().rev()).take_while(|(a, b)| a == b).count();
        let both = |back: &usize| edge(rest, rest.len() - back) && edge(new, new.len() - back);
        let end = (0..=end).rev().find(both).unwrap_or(0);
        (&rest[..rest.len() - end], &new[..new.len() - end])
    }
}

/// What each sentence of a prompt weighs for a reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The chat.
    pub chat: ConversationId,
    /// The reply.
    pub reply: TurnId,
    /// Whether whole messages are left out instead of sentences.
    pub by_message: bool,
    /// Whether the reading was asked for.
    pub started: bool,
    /// The parts of the prompt, in order.
    pub parts: Vec<Part>,
    /// The reply after the whole prompt.
    pub whole: Option<Arc<Rescored>>,
    /// The selected row of [`Weights::ranked`].
    pub selected: usize,
    /// Tokens decoded so far, and how long that took, ms.
    pub spent: (u64, f64),
    /// Tokens of the chat that had to make room.
    pub displaced: u32,
    /// The part without which the reply is being read.
    pub reading: Query<ReadWithout>,
}

/// The weighed reply is read after the prompt without this part, or after all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadWithout(pub Option<usize>);

impl Question for ReadWithout {
    const ASKER: Asker = Asker::Weights;
}

/// A sentence, or a message, that is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The message; the system prompt by its own id.
    pub turn: TurnId,
    /// Who speaks in it.
    pub role: Role,
    /// The bytes of the message that are left out, with white space around them.
    pub cut: Range<usize>,
    /// The sentence itself.
    pub text: String,
    /// Tokens that have to be read without it, about.
    pub tokens: usize,
    /// ln p of each token of the reply without it, nats.
    pub without: Option<Arc<Vec<f32>>>,
}

impl Weights {
    /// What is to be read next.
    pub fn next(&self) -> Option<ReadWithout> {
        if self.whole.is_none() {
            return Some(ReadWithout(None));
        }
        let at = self.parts.iter().position(|part| part.without.is_none())?;
        Some(ReadWithout(Some(at)))
    }

    /// How many parts have been left out so far.
    pub fn done(&self) -> usize {
        self.parts.iter().filter(|part| part.without.is_some()).count()
    }

    /// Whether everything has been read.
    pub fn is_done(&self) -> bool {
        self.whole.is_some() && self.done() == self.parts.len()
    }

    /// Bits that a part adds to ln p of one token of the reply, or of all of it; `None` until it was read.
    pub fn bits(&self, part: &Part, token: Option<usize>) -> Option<f64> {
        let (whole, without) = (self.whole.as_ref()?, part.without.as_ref()?);
        let all = whole.steps.iter().zip(without.iter());
        let added = |(step, without): (&crate::token::Step, &f32)| {
            let nats = f64::from(step.logprob) - f64::from(*without);
            if nats.is_nan() { 0.0 } else { nats }
        };
        Some(bits(match token {
            Some(index) => all.skip(index).map(added).next()?,
            None => all.map(added).sum(),
        }))
    }

    /// Indices of the parts as they are listed, with what each weighs in bits: as they stand in the prompt while they
    /// are read, the weightiest first once all are.
    pub fn ranked(&self, token: Option<usize>) -> Vec<(usize, Option<f64>)> {
        let mut order: Vec<_> = self.parts.iter().map(|part| self.bits(part, token)).enumerate().collect();
        if self.is_done() {
            let size = |bits: Option<f64>| bits.map_or(0.0, f64::abs);
            order.sort_by(|a, b| size(b.1).total_cmp(&size(a.1)));
        }
        order
    }

    /// Passes that are still to be made, and tokens to be read in them, about.
    pub fn left(&self) -> (usize, usize) {
        let parts = self.parts.iter().filter(|part| part.without.is_none());
        parts.fold((usize::from(self.whole.is_none()), 0), |(passes, tokens), part| {
            (passes + 1, tokens + part.tokens)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_shown_in_whole_words() {
        let check = |before: &str, text: &str, expected: (&str, &str)| {
            let what_if = WhatIf {
                chat: ConversationId(1),
                turn: TurnId(1),
                role: Role::User,
                before: before.into(),
                text: text.into(),
                replies: Vec::new(),
                selected: 0,
                reading: Query::default(),
            };
            assert_eq!(what_if.edit(), expected, "{before:?} {text:?}");
        };
        check("a cat sat", "a car sat", ("cat", "car"));
        check("One. Two. Three.", "One. Three.", ("Two. ", ""));
        check("One. Two.", "One.", (" Two.", ""));
        check("One", "One two", ("", " two"));
        check("caf\u{e9} au lait", "caf\u{e8} au lait", ("caf\u{e9}", "caf\u{e8}"));
        check("same", "other", ("same", "other"));
        check("", "new", ("", "new"));
    }
}

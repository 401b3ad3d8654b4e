//! The tokens of a turn: where each stands in the turn's bytes, and its numbers.
//!
//! Invariants: tokens are in order and do not overlap; those of generated stretches are the ids that were
//! drawn; those of typed text are known only once the text was scored. A token's index counts over the whole
//! turn, kept stretches of other turns included.

use std::sync::Arc;

use crate::app::ChatView;
use crate::chat::{self, Piece, RunId, Turn, TurnId};
use crate::token::{Step, TokenId};

/// A token of the shown chat: a turn, and which of [`ChatView::turn_tokens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenCursor {
    /// The turn.
    pub turn: TurnId,
    /// Index among the turn's tokens.
    pub index: usize,
}

/// One token of a turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TurnToken<'a> {
    /// First byte in the turn's text.
    pub start: usize,
    /// The byte after its last; equal to `start` for a token that shows nothing.
    pub end: usize,
    /// Its numbers.
    pub step: &'a Step,
    /// How it came to be.
    pub origin: Origin,
}

/// How a token came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Written by a run.
    Written {
        /// The run.
        run: RunId,
        /// Index among the run's own tokens.
        index: usize,
    },
    /// Typed, and scored afterwards as part of a run's prompt.
    Scored {
        /// The run whose prompt holds it.
        run: RunId,
        /// Index among the ids of that run's prompt.
        index: usize,
    },
}

/// Scores of a typed turn, or of the system prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnScore {
    /// The run whose prompt was scored.
    pub run: RunId,
    /// Each token: bytes from and to in the turn's text, index among the prompt's ids, numbers.
    pub tokens: Vec<(usize, usize, usize, Step)>,
}

/// One forward pass: what was read, and what was chosen from its output.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// The run it belongs to.
    pub run: RunId,
    /// Everything read, up to and including the last token.
    pub ids: Arc<Vec<TokenId>>,
    /// How many of `ids` are the run's prompt.
    pub prompt: usize,
    /// What was chosen from its output.
    pub chosen: TokenId,
    /// Whether the run drew it (else it was typed, or taken by the user).
    pub drawn: bool,
}

impl<'a> ChatView<'a> {
    /// The tokens of a turn that are known, in order.
    pub fn turn_tokens(&self, turn: &'a Turn) -> Vec<TurnToken<'a>> {
        let pieces = self.chat.pieces(turn);
        let mut tokens = Vec::with_capacity(pieces.len());
        let mut at = 0;
        let mut last: Option<(RunId, usize)> = None;
        for piece in &pieces {
            let start = at;
            at += piece.bytes().len();
            if let Piece::Step { run, step } = *piece {
                let index = last.filter(|(before, _)| *before == run).map_or(0, |(_, index)| index + 1);
                last = Some((run, index));
                tokens.push(TurnToken { start, end: at, step, origin: Origin::Written { run, index } });
            }
        }
        if let ([Piece::Written(_)], Some(score)) = (pieces.as_slice(), self.scores.get(&turn.id)) {
            tokens.extend(score.tokens.iter().map(|(start, end, index, step)| TurnToken {
                start: *start,
                end: *end,
                step,
                origin: Origin::Scored { run: score.run, index: *index },
            }));
        }
        tokens
    }

    /// A message of the shown chat, the system prompt included while it is shown.
    pub fn shown_turn(&self, id: TurnId) -> Option<&'a Turn> {
        self.system.as_ref().filter(|system| system.id == id).or_else(|| self.chat.turn(id))
    }

    /// The messages that can be selected, from the top.
    pub fn shown_turns(&self) -> Vec<TurnId> {
        let system = self.system.iter();
        system
            .chain(self.chat.branch().into_iter().filter(|turn| !turn.deleted))
            .map(|turn| turn.id)
            .collect()
    }

    /// The token at a cursor.
    pub fn token_at(&self, at: TokenCursor) -> Option<TurnToken<'a>> {
        self.turn_tokens(self.shown_turn(at.turn)?).get(at.index).copied()
    }

    /// The numbers of the token under the cursor.
    pub fn step_at(&self, at: TokenCursor) -> Option<&'a Step> {
        self.token_at(at).map(|token| token.step)
    }

    /// How many tokens were read before a token: its place in the context, counted from 0. `None` where what
    /// its run read is not known.
    pub fn place_in_context(&self, token: &TurnToken<'_>) -> Option<usize> {
        match token.origin {
            Origin::Scored { index, .. } => Some(index),
            Origin::Written { run, index } => {
                let prompt = self.runs.get(&run)?.prompt_len();
                (prompt > 0).then(|| prompt + index)
            }
        }
    }

    /// The pass whose output chose a token; `None` where its run, or what that read, is not known.
    pub fn pass(&self, at: TokenCursor) -> Option<Pass> {
        let turn = self.shown_turn(at.turn)?;
        let tokens = self.turn_tokens(turn);
        let token = tokens.get(at.index)?;
        let chosen = token.step.id?;
        match token.origin {
            Origin::Scored { run, index } => {
                let ids = self.prompt_of(run)?.get(..index).filter(|ids| !ids.is_empty())?.to_vec();
                Some(Pass { run, prompt: ids.len(), ids: Arc::new(ids), chosen, drawn: false })
            }
            Origin::Written { run, index } => {
                let mut ids = self.prompt_of(run)?;
                let prompt = ids.len();
                let own = tokens
                    .iter()
                    .filter(|other| matches!(other.origin, Origin::Written { run: of, .. } if of == run));
                for other in own.take(index) {
                    ids.push(other.step.id?);
                }
                let drawn = index >= self.runs.get(&run)?.taken as usize;
                (!ids.is_empty()).then(|| Pass { run, ids: Arc::new(ids), prompt, chosen, drawn })
            }
        }
    }

    /// Whether a token has a [`Self::pass`], without putting together what was read.
    pub fn has_pass(&self, at: TokenCursor) -> bool {
        self.token_at(at).is_some_and(|token| {
            token.step.id.is_some() && self.place_in_context(&token).is_some_and(|place| place > 0)
        })
    }

    /// Whether the loaded model can read a token's pass again.
    pub fn can_read_token_again(&self, at: TokenCursor) -> bool {
        self.run_at(at).is_some_and(|run| self.can_read_again(run)) && self.has_pass(at)
    }

    /// All ids of a run's prompt, what it shares with other runs included.
    pub fn prompt_of(&self, run: RunId) -> Option<Vec<TokenId>> {
        chat::prompt_of(self.runs, run)
    }

    /// Whether the loaded model is the one that a run was made with, so that its passes can be read again.
    pub fn can_read_again(&self, run: RunId) -> bool {
        let (Some(run), Some(loaded)) = (self.runs.get(&run), self.ready()) else { return false };
        let same_file = match (&run.model_hash, &self.model.hash) {
            (Some(then), Some(now)) => then == now,
            _ => run.model == self.model.name,
        };
        same_file && run.vocabulary.as_ref() == Some(&loaded.vocabulary)
    }
}

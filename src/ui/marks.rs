//! The tokens of a message as they are drawn: which bytes of the shown text each is, and its numbers in short.
//!
//! Invariant: the bytes are those of the shown text, which holds the names of special tokens while they are
//! shown; tokens are in order and do not overlap.

use std::borrow::Cow;
use std::ops::Range;

use crate::app::{App, Origin, TokenCursor};
use crate::chat::{Piece, RunId, Turn};
use crate::theme::Symbols;
use crate::token::Step;
use crate::ui::widgets::token;

/// One token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    start: u32,
    end: u32,
    /// ln p, nats.
    pub logprob: f32,
    /// Entropy of what it was drawn from, nats.
    pub entropy: f32,
    /// 1 + how many were likelier.
    pub rank: u32,
    /// At which eighth of the layers it was decided, 1 to 8; 0 for no first choice; `None` where that is not known.
    pub depth: Option<u8>,
    /// Whether it is shown by its name, having no text of its own.
    pub special: bool,
}

/// The tokens of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// The turn's revision.
    pub revision: u64,
    /// Whether special tokens are shown.
    pub special: bool,
    /// The tokens, in order.
    pub tokens: Vec<Mark>,
    /// Names put into the text: where in the turn's own bytes, and how many bytes.
    inserted: Vec<(usize, usize)>,
    /// Tokens whose surprise is finite, and the sum of their surprises, bits.
    known: (u32, f64),
}

impl Mark {
    /// Its bytes of the shown text; empty for a token that shows nothing.
    #[must_use]
    pub fn bytes(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// −log₂ p, bits.
    #[must_use]
    pub fn surprisal_bits(&self) -> f32 {
        -self.logprob / std::f32::consts::LN_2
    }
}

impl Marks {
    /// Gathers them; linear in the message.
    #[must_use]
    pub fn of(app: &App, turn: &Turn, revision: u64) -> Self {
        let mut marks = Self { revision, special: app.transcript.special, ..Self::default() };
        let tokens = app.turn_tokens(turn);
        marks.tokens.reserve_exact(tokens.len());
        let mut shift = 0;
        for (index, token) in tokens.iter().enumerate() {
            let name = match token.origin {
                Origin::Written { run, .. } if marks.special => special_name(app, run, token.step),
                _ => None,
            };
            let inserted = name.as_ref().map_or(0, String::len);
            if inserted > 0 {
                marks.inserted.push((token.start, inserted));
            }
            let start = token.start + shift;
            shift += inserted;
            let surprisal = f64::from(token.step.surprisal_bits());
            if surprisal.is_finite() {
                marks.known.0 += 1;
                marks.known.1 += surprisal;
            }
            marks.tokens.push(Mark {
                start: start as u32,
                end: (token.end + shift) as u32,
                logprob: token.step.logprob,
                entropy: token.step.entropy,
                rank: token.step.rank,
                depth: app.depth_eighths(TokenCursor { turn: turn.id, index }),
                special: inserted > 0,
            });
        }
        marks
    }

    /// The tokens that share bytes with a stretch of the shown text, with their indices.
    pub fn over(&self, start: usize, end: usize) -> impl Iterator<Item = (usize, &Mark)> {
        let first = self.tokens.partition_point(|mark| (mark.end as usize) <= start);
        let sharing = self.tokens[first..].iter().take_while(move |mark| (mark.start as usize) < end);
        (first..).zip(sharing).filter(|(_, mark)| mark.end > mark.start)
    }

    /// Where a byte of the turn stands in the shown text.
    #[must_use]
    pub fn shown(&self, byte: usize) -> usize {
        byte + self.inserted.iter().take_while(|(at, _)| *at <= byte).map(|(_, size)| size).sum::<usize>()
    }

    /// Mean surprise, bits; `None` where no token has a finite one. 2 to its power is the perplexity.
    #[must_use]
    pub fn mean_bits(&self) -> Option<f64> {
        (self.known.0 > 0).then(|| self.known.1 / f64::from(self.known.0))
    }
}

/// The text of a turn as it is drawn, in pieces.
#[must_use]
pub fn shown_pieces<'a>(app: &'a App, turn: &'a Turn) -> Vec<Cow<'a, [u8]>> {
    let pieces = app.chat.pieces(turn).into_iter();
    let shown = pieces.map(|piece| match piece {
        Piece::Step { run, step } if app.transcript.special => match special_name(app, run, step) {
            Some(name) => Cow::Owned(name.into_bytes()),
            None => Cow::Borrowed(step.bytes.as_slice()),
        },
        Piece::Step { step, .. } => Cow::Borrowed(step.bytes.as_slice()),
        Piece::Written(text) => Cow::Borrowed(text.as_bytes()),
    });
    shown.collect()
}

/// `‹end›` for a token that has no text of its own.
fn special_name(app: &App, run: RunId, step: &Step) -> Option<String> {
    let id = step.id.filter(|_| step.bytes.is_empty())?;
    let vocabulary = app.runs.get(&run)?.vocabulary.as_ref()?;
    let vocabulary = app.vocabularies.get(vocabulary)?;
    Some(token::shown(vocabulary.bytes(id)?, vocabulary.kind(id), &Symbols::FULL))
}

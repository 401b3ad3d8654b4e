//! What the softmax station and the rail show, gathered from the app once a frame.
//!
//! Invariant: ids are named only by the vocabulary they belong to; without it they stay numbers.

use crate::app::{App, LiveStep, ModelStatus};
use crate::chat::Piece;
use crate::inspect::after::{After, after};
use crate::theme::Symbols;
use crate::token::{TokenId, TokenKind, Vocabulary};
use crate::ui::widgets::token;

/// The step on display and what is known about it.
pub struct Live<'a> {
    /// The step.
    pub step: &'a LiveStep,
    /// Surprise of every token of its turn so far, bits.
    pub surprises: Vec<f32>,
    /// Candidates after the samplers, in the step's order, where that can be known.
    pub after: Option<Vec<After>>,
    /// Entries of the vocabulary, 0 when unknown.
    pub entries: u64,
    vocabulary: Option<&'a Vocabulary>,
}

impl<'a> Live<'a> {
    /// `None` while there is no step to show.
    #[must_use]
    pub fn of(app: &'a App) -> Option<Self> {
        let step = app.inspector.live.as_ref()?;
        let vocabulary =
            step.vocabulary.as_ref().and_then(|hash| app.vocabularies.get(hash)).map(AsRef::as_ref);
        let chat = if app.chat.head.id == step.chat { Some(&app.chat) } else { app.others.get(&step.chat) };
        let mut surprises = Vec::new();
        let mut run = None;
        for piece in chat.and_then(|chat| Some(chat.pieces(chat.turn(step.turn)?))).unwrap_or_default() {
            if let Piece::Step { run: made_by, step: made } = piece {
                if surprises.len() == step.index {
                    run = Some(made_by);
                }
                surprises.push(made.surprisal_bits());
            }
        }
        let run = run.or_else(|| Some(app.run.as_ref().filter(|run| run.turn == step.turn)?.run));
        let sampling = run.and_then(|run| app.runs.get(&run)).map(|run| &run.sampling);
        let after = sampling.and_then(|sampling| after(&step.step, sampling));
        let entries = match (vocabulary, &app.model.status) {
            (Some(vocabulary), _) => vocabulary.len() as u64,
            (None, ModelStatus::Ready(loaded)) if Some(&loaded.vocabulary) == step.vocabulary.as_ref() => {
                loaded.facts.vocabulary_size.into()
            }
            (None, _) => 0,
        };
        Some(Self { step, surprises, after, entries, vocabulary })
    }

    /// A token's text.
    #[must_use]
    pub fn name(&self, id: TokenId, symbols: &Symbols) -> String {
        token::named(id, self.vocabulary, symbols)
    }

    /// The drawn token's text: by the vocabulary, else by the bytes it was recorded with.
    #[must_use]
    pub fn chosen(&self, symbols: &Symbols) -> String {
        let drawn = &self.step.step;
        match drawn.id.filter(|_| self.vocabulary.is_some() || drawn.bytes.is_empty()) {
            Some(id) => self.name(id, symbols),
            None => token::shown(&drawn.bytes, TokenKind::Normal, symbols),
        }
    }

    /// A listed candidate's text.
    #[must_use]
    pub fn candidate(&self, index: usize, symbols: &Symbols) -> String {
        let drawn = &self.step.step;
        match drawn.candidates.get(index) {
            Some(candidate) if Some(candidate.id) == drawn.id => self.chosen(symbols),
            Some(candidate) => self.name(candidate.id, symbols),
            None => String::new(),
        }
    }

    /// Probability of everything but the first so many candidates.
    #[must_use]
    pub fn others(&self, shown: usize) -> f64 {
        let listed = self.step.step.candidates.iter().take(shown);
        (1.0 - listed.map(|candidate| f64::from(candidate.logprob).exp()).sum::<f64>()).clamp(0.0, 1.0)
    }
}

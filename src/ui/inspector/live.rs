//! What the softmax station and the rail show, gathered from the app once a frame.
//!
//! Invariant: ids are named only by the vocabulary they belong to; without it they stay numbers.

use std::sync::Arc;

use crate::app::{App, LiveStep, ModelStatus};
use crate::chat::{Piece, Run};
use crate::inspect::chain::{self, Fate};
use crate::inspect::stages::SamplerTrace;
use crate::theme::Symbols;
use crate::token::{Odds, TokenId, TokenKind, Vocabulary};
use crate::ui::widgets::token;

/// The step on display and what is known about it.
pub struct Live<'a> {
    /// The step.
    pub step: &'a LiveStep,
    /// Surprise of every token of its turn so far, bits.
    pub surprises: Vec<f32>,
    /// Entropy at each of them, bits.
    pub entropies: Vec<f32>,
    /// Candidates after the samplers, in the step's order, where that can be known.
    pub after: Option<Vec<Fate>>,
    /// Entries of the vocabulary, 0 when unknown.
    pub entries: u64,
    /// How much of the distribution is known.
    pub odds: Odds,
    vocabulary: Option<&'a Vocabulary>,
    trace: Option<Arc<SamplerTrace>>,
}

/// Tokens that the strips can show at most.
const STRIP: usize = 400;

impl<'a> Live<'a> {
    /// `None` while there is no step to show.
    pub fn of(app: &'a App) -> Option<Self> {
        let step = app.display().shown_step()?;
        let vocabulary =
            step.vocabulary.as_ref().and_then(|hash| app.talk.vocabularies.get(hash)).map(AsRef::as_ref);
        let chat = if app.talk.chat.head.id == step.chat {
            Some(&app.talk.chat)
        } else {
            app.talk.others.get(&step.chat)
        };
        let mut steps = Vec::new();
        let mut run = None;
        for piece in chat.and_then(|chat| Some(chat.pieces(chat.turn(step.turn)?))).unwrap_or_default() {
            if let Piece::Step { run: made_by, step: made } = piece {
                if steps.len() == step.index {
                    run = Some(made_by);
                }
                steps.push(made);
            }
        }
        if let Some(score) = app.talk.scores.get(&step.turn).filter(|_| steps.is_empty()) {
            steps.extend(score.tokens.iter().map(|(_, _, _, scored)| scored));
        }
        if app.inspector.past.is_some() {
            steps.truncate(step.index + 1);
        }
        let newest = &steps[steps.len().saturating_sub(STRIP)..];
        let surprises = newest.iter().map(|step| step.surprisal_bits()).collect();
        let entropies = newest.iter().map(|step| step.entropy_bits()).collect();
        let run = run.or_else(|| Some(app.talk.run.as_ref().filter(|run| run.turn == step.turn)?.run));
        let run = run.filter(|_| !app.talk.scores.contains_key(&step.turn));
        let run_of_it = run.and_then(|run| app.talk.runs.get(&run));
        let odds = run_of_it.map(Run::odds).unwrap_or_default();
        let sampling = run_of_it.map(|run| &run.sampling);
        let entries = match (vocabulary, &app.model.status) {
            (Some(vocabulary), _) if vocabulary.is_whole() => vocabulary.len() as u64,
            (_, ModelStatus::Ready(loaded)) if Some(&loaded.vocabulary) == step.vocabulary.as_ref() => {
                loaded.facts.vocabulary_size.into()
            }
            _ => 0,
        };
        let suppressed = suppressed(vocabulary);
        // Odds after a server's samplers go through none again.
        let sampling = sampling.filter(|_| !odds.are_sampled());
        let after =
            sampling.and_then(|sampling| chain::fates(&step.step, sampling, entries as usize, suppressed));
        let trace = if after.is_none() && run.is_some() { app.display().shown_trace() } else { None };
        Some(Self { step, surprises, entropies, after, entries, odds, vocabulary, trace })
    }

    /// What the model's makers never want drawn.
    pub fn suppressed(&self) -> &[TokenId] {
        suppressed(self.vocabulary)
    }

    /// A token's text; part of a character is completed by the bytes that were written before it.
    pub fn name(&self, id: TokenId, symbols: &Symbols) -> String {
        match self.vocabulary.and_then(|vocabulary| Some((vocabulary.bytes(id)?, vocabulary.kind(id)))) {
            Some((bytes, kind)) => token::completed(&self.step.partial, bytes, kind, symbols),
            None => token::named(id, None, symbols),
        }
    }

    /// The drawn token's text: by the vocabulary, else by the bytes it was recorded with.
    pub fn chosen(&self, symbols: &Symbols) -> String {
        let drawn = &self.step.step;
        match drawn.id.filter(|_| self.vocabulary.is_some() || drawn.bytes.is_empty()) {
            Some(id) => self.name(id, symbols),
            None => token::completed(&self.step.partial, &drawn.bytes, TokenKind::Normal, symbols),
        }
    }

    /// A listed token's text.
    pub fn listed(&self, id: TokenId, symbols: &Symbols) -> String {
        if Some(id) == self.step.step.id { self.chosen(symbols) } else { self.name(id, symbols) }
    }

    /// A kept candidate's text.
    pub fn candidate(&self, index: usize, symbols: &Symbols) -> String {
        let candidate = self.step.step.candidates.get(index);
        candidate.map_or_else(String::new, |candidate| self.listed(candidate.id, symbols))
    }

    /// What the samplers made of a token, where that is known; `candidate` is its place among the kept ones.
    pub fn fate(&self, id: TokenId, candidate: Option<usize>) -> Option<Fate> {
        if let Some(after) = &self.after {
            // What the kept odds settle, they settle with nothing beyond them left.
            let fate = candidate.and_then(|at| after.get(at)).copied();
            return Some(fate.unwrap_or(Fate::Cut(None)));
        }
        let trace = self.trace.as_ref()?;
        let at = trace.tokens.iter().position(|listed| *listed == id)?;
        let cut = trace.stages.iter().find(|stage| stage.probabilities.get(at).is_some_and(Option::is_none));
        match (cut, trace.stages.last()) {
            (Some(stage), _) => Some(Fate::Cut(Some(stage.name))),
            (None, Some(last)) => last.probabilities.get(at).copied().flatten().map(|p| Fate::Kept(p.into())),
            (None, None) => None,
        }
    }

    /// Probability of everything but the first so many candidates; NaN where none is known.
    pub fn others(&self, shown: usize) -> f64 {
        self.step.step.outside(shown)
    }
}

fn suppressed(vocabulary: Option<&Vocabulary>) -> &[TokenId] {
    vocabulary.map(|vocabulary| vocabulary.suppressed.as_slice()).unwrap_or_default()
}

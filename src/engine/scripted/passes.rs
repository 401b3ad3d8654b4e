//! Reading without writing: texts scored, a pass replayed, a beam, and what is opened of the passes of a text.
//!
//! Invariant: none of these changes the chat's cache, and their numbers are those of a reply at the same ids.

use super::draw::{Chain, Wanted};
use super::hash::{bell, mix};
use super::inside::{Pass, attended, calibrated, divergence};
use super::model::{Control, Model};
use super::reading::Reading;
use super::{MS, no_token, other};
use crate::engine::protocol::{
    Attend, Beam, BeamPaths, Contrasted, Contrasting, Depths, Event, Failure, FailureKind, Path, Replay,
    Replayed, Rescore, Rescored, Score,
};
use crate::inspect::contrast::Contrast;
use crate::inspect::distribution::Distribution;
use crate::inspect::stages::TraceSource;
use crate::token::{Step, TokenId};

impl Model {
    /// Scores a text's tokens, a slice at a time.
    pub(super) fn score(&self, score: &Score, control: &Control<'_>) -> Result<Event, Failure> {
        let decoded = score.ids.len() as u32;
        self.in_slices(&score.ids, score.from as usize, control, |first, mut reading, slice| {
            let steps = self.steps(&mut reading, slice, score.top_logprobs)?;
            Ok(Event::Scores { first, steps })
        })?;
        Ok(Event::Scored { decoded, ms: MS })
    }

    /// Another made-up model held against this one: the same but for noise that follows from its name; none has the same
    /// name. One called "other words" has another vocabulary.
    pub(super) fn contrast(&self, request: &Contrasting, control: &Control<'_>) -> Result<Event, Failure> {
        let name = &request.other.name;
        if name.contains("other words") {
            let message =
                format!("{name} has another vocabulary, so tokens cannot be held against each other.");
            return Err(Failure { message, kind: FailureKind::OtherVocabulary });
        }
        let seed = name.bytes().fold(1, |key, byte| mix(key ^ u64::from(byte)));
        let same = *name == self.loaded.facts.name;
        for (part, text) in (0..).zip(&request.parts) {
            self.in_slices(&text.ids, text.from.max(1) as usize, control, |first, mut reading, slice| {
                let tokens = slice.iter().map(|id| {
                    let p = reading.distribution();
                    reading.push(*id);
                    let noise = |(at, z): (usize, &f32)| if same { *z } else { z + bell(seed, at) };
                    let q = Distribution::new(p.logits().iter().enumerate().map(noise).collect());
                    let q = q.ok_or_else(|| other("The made-up model has no numbers here.".into()))?;
                    contrast(&p, &q, *id).ok_or_else(|| no_token(*id))
                });
                Ok(Event::Contrasts { part, first, tokens: tokens.collect::<Result<_, _>>()? })
            })?;
        }
        Ok(Event::Contrasted(Box::new(Contrasted { ms: MS, ..Contrasted::default() })))
    }

    /// The lens of many passes of one text.
    pub(super) fn depths(&self, request: &Depths, control: &Control<'_>) -> Result<Event, Failure> {
        let from = request.from as usize;
        self.in_slices(&request.ids, from, control, |first, mut reading, slice| {
            let judge = |(at, id): (usize, &TokenId)| {
                let pass = Pass::after(&reading, &request.ids[..first as usize + at]);
                let depth = pass.depths(*id, request.cells);
                reading.push(*id);
                depth
            };
            Ok(Event::Depths { first, tokens: slice.iter().enumerate().map(judge).collect() })
        })?;
        Ok(Event::DepthsDone { decoded: (request.ids.len() - from) as u32, ms: MS })
    }

    /// Tells of the tokens from one on, each by what was read before it.
    fn in_slices(
        &self,
        ids: &[TokenId],
        from: usize,
        control: &Control<'_>,
        mut tell: impl FnMut(u32, Reading, &[TokenId]) -> Result<Event, Failure>,
    ) -> Result<(), Failure> {
        self.fits(ids)?;
        if from == 0 || from >= ids.len() {
            let message = format!(
                "There is nothing to score from token {from} of {}: a text's first token has no probability.",
                ids.len()
            );
            return Err(other(message));
        }
        for first in (from..ids.len()).step_by(self.batch) {
            control.slice()?;
            let slice = &ids[first..ids.len().min(first + self.batch)];
            let reading = Reading::of(&self.pieces, &ids[..first]);
            let (done, total) = ((first + slice.len() - from) as u32, (ids.len() - from) as u32);
            (control.emit)(Event::PromptProgress { done, total });
            (control.emit)(tell(first as u32, reading, slice)?);
        }
        Ok(())
    }

    /// A reply scored after another prompt.
    pub(super) fn rescore(&self, request: &Rescore, control: &Control<'_>) -> Result<Event, Failure> {
        let prompt = self.encode(&request.prompt)?.ids;
        let all: Vec<TokenId> = prompt.iter().chain(&request.reply).copied().collect();
        self.fits(&all)?;
        if request.reply.is_empty() {
            return Err(other("There is no reply to score: it has no tokens.".into()));
        }
        control.slice()?;
        let steps =
            self.steps(&mut Reading::of(&self.pieces, &prompt), &request.reply, request.top_logprobs)?;
        let scored = Rescored { prompt, steps, decoded: all.len() as u32, displaced: 0, ms: MS };
        Ok(Event::Rescored(Box::new(scored)))
    }

    /// The steps that write these tokens after what was read.
    fn steps(&self, reading: &mut Reading, ids: &[TokenId], top: u32) -> Result<Vec<Step>, Failure> {
        let step = |id: &TokenId| {
            let step = reading.distribution().step(*id, self.pieces.written(*id), top as usize);
            reading.push(*id);
            step.ok_or_else(|| no_token(*id))
        };
        ids.iter().map(step).collect()
    }

    /// Reads the pass at the last of these ids again.
    pub(super) fn replay(&self, replay: &Replay, control: &Control<'_>) -> Result<Event, Failure> {
        let reading = self.read_aside(&replay.ids, control)?;
        let distribution = reading.distribution();
        let logits = if replay.logits { Replayed::pack(distribution.logits()) } else { Vec::new() };
        let stages = match &replay.chain {
            None => None,
            Some(setup) => {
                distribution.logit(setup.drawn).ok_or_else(|| no_token(setup.drawn))?;
                let (chain, _) = Chain::new(&setup.sampling, setup.seed, &self.pieces.vocabulary);
                let wanted = Wanted {
                    drawn: setup.drawn,
                    index: (replay.ids.len() as u32).saturating_sub(setup.prompt),
                    list: setup.list,
                    source: TraceSource::Replayed,
                };
                chain.trace(&reading, &distribution, &replay.ids, &wanted).map(Box::new)
            }
        };
        Ok(Event::Replayed(Box::new(Replayed { logits, stages, decoded: 1, ms: MS })))
    }

    /// Follows the likeliest continuations.
    pub(super) fn beam(&self, request: &Beam, control: &Control<'_>) -> Result<Event, Failure> {
        let reading = self.read_aside(&request.ids, control)?;
        let width = request.width.max(1) as usize;
        let mut beam = vec![(Path::default(), reading)];
        for _ in 0..request.depth {
            control.slice()?;
            let mut grown = Vec::new();
            for (path, reading) in beam {
                if path.tokens.last().is_some_and(|last| self.ends(last.id)) {
                    grown.push((path, reading));
                    continue;
                }
                for candidate in reading.distribution().top(width) {
                    let (mut path, mut reading) = (path.clone(), reading.clone());
                    path.tokens.push(candidate);
                    reading.push(candidate.id);
                    grown.push((path, reading));
                }
            }
            grown.sort_by(|(a, _), (b, _)| b.logprob().total_cmp(&a.logprob()));
            grown.truncate(width);
            beam = grown;
        }
        let paths = beam.into_iter().map(|(path, _)| path).filter(|path| !path.tokens.is_empty()).collect();
        Ok(Event::BeamPaths(Box::new(BeamPaths { paths, decoded: 1, ms: MS })))
    }

    /// Attention over a stretch of text.
    pub(super) fn attend(&self, request: &Attend, control: &Control<'_>) -> Result<Event, Failure> {
        let reading = self.read_aside(&request.ids, control)?;
        Ok(Event::Attended(Box::new(attended(reading.key(), request)?)))
    }

    /// What each head does on random text.
    pub(super) fn calibrate(&self) -> Event {
        Event::Calibrated(Box::new(calibrated(&self.pieces.vocabulary)))
    }

    fn read_aside(&self, ids: &[TokenId], control: &Control<'_>) -> Result<Reading, Failure> {
        self.fits(ids)?;
        control.slice()?;
        Ok(Reading::of(&self.pieces, ids))
    }
}

fn contrast(p: &Distribution, q: &Distribution, id: TokenId) -> Option<Contrast> {
    let first = |of: &Distribution| of.top(1).first().copied();
    Some(Contrast {
        kl: divergence(p, q),
        logprob: [p.logprob(id)?, q.logprob(id)?],
        first: [first(p)?, first(q)?],
    })
}

//! Reading without writing: scores of a text, one forward pass, and a beam.
//!
//! Invariant: none of these changes the chat's cache, and their numbers are those of a reply at the same ids.

use std::time::{Duration, Instant};

use super::draw::{Chain, Wanted};
use super::model::{Control, Model};
use super::reading::{self, Reading};
use super::{ScriptedOptions, cancelled, other};
use crate::engine::milliseconds;
use crate::engine::protocol::{
    Event, Failure, FailureKind, Look, LookAhead, Looked, LookedAhead, Path, Score,
};
use crate::inspect::stages::TraceSource;
use crate::token::{Candidate, TokenId, TokenKind};

impl Model {
    /// Scores a text's tokens, a slice at a time.
    pub(super) fn score(
        &self,
        score: &Score,
        options: &ScriptedOptions,
        control: &Control<'_>,
    ) -> Result<Event, Failure> {
        let begun = Instant::now();
        self.fits(&score.ids)?;
        let total = score.ids.len() as u32;
        if score.from == 0 || score.from >= total {
            return Err(other(format!(
                "There is nothing to score from token {} of {total}: a text's first token has no probability.",
                score.from
            )));
        }
        let mut reading = Reading::new(&self.pieces);
        let mut done = 0;
        for slice in score.ids.chunks(self.batch) {
            if (control.pause)(Instant::now() + Duration::from_millis(options.slice_ms)) {
                return Err(cancelled());
            }
            let mut steps = Vec::new();
            for id in slice {
                if reading.length() >= score.from as usize {
                    let distribution = reading::distribution(&reading);
                    let bytes = self.pieces.written(*id);
                    let step = distribution.step(*id, bytes, score.top_logprobs as usize);
                    steps.push(step.ok_or_else(|| no_token(*id))?);
                }
                reading.push(*id);
            }
            done += slice.len() as u32;
            (control.emit)(Event::PromptProgress { done, total });
            if !steps.is_empty() {
                (control.emit)(Event::Scores { first: done - steps.len() as u32, steps });
            }
        }
        Ok(Event::Scored { decoded: total, ms: milliseconds(begun) })
    }

    /// Looks at the pass at the last of these ids.
    pub(super) fn look(
        &self,
        look: &Look,
        options: &ScriptedOptions,
        control: &Control<'_>,
    ) -> Result<Event, Failure> {
        let begun = Instant::now();
        let (reading, decoded) = self.read_aside(&look.ids, options, control)?;
        let distribution = reading::distribution(&reading);
        let logits = if look.logits { Looked::pack(distribution.logits()) } else { Vec::new() };
        let stages = match &look.replay {
            None => None,
            Some(replay) => {
                distribution.logit(replay.drawn).ok_or_else(|| no_token(replay.drawn))?;
                let (chain, _) = Chain::new(&replay.sampling, replay.seed, &self.pieces.vocabulary);
                let wanted = Wanted {
                    drawn: replay.drawn,
                    index: (look.ids.len() as u32).saturating_sub(replay.prompt),
                    list: replay.list,
                    source: TraceSource::Replayed,
                };
                chain.trace(&reading, &distribution, &look.ids, &wanted).map(Box::new)
            }
        };
        Ok(Event::Looked(Box::new(Looked { logits, stages, decoded, ms: milliseconds(begun) })))
    }

    /// Follows the likeliest continuations.
    pub(super) fn look_ahead(
        &self,
        ahead: &LookAhead,
        options: &ScriptedOptions,
        control: &Control<'_>,
    ) -> Result<Event, Failure> {
        let begun = Instant::now();
        let (reading, mut decoded) = self.read_aside(&ahead.ids, options, control)?;
        let width = ahead.width.max(1) as usize;
        let mut beam = vec![(Path::default(), reading)];
        for depth in 0..ahead.depth {
            if (control.pause)(Instant::now()) {
                return Err(cancelled());
            }
            let mut grown = Vec::new();
            for (path, reading) in beam {
                if path.tokens.last().is_some_and(|last| self.ends(last.id)) {
                    grown.push((path, reading));
                    continue;
                }
                decoded += u32::from(depth > 0);
                for candidate in reading::distribution(&reading).top(width) {
                    let mut longer = path.clone();
                    longer.tokens.push(candidate);
                    grown.push((longer, reading.clone()));
                }
            }
            grown.sort_by(|(a, _), (b, _)| b.logprob().total_cmp(&a.logprob()));
            grown.truncate(width);
            for (path, reading) in &mut grown {
                let unread = path.tokens.len() > reading.length() - ahead.ids.len();
                if let Some(Candidate { id, .. }) = path.tokens.last().filter(|_| unread) {
                    reading.push(*id);
                }
            }
            beam = grown;
        }
        let paths = beam.into_iter().map(|(path, _)| path).filter(|path| !path.tokens.is_empty()).collect();
        Ok(Event::LookedAhead(Box::new(LookedAhead { paths, decoded, ms: milliseconds(begun) })))
    }

    /// Reads on a scratch sequence that begins with what the chat's cache shares; at least the last token is
    /// decoded, since its logits are needed.
    pub(super) fn read_aside(
        &self,
        ids: &[TokenId],
        options: &ScriptedOptions,
        control: &Control<'_>,
    ) -> Result<(Reading, u32), Failure> {
        self.fits(ids)?;
        let decoded = self.read_new(ids, ids.len(), options, control)?;
        Ok((Reading::of(&self.pieces, ids), decoded))
    }

    /// Reads what the chat's cache does not share of these ids, in slices; at least the last of the first `asked`,
    /// whose logits are needed. How many that are.
    pub(super) fn read_new(
        &self,
        ids: &[TokenId],
        asked: usize,
        options: &ScriptedOptions,
        control: &Control<'_>,
    ) -> Result<u32, Failure> {
        let shared = self.cache.iter().zip(ids).take_while(|(a, b)| a == b).count();
        let new = &ids[shared.min(asked - 1)..];
        let total = new.len() as u32;
        let mut done = 0;
        for slice in new.chunks(self.batch) {
            if (control.pause)(Instant::now() + Duration::from_millis(options.slice_ms)) {
                return Err(cancelled());
            }
            done += slice.len() as u32;
            (control.emit)(Event::PromptProgress { done, total });
        }
        Ok(total)
    }

    /// Whether these tokens can be read at all.
    pub(super) fn fits(&self, ids: &[TokenId]) -> Result<(), Failure> {
        let context = self.loaded.context as usize;
        if ids.is_empty() {
            return Err(other("There is nothing to read.".into()));
        }
        if let Some(id) = ids.iter().find(|id| self.pieces.vocabulary.bytes(**id).is_none()) {
            return Err(no_token(*id));
        }
        if ids.len() > context {
            let message = format!(
                "The text has {} tokens, the context {context}: shorten it, or load the model with a longer context.",
                ids.len()
            );
            return Err(Failure { message, kind: FailureKind::ContextFull });
        }
        Ok(())
    }

    /// Whether a token ends a reply.
    pub(super) fn ends(&self, id: TokenId) -> bool {
        use super::vocabulary::{END_OF_TEXT, END_OF_TURN};
        self.pieces.vocabulary.kind(id) == TokenKind::Control && [END_OF_TURN, END_OF_TEXT].contains(&id)
    }
}

pub(super) fn no_token(id: TokenId) -> Failure {
    other(format!("This model has no token {}.", id.0))
}

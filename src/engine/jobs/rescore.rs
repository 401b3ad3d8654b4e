//! A reply scored behind another prompt: only what differs from the chat is decoded, beside the chat.
//!
//! Invariant: where the room beside the chat suffices, the chat's sequence stays as it was; elsewhere the text is
//! read there, and [`Rescored::displaced`] says how much of the chat had to go.

use std::time::Instant;

use super::score;
use crate::engine::compute::numbers::Reader;
use crate::engine::milliseconds;
use crate::engine::prompt;
use crate::engine::protocol::{Event, Failure, FailureKind, Reread, Rescored};
use crate::engine::session::lane::SCRATCH;
use crate::engine::session::{Halt, Rows, Session};
use crate::token::{Step, TokenId};

const WHAT: &str = "Reading the reply again";

/// Scores the reply; `emit` gets the progress, the answer is returned.
pub fn reread(session: &mut Session, request: &Reread, emit: &dyn Fn(Event)) -> Event {
    let scored = run(session, request, emit);
    session.drop_sequence(SCRATCH);
    scored.map_or_else(Event::Failed, |scored| Event::Rescored(Box::new(scored)))
}

fn run(session: &mut Session, request: &Reread, emit: &dyn Fn(Event)) -> Result<Rescored, Failure> {
    let started = Instant::now();
    let encoded = prompt::encode(session.model(), &request.prompt, session.limit())?;
    let prompt = encoded.ids;
    score::check(session.model(), &request.reply)?;
    if request.reply.is_empty() {
        let message = "There is no reply to score: it has no tokens.".to_string();
        return Err(Failure { message, kind: FailureKind::Other });
    }
    let ids: Vec<TokenId> = prompt.iter().chain(&request.reply).copied().collect();
    if ids.len() - 1 > session.limit() {
        return Err(score::too_long(ids.len(), session.limit()));
    }
    let mut scoring = Scoring::new(session, request, &ids, prompt.len(), emit);
    let steps = scoring.run()?;
    let (decoded, displaced) = (scoring.decoded as u32, scoring.displaced as u32);
    Ok(Rescored { prompt, steps, decoded, displaced, ms: milliseconds(started) })
}

struct Scoring<'a> {
    session: &'a mut Session,
    emit: &'a dyn Fn(Event),
    ids: &'a [TokenId],
    /// Index of the reply's first token; the pass before it is the first whose output counts.
    first: usize,
    shown: usize,
    /// Whether everything goes on beside the chat.
    beside: bool,
    /// How many of `ids` are held already.
    held: usize,
    displaced: usize,
    decoded: usize,
}

impl<'a> Scoring<'a> {
    fn new(
        session: &'a mut Session,
        request: &Reread,
        ids: &'a [TokenId],
        first: usize,
        emit: &'a dyn Fn(Event),
    ) -> Self {
        let shared = session.shared(ids, &request.interventions).min(first - 1);
        let beside = session.fits_beside(ids.len() - 1 - shared);
        let before = session.cached().len();
        let held = if beside {
            session.copy_prefix(SCRATCH, shared);
            shared
        } else {
            session.reuse_at_most(ids, shared, &request.interventions)
        };
        let displaced = if beside { 0 } else { before - held };
        let shown = request.top_logprobs as usize;
        Self { session, emit, ids, first, shown, beside, held, displaced, decoded: 0 }
    }

    /// The last token is scored but not read: nothing follows it.
    fn run(&mut self) -> Result<Vec<Step>, Failure> {
        let (ids, end) = (self.ids, self.ids.len() - 1);
        for start in (self.held..self.first - 1).step_by(self.session.slice()) {
            self.decode(start, (start + self.session.slice()).min(self.first - 1), Rows::None)?;
        }
        let mut reader = Reader::default();
        let mut steps = Vec::with_capacity(ids.len() - self.first);
        for start in (self.first - 1..end).step_by(self.session.most_rows()) {
            let stop = (start + self.session.most_rows()).min(end);
            self.decode(start, stop, Rows::All)?;
            for (row, id) in ids[start + 1..=stop].iter().enumerate() {
                steps.push(score::step(self.session, &mut reader, row, *id, self.shown)?);
            }
        }
        Ok(steps)
    }

    fn decode(&mut self, start: usize, end: usize, rows: Rows) -> Result<(), Failure> {
        let ids = &self.ids[start..end];
        let decoded = if self.beside {
            self.session.decode_on(SCRATCH, start, ids, rows)
        } else {
            self.session.append(ids, rows)
        };
        decoded.map_err(|halt: Halt| score::stopped(halt, WHAT))?;
        self.decoded += end - start;
        let total = (self.ids.len() - 1 - self.held) as u32;
        (self.emit)(Event::PromptProgress { done: self.decoded as u32, total });
        Ok(())
    }
}

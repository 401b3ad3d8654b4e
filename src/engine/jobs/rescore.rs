//! A reply scored after another prompt: only what differs from the chat is decoded, beside the chat.
//!
//! Invariant: where the room beside the chat suffices, the chat's sequence stays as it was; elsewhere the text is
//! read there, and [`Rescored::displaced`] says how much of the chat had to go.

use std::time::Instant;

use super::score;
use crate::engine::compute::numbers::Reader;
use crate::engine::milliseconds;
use crate::engine::prompt::encode;
use crate::engine::protocol::{Event, Failure, FailureKind, Rescore, Rescored};
use crate::engine::session::{Halt, Session, Text};
use crate::token::TokenId;

const WHAT: &str = "Reading the reply again";

/// Scores the reply; `emit` gets the progress, the answer is returned.
pub fn rescore(session: &mut Session, request: &Rescore, emit: &dyn Fn(Event)) -> Event {
    let scored = run(session, request, emit);
    scored.map_or_else(Event::Failed, |scored| Event::Rescored(Box::new(scored)))
}

fn run(session: &mut Session, request: &Rescore, emit: &dyn Fn(Event)) -> Result<Rescored, Failure> {
    let started = Instant::now();
    let encoded = encode::prompt(session.model(), &request.prompt, session.limit())?;
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
    let first = prompt.len();
    // The last token is scored but not read: nothing follows it.
    let end = ids.len() - 1;
    let mut lane = session.lane(Text::from(first - 1, &ids[..end], &request.interventions));
    let tell = |done: usize, total: usize| {
        emit(Event::PromptProgress { done: done as u32, total: total as u32 });
    };
    lane.read_to(first - 1, tell).map_err(stopped)?;
    let mut reader = Reader::default();
    let mut steps = Vec::with_capacity(request.reply.len());
    while lane.at() < end {
        let passes = lane.read_rows(end, end).map_err(stopped)?;
        tell(lane.decoded(), lane.total());
        for (row, id) in ids[passes.start + 1..=passes.end].iter().enumerate() {
            steps.push(score::step(lane.session(), &mut reader, row, *id, request.top_logprobs as usize)?);
        }
    }
    let (decoded, displaced) = (lane.decoded() as u32, lane.displaced() as u32);
    drop(lane);
    Ok(Rescored { prompt, steps, decoded, displaced, ms: milliseconds(started) })
}

fn stopped(halt: Halt) -> Failure {
    score::stopped(halt, WHAT)
}

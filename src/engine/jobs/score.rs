//! How likely a text's own tokens were: read once, teacher-forced, in slices whose every row has logits.
//!
//! Invariant: the text is read into the chat's own sequence, so what was scored need not be read again for a
//! reply; every probability is over the whole vocabulary and before the samplers.

use std::time::Instant;

use crate::engine::analysis::output::no_numbers;
use crate::engine::compute::numbers::{self, Reader};
use crate::engine::milliseconds;
use crate::engine::model::loaded::LoadedModel;
use crate::engine::model::vocabulary;
use crate::engine::protocol::{Event, Failure, FailureKind, Score};
use crate::engine::session::{Halt, Rows, Session};
use crate::token::{Candidate, Step, TokenId};

/// Scores a text; `emit` gets everything but the final event, which is returned. The last token is scored but
/// not read: nothing follows it.
pub fn score(session: &mut Session, request: &Score, emit: &dyn Fn(Event)) -> Event {
    let started = Instant::now();
    match run(session, request, emit) {
        Ok(decoded) => Event::Scored { decoded, ms: milliseconds(started) },
        Err(failure) => Event::Failed(failure),
    }
}

fn run(session: &mut Session, request: &Score, emit: &dyn Fn(Event)) -> Result<u32, Failure> {
    let ids = &request.ids;
    let first = (request.from as usize).max(1);
    check(session.model(), ids)?;
    if first >= ids.len() {
        return Ok(0);
    }
    let read = &ids[..ids.len() - 1];
    if read.len() > session.limit() {
        return Err(too_long(ids.len(), session.limit()));
    }

    session.forget_branch();
    let mut session = session.under(&request.interventions);
    let kept = session.reuse_at_most(ids, first - 1, &request.interventions);
    let total = read.len() - kept;
    let progress = |done: usize| emit(Event::PromptProgress { done: done as u32, total: total as u32 });
    session.read(&read[..first - 1], kept, |done, _| progress(done)).map_err(|halt| stopped(halt, WHAT))?;

    let mut reader = Reader::default();
    let mut next = first;
    let slice = session.most_rows();
    for rows in read[first - 1..].chunks(slice) {
        session.append(rows, Rows::All).map_err(|halt| stopped(halt, WHAT))?;
        let mut steps = Vec::with_capacity(rows.len());
        for (row, id) in ids[next..next + rows.len()].iter().enumerate() {
            steps.push(step(&session, &mut reader, row, *id, request.top_logprobs as usize)?);
        }
        emit(Event::Scores { first: next as u32, steps });
        next += rows.len();
        progress(next - 1 - kept);
    }
    Ok(total as u32)
}

/// What the distribution of a row says of the token that followed.
pub(crate) fn step(
    session: &Session,
    reader: &mut Reader,
    row: usize,
    id: TokenId,
    shown: usize,
) -> Result<Step, Failure> {
    let logits = session.row(row);
    let distribution = reader.read(logits, shown).ok_or_else(no_numbers)?;
    let logit = logits[usize::try_from(id.0).expect("the ids were checked")];
    Ok(Step {
        id: Some(id),
        bytes: vocabulary::text_bytes(&session.model().vocabulary, id).to_vec(),
        logprob: distribution.logprob(logit),
        rank: numbers::rank_among(reader.top(), id).unwrap_or_else(|| numbers::rank(logits, logit)),
        entropy: distribution.entropy,
        candidates: reader
            .top()
            .iter()
            .map(|scored| Candidate { id: scored.id, logprob: distribution.logprob(scored.logit) })
            .collect(),
        ..Step::default()
    })
}

const WHAT: &str = "Scoring";

/// Refuses what cannot be computed here.
pub(crate) fn check(model: &LoadedModel, ids: &[TokenId]) -> Result<(), Failure> {
    match ids.iter().find(|id| model.vocabulary.bytes(**id).is_none()) {
        None => Ok(()),
        Some(id) => {
            let entries = model.vocabulary.len();
            let message = format!("The model has no token {}; its vocabulary has {entries} entries.", id.0);
            Err(Failure { message, kind: FailureKind::Other })
        }
    }
}

/// What to say when `what` did not come to its end.
pub(crate) fn stopped(halt: Halt, what: &str) -> Failure {
    match halt {
        Halt::Cancelled => Failure { message: format!("{what} was stopped."), kind: FailureKind::Cancelled },
        halt => Failure { message: format!("{what} failed: {halt}."), kind: FailureKind::Other },
    }
}

pub(crate) fn too_long(length: usize, limit: usize) -> Failure {
    let message = format!(
        "The text is {length} tokens long, {} more than the context of {limit} can score. Shorten it or raise \
         `context`.",
        length - 1 - limit
    );
    Failure { message, kind: FailureKind::ContextFull }
}

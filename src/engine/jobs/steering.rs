//! A direction to steer along: the mean residual stream of one text less that of another, after one block.
//!
//! Invariant: both texts are read on a scratch sequence without any changes; the chat's sequence stays as it was,
//! unless a text does not fit beside it (or the model has no sequences beside it).

use std::time::Instant;

use super::inspect::failed;
use crate::engine::analysis::other;
use crate::engine::milliseconds;
use crate::engine::model::changes;
use crate::engine::model::fit::SCRATCH_CELLS;
use crate::engine::probe::Plan;
use crate::engine::prompt;
use crate::engine::protocol::{Directed, Direction, Event, Failure};
use crate::engine::session::lane::SCRATCH;
use crate::engine::session::{Rows, Session};
use crate::inspect::direction;
use crate::token::TokenId;

/// Answers a question for a direction; `emit` gets the progress.
pub fn direct(session: &mut Session, request: &Direction, emit: &dyn Fn(Event)) -> Event {
    let started = Instant::now();
    let found = check(session, request).and_then(|()| find(session, request, emit));
    session.probe().plan(Plan::default());
    session.drop_sequence(SCRATCH);
    found.map_or_else(Event::Failed, |found| {
        Event::Directed(Box::new(Directed { ms: milliseconds(started), ..found }))
    })
}

fn check(session: &Session, request: &Direction) -> Result<(), Failure> {
    changes::layer(session.model(), request.layer)?;
    for (ids, which) in [(&request.towards, "to steer towards"), (&request.away, "to steer away from")] {
        if ids.is_empty() {
            return Err(other(format!("The text {which} is empty.")));
        }
        prompt::readable(session, ids)?;
    }
    Ok(())
}

fn find(session: &mut Session, request: &Direction, emit: &dyn Fn(Event)) -> Result<Directed, Failure> {
    let total = (request.towards.len() + request.away.len()) as u32;
    let towards = streams(session, &request.towards, request.layer, &|done| {
        emit(Event::PromptProgress { done, total });
    })?;
    let before = request.towards.len() as u32;
    let away = streams(session, &request.away, request.layer, &|done| {
        emit(Event::PromptProgress { done: before + done, total });
    })?;
    let found = direction::between(&towards, &away).ok_or_else(|| {
        other("The two texts have the same mean here, so there is no direction from one to the other.")
    })?;
    Ok(Directed {
        direction: found.direction,
        distance: found.distance,
        norms: found.norms,
        cosine: found.cosine,
        separation: found.separation,
        decoded: total,
        ms: 0.0,
    })
}

/// The stream after a block at each token of a text, the first left out where there are more.
fn streams(
    session: &mut Session,
    ids: &[TokenId],
    layer: u32,
    progress: &dyn Fn(u32),
) -> Result<Vec<Vec<f32>>, Failure> {
    let aside = session.has_scratch() && ids.len() <= SCRATCH_CELLS as usize;
    let mut all = Vec::with_capacity(ids.len());
    if aside {
        session.drop_sequence(SCRATCH);
    } else {
        session.reuse_at_most(ids, 0, &[]);
    }
    let width = usize::try_from(session.model().model.n_embd()).unwrap_or_default();
    // The last block computes only the rows whose logits are asked for.
    for slice in ids.chunks(session.most_rows()) {
        let start = all.len();
        session.probe().plan(Plan { residuals: true, ..Plan::default() });
        let decoded = if aside {
            session.decode_on(SCRATCH, start, slice, Rows::All)
        } else {
            session.append(slice, Rows::All)
        };
        session.probe().plan(Plan::default());
        decoded.map_err(failed)?;
        let captured = session.probe().take();
        let after = captured.layers.get(layer as usize).map(|layer| layer.after.as_slice());
        let after = after.filter(|after| after.len() == width * slice.len()).ok_or_else(|| {
            other("This model's graph does not name its residual stream, so it cannot be steered.")
        })?;
        all.extend(after.chunks(width).map(<[f32]>::to_vec));
        progress(all.len() as u32);
    }
    if all.len() > 1 {
        all.remove(0);
    }
    Ok(all)
}

//! A direction to steer along: the mean residual stream of one text less that of another, after one block.
//!
//! Invariant: both texts are read without any changes on a [lane](crate::engine::session::Lane); the chat's sequence
//! stays as it was where they fit beside it.

use std::time::Instant;

use super::inspect::failed;
use crate::engine::analysis::other;
use crate::engine::milliseconds;
use crate::engine::model::changes;
use crate::engine::probe::Plan;
use crate::engine::prompt::encode;
use crate::engine::protocol::{Directed, Direction, Event, Failure};
use crate::engine::session::{Session, Text};
use crate::inspect::direction;
use crate::token::TokenId;

/// Answers a question for a direction; `emit` gets the progress.
pub fn direct(session: &mut Session, request: &Direction, emit: &dyn Fn(Event)) -> Event {
    let started = Instant::now();
    let found = check(session, request).and_then(|()| find(session, request, emit));
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
        encode::readable(session, ids)?;
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
        stream: direction::mean_length(towards.iter().chain(&away)),
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
    let width = usize::try_from(session.model().model.n_embd()).unwrap_or_default();
    let mut lane = session.lane(Text::from(0, ids, &[]));
    let mut all = Vec::with_capacity(ids.len());
    while lane.at() < ids.len() {
        // The last block computes only the rows whose logits are asked for.
        lane.probe(Plan { residual_of_all: true, ..Plan::default() });
        let read = lane.read_rows(ids.len(), ids.len()).map_err(failed)?;
        let captured = lane.captured();
        let after = captured.layers.get(layer as usize).map(|layer| layer.resid_post.as_slice());
        let after = after.filter(|after| after.len() == width * read.len()).ok_or_else(|| {
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

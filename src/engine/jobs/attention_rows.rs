//! Attention over a stretch of text: a head's matrix, the rollout of all blocks, and the calibration of heads.
//!
//! The stretch is decoded as one batch with the probe on all of its tokens, so a matrix costs as much as reading that
//! stretch again.
//!
//! Invariant: as for [`super::inspect::inspect`]: the text is read on a [lane](crate::engine::session::Lane).

use std::time::Instant;

use super::inspect::failed;
use crate::chat::Intervention;
use crate::engine::analysis::other;
use crate::engine::milliseconds;
use crate::engine::model::changes;
use crate::engine::probe::{Captured, Plan, Rows};
use crate::engine::prompt::encode;
use crate::engine::protocol::{Attend, Attended, Attending, Event, Failure, ROWS};
use crate::engine::session::{Rows as Logits, Session, Text};
use crate::inspect::rollout::rollout;
use crate::inspect::scores::{self, HeadScore, HeadScores};
use crate::token::TokenId;

/// Answers a request for rows; `emit` gets the progress, the answer is returned.
pub fn attend(session: &mut Session, request: &Attend, emit: &dyn Fn(Event)) -> Event {
    let started = Instant::now();
    let read = check(session, request).and_then(|()| rows_of(session, request, emit));
    let ms = milliseconds(started);
    read.map_or_else(Event::Failed, |read| Event::Attended(Box::new(Attended { ms, ..read })))
}

/// Scores every head on a text of random tokens said twice.
pub fn calibrate(session: &mut Session) -> Event {
    let started = Instant::now();
    let model = session.model().clone();
    let ids = scores::probe(&model.vocabulary, model.begin);
    if ids.is_empty() || ids.len() > most_rows(session) {
        return Event::Failed(other("Heads cannot be scored: the vocabulary has too few plain tokens."));
    }
    let plan = Plan { rows: Rows::Every, ..Plan::default() };
    let stretch = Stretch { ids: &ids, interventions: &[], start: 0, keeps: false };
    let captured = match stretch.read(session, plan, &|_| {}) {
        Ok((captured, _)) => captured,
        Err(failure) => return Event::Failed(failure),
    };
    if captured.layers.iter().all(|layer| layer.rows.is_empty()) {
        return Event::Failed(other(NO_WEIGHTS));
    }
    let of = |rows: &Vec<Vec<f32>>| HeadScore::of(rows, scores::HALF);
    let layers = captured.layers.iter().map(|layer| layer.rows.iter().map(of).collect()).collect();
    let ms = milliseconds(started);
    Event::Calibrated(Box::new(HeadScores { layers, ms }))
}

const NO_WEIGHTS: &str = "This model's graph does not show its attention weights.";

fn check(session: &mut Session, request: &Attend) -> Result<(), Failure> {
    if request.ids.is_empty() {
        return Err(other("There is no attention to show: nothing has been read."));
    }
    encode::readable(session, &request.ids)?;
    session.check(&request.interventions)?;
    match request.of {
        Attending::Head(layer, head) => {
            changes::layer(session.model(), layer).and_then(|()| changes::head(session.model(), head))
        }
        Attending::Rollout if request.ids.len() > most_rows(session) => Err(other(format!(
            "The rollout multiplies whole matrices of all layers, so it is made for texts of at most {} tokens; this \
             one has {}.",
            most_rows(session),
            request.ids.len()
        ))),
        Attending::Rollout => Ok(()),
    }
}

/// Most tokens of a batch, which all rows have to be of.
fn most_rows(session: &Session) -> usize {
    session.slice().min(ROWS)
}

fn rows_of(session: &mut Session, request: &Attend, emit: &dyn Fn(Event)) -> Result<Attended, Failure> {
    let ids = &request.ids;
    let start = ids.len().saturating_sub(most_rows(session));
    let rows = match request.of {
        Attending::Head(layer, head) => Rows::Head(layer, head),
        Attending::Rollout => Rows::Mean,
    };
    let stretch = Stretch { ids, interventions: &request.interventions, start, keeps: true };
    let (captured, decoded) = stretch.read(session, Plan { rows, ..Plan::default() }, emit)?;
    let layer = match request.of {
        Attending::Head(layer, _) => layer as usize,
        Attending::Rollout => 0,
    };
    let seen = captured.layers.get(layer).filter(|layer| layer.rows.first().is_some_and(|r| !r.is_empty()));
    let seen = seen.ok_or_else(|| other(captured.missing.first().map_or(NO_WEIGHTS, String::as_str)))?;
    let attended = match request.of {
        Attending::Head(..) => Attended::new(start as u32, &seen.rows[0], seen.seen_from.clone()),
        Attending::Rollout => {
            let blocks = captured.layers.iter().filter_map(|layer| layer.rows.first()).map(Vec::as_slice);
            Attended::new(0, &rollout(blocks), vec![0; ids.len()])
        }
    };
    Ok(Attended { flash: captured.flash, decoded: decoded as u32, ..attended })
}

/// A text whose tokens from `start` on are read as one batch.
struct Stretch<'a> {
    ids: &'a [TokenId],
    interventions: &'a [Intervention],
    start: usize,
    /// Whether more will be asked of the text.
    keeps: bool,
}

impl Stretch<'_> {
    /// What the probe saw of the batch, and how many tokens were decoded in all.
    fn read(
        &self,
        session: &mut Session,
        plan: Plan,
        emit: &dyn Fn(Event),
    ) -> Result<(Captured, usize), Failure> {
        let mut lane = session.lane(Text::from(self.start, self.ids, self.interventions));
        let progress = |done, total| emit(Event::PromptProgress { done: done as u32, total: total as u32 });
        lane.read_to(self.start, progress).map_err(failed)?;
        lane.probe(plan);
        lane.decode_to(self.ids.len(), Logits::Last).map_err(failed)?;
        let captured = lane.captured();
        if self.keeps {
            lane.keep();
        }
        Ok((captured, lane.decoded()))
    }
}

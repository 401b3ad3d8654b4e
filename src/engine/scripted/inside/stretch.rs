//! The made-up attention over a stretch of text: matrices, rollout, scores of heads.
//!
//! Invariant: rows are those of [`super::super::network::heads`], so that the last is the pass's own.

use std::time::Instant;

use super::super::model::{Control, Model};
use super::super::network::{HEADS, LAYERS, heads};
use super::super::vocabulary::BEGIN;
use super::super::{ScriptedOptions, other};
use super::check;
use crate::engine::milliseconds;
use crate::engine::protocol::{Attend, Attended, Attending, Event, Failure, ROWS, Want};
use crate::inspect::rollout::rollout;
use crate::inspect::scores::{self, HALF, HeadScore, HeadScores};
use crate::token::TokenId;

/// What the scores of heads are drawn from.
const KEY: u64 = 11;

impl Model {
    /// Attention over a stretch of text.
    pub(in crate::engine::scripted) fn attend(
        &self,
        request: &Attend,
        options: &ScriptedOptions,
        control: &Control<'_>,
    ) -> Result<Event, Failure> {
        let begun = Instant::now();
        let ids = &request.ids;
        if let Attending::Head(layer, head) = request.of {
            check(
                &Want { rotation: Some((layer, head, 0)), attention: vec![layer], ..Want::default() },
                &[],
                1,
            )?;
        } else if ids.len() > ROWS {
            return Err(other(format!("The rollout is made for texts of at most {ROWS} tokens.")));
        }
        let (reading, decoded) = self.read_aside(ids, options, control)?;
        let key = reading.key();
        let start = ids.len().saturating_sub(ROWS);
        let rows = |layer, head| -> Vec<Vec<f32>> {
            (start..ids.len()).map(|at| heads::read(key, &ids[..=at], layer, head)).collect()
        };
        let attended = match request.of {
            Attending::Head(layer, head) => {
                let seen = (start..ids.len()).map(|at| heads::seen_from(layer, at + 1)).collect();
                Attended::new(start as u32, &rows(layer, head), seen)
            }
            Attending::Rollout => {
                let means: Vec<Vec<Vec<f32>>> = (0..LAYERS).map(|layer| mean(layer, &rows)).collect();
                Attended::new(0, &rollout(means.iter().map(Vec::as_slice)), vec![0; ids.len()])
            }
        };
        let ms = milliseconds(begun);
        Ok(Event::Attended(Box::new(Attended { decoded, ms, ..attended })))
    }

    /// What each head does on random text.
    pub(in crate::engine::scripted) fn calibrate(&self) -> Result<Event, Failure> {
        let begun = Instant::now();
        let ids = scores::probe(&self.pieces.vocabulary, Some(BEGIN));
        if ids.is_empty() {
            return Err(other("Heads cannot be scored: the vocabulary has too few plain tokens.".into()));
        }
        let score = |layer, head| HeadScore::of(&whole(&ids, layer, head), HALF);
        let layers = (0..LAYERS).map(|layer| (0..HEADS).map(|head| score(layer, head)).collect()).collect();
        let ms = milliseconds(begun);
        Ok(Event::Calibrated(Box::new(HeadScores { layers, ms })))
    }
}

fn whole(ids: &[TokenId], layer: u32, head: u32) -> Vec<Vec<f32>> {
    (0..ids.len()).map(|at| heads::read(KEY, &ids[..=at], layer, head)).collect()
}

fn mean(layer: u32, rows: &impl Fn(u32, u32) -> Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let mut mean = rows(layer, 0);
    for other in (1..HEADS).map(|head| rows(layer, head)) {
        for (sum, row) in mean.iter_mut().flatten().zip(other.iter().flatten()) {
            *sum += row;
        }
    }
    mean.iter_mut().flatten().for_each(|sum| *sum /= HEADS as f32);
    mean
}

//! The lens of many passes: the residual stream of all tokens of a batch copied at once, then read in groups.
//!
//! Invariants: the last depth is the model's own output; what is held at a time is bounded by `STREAMS` and
//! `LOGITS`, however long the text. The chat's sequence stays as it was, under the rule of [`super`].

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::score;
use crate::engine::analysis::output::no_numbers;
use crate::engine::analysis::{Inside, logit_lens, other};
use crate::engine::compute::numbers::{self, Reader};
use crate::engine::milliseconds;
use crate::engine::probe::{Captured, Plan};
use crate::engine::prompt::encode;
use crate::engine::protocol::{Depths, Event, Failure};
use crate::engine::session::{Halt, Session, Text};
use crate::inspect::depth::{Depth, DepthCell};
use crate::inspect::lens;
use crate::token::TokenId;

/// Most bytes of residual streams that are copied at once.
const STREAMS: usize = 96 << 20;
/// Most bytes of logits that are worked out at once.
const LOGITS: usize = 24 << 20;
/// Most passes that are read at once, so that their answers come soon.
const PASSES: usize = 32;

const WHAT: &str = "Reading the layers";

/// Judges a text's tokens; `emit` gets everything but the final event, which is returned.
pub fn depths(session: &mut Session, inside: &mut Inside, request: &Depths, emit: &dyn Fn(Event)) -> Event {
    let started = Instant::now();
    let judged = check(session, request).and_then(|()| run(session, inside, request, emit));
    judged.map_or_else(Event::Failed, |decoded| Event::DepthsDone {
        decoded: decoded as u32,
        ms: milliseconds(started),
    })
}

fn check(session: &mut Session, request: &Depths) -> Result<(), Failure> {
    let (from, count) = (request.from as usize, request.ids.len());
    if from == 0 || from >= count {
        return Err(other(format!(
            "There is no token to judge from {from} of {count}: nothing chose a text's first."
        )));
    }
    if count - 1 > session.limit() {
        return Err(encode::too_long(count - 1, session.limit()));
    }
    encode::check(session.model(), &request.ids)?;
    session.check(&request.interventions)
}

/// Gives how many tokens were decoded.
fn run(
    session: &mut Session,
    inside: &mut Inside,
    request: &Depths,
    emit: &dyn Fn(Event),
) -> Result<usize, Failure> {
    let (first, end) = (request.from as usize - 1, request.ids.len() - 1);
    let chunk = chunk(session, inside);
    let mut lane = session.lane(Text::from(first, &request.ids[..end], &request.interventions));
    lane.read_to(first, |_, _| ()).map_err(stopped)?;
    while lane.at() < end {
        lane.probe(Plan { residual_of_all: true, ..Plan::default() });
        let passes = lane.read_rows(end, chunk).map_err(stopped)?;
        let captured = lane.captured();
        let tokens = Judging { session: lane.session(), inside, request }.judge(&captured, &passes)?;
        emit(Event::Depths { first: passes.start as u32 + 1, tokens });
        let (done, total) = ((passes.end - first) as u32, (end - first) as u32);
        emit(Event::PromptProgress { done, total });
    }
    lane.keep();
    Ok(lane.decoded())
}

/// How many passes are read at once.
fn chunk(session: &Session, inside: &Inside) -> usize {
    let facts = &inside.facts;
    let bytes = (facts.layers as usize + 1) * facts.width.max(1) * 4;
    (STREAMS / bytes).clamp(1, PASSES.min(session.most_rows()))
}

/// The passes that were just read.
struct Judging<'a> {
    session: &'a Session,
    inside: &'a mut Inside,
    request: &'a Depths,
}

impl Judging<'_> {
    /// What the depths of these passes say of the tokens they chose.
    fn judge(&mut self, captured: &Captured, passes: &Range<usize>) -> Result<Vec<Depth>, Failure> {
        let chosen = &self.request.ids[passes.start + 1..=passes.end];
        let width = self.inside.facts.width;
        let layers = captured.layers.iter().map(|layer| layer.resid_post.as_slice());
        let mut streams: Vec<&[f32]> = std::iter::once(captured.embedding.as_slice()).chain(layers).collect();
        // The last block's is what the model's own logits were made of.
        streams.truncate(self.inside.facts.layers as usize);
        if streams.len() != self.inside.facts.layers as usize
            || streams.iter().any(|stream| stream.len() != width * passes.len())
        {
            return Err(other(
                "This model's graph does not name its residual stream, so its layers cannot be read.",
            ));
        }
        if self.request.cells { self.every_depth(&streams, chosen) } else { self.decisions(&streams, chosen) }
    }

    /// Every depth's best token.
    fn every_depth(&mut self, streams: &[&[f32]], chosen: &[TokenId]) -> Result<Vec<Depth>, Failure> {
        let width = self.inside.facts.width;
        let mut tokens: Vec<Depth> = chosen.iter().copied().map(Depth::of).collect();
        let mut reader = Reader::default();
        let mut add = |token: &mut Depth, logits: &[f32]| {
            let all = reader.read(logits, 1).ok_or_else(no_numbers)?;
            let best = reader.top().first().ok_or_else(no_numbers)?;
            token.cells.push(DepthCell {
                best: best.id,
                best_logprob: all.logprob(best.logit),
                logprob: all.logprob(logits[token.id.0 as usize]),
            });
            Ok(())
        };
        for stream in streams {
            let columns: Vec<&[f32]> = stream.chunks(width).collect();
            let mut at = 0;
            self.logits(&columns, |logits| {
                at += 1;
                add(&mut tokens[at - 1], logits)
            })?;
        }
        for (row, token) in tokens.iter_mut().enumerate() {
            add(token, self.session.row(row))?;
            let on_top: Vec<bool> = token.cells.iter().skip(1).map(|cell| cell.best == token.id).collect();
            token.decided = lens::decided(&on_top);
        }
        Ok(tokens)
    }

    /// The layers of decision alone: from the last depth down, each token for as long as it stays on top.
    fn decisions(&mut self, streams: &[&[f32]], chosen: &[TokenId]) -> Result<Vec<Depth>, Failure> {
        let width = self.inside.facts.width;
        let last = self.inside.facts.layers - 1;
        let mut tokens: Vec<Depth> = chosen.iter().copied().map(Depth::of).collect();
        let mut open: Vec<usize> = Vec::new();
        for (row, token) in tokens.iter_mut().enumerate() {
            if numbers::likeliest(self.session.row(row)) == token.id {
                token.decided = Some(last);
                open.push(row);
            }
        }
        // `streams` begins with the embedding, which is not a block.
        for (layer, stream) in (0..last).zip(streams.iter().skip(1)).rev() {
            let columns: Vec<&[f32]> =
                open.iter().map(|row| &stream[row * width..(row + 1) * width]).collect();
            let mut on_top = Vec::with_capacity(open.len());
            self.logits(&columns, |logits| {
                on_top.push(numbers::likeliest(logits) == tokens[open[on_top.len()]].id);
                Ok(())
            })?;
            let mut still = on_top.into_iter();
            open.retain(|_| still.next().unwrap_or_default());
            for row in &open {
                tokens[*row].decided = Some(layer);
            }
            if open.is_empty() {
                break;
            }
        }
        Ok(tokens)
    }

    /// The lens's logits of each stream, a bounded group at a time.
    fn logits(
        &mut self,
        columns: &[&[f32]],
        mut each: impl FnMut(&[f32]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let operands = self.session.probe().operands();
        let vocabulary = self.inside.facts.vocabulary;
        let group = (LOGITS / (4 * vocabulary.max(1))).max(1);
        for columns in columns.chunks(group) {
            if self.session.stop_flag().load(Ordering::Relaxed) {
                return Err(stopped(Halt::Cancelled));
            }
            let norm = self
                .inside
                .facts
                .norm
                .clone()
                .ok_or_else(|| other("This model's final norm is not known."))?;
            let logits = logit_lens::logits(self.inside, operands, &norm, columns).map_err(other)?;
            logits.chunks(vocabulary).try_for_each(&mut each)?;
        }
        Ok(())
    }
}

fn stopped(halt: Halt) -> Failure {
    score::stopped(halt, WHAT)
}

//! The likeliest continuations: a beam by cumulative log-probability, one batch a depth, on scratch sequences
//! that share what the chat has read.
//!
//! Invariant: the chat's sequence is as it was, or, where the text shares too little with it to be read beside
//! it, holds the text; the lane gives its sequences back however the beam ended.

use std::time::Instant;

use llama_cpp_2::token::LlamaToken;

use super::score;
use crate::engine::analysis::output::no_numbers;
use crate::engine::compute::numbers::Reader;
use crate::engine::milliseconds;
use crate::engine::model::fit;
use crate::engine::protocol::{Beam, BeamPaths, Event, Failure, FailureKind, Path};
use crate::engine::session::lane::{LAST_SCRATCH, SCRATCH};
use crate::engine::session::{Halt, Item, Lane, Session, Text};
use crate::token::{Candidate, TokenId};

/// Follows a beam; `emit` gets everything but the final event, which is returned.
pub fn beam(session: &mut Session, request: &Beam, emit: &dyn Fn(Event)) -> Event {
    let started = Instant::now();
    match check(session, request).and_then(|depth| follow(session, request, depth, emit)) {
        Ok((paths, decoded)) => {
            Event::BeamPaths(Box::new(BeamPaths { paths, decoded, ms: milliseconds(started) }))
        }
        Err(failure) => Event::Failed(failure),
    }
}

/// How deep the beam may go.
fn check(session: &Session, request: &Beam) -> Result<usize, Failure> {
    score::check(session.model(), &request.ids)?;
    let other = |message: String| Err(Failure { message, kind: FailureKind::Other });
    if !session.has_scratch() {
        let name = "This model keeps its past as one state, not token by token";
        return other(format!("{name}, so several continuations cannot share it: there is no look-ahead."));
    }
    let (width, depth) = (request.width as usize, request.depth as usize);
    if request.ids.is_empty() || width == 0 || depth == 0 {
        return other("A look-ahead needs something to go on from, a width and a depth.".to_string());
    }
    if width > usize::from(LAST_SCRATCH) || width.saturating_mul(depth) > fit::SCRATCH_CELLS as usize {
        return other(format!(
            "A look-ahead of {width} paths, {depth} tokens deep, is too large: at most {LAST_SCRATCH} paths and {} \
             tokens in all.",
            fit::SCRATCH_CELLS
        ));
    }
    let (length, limit) = (request.ids.len(), session.limit());
    if length > limit {
        let message = format!("The text is {length} tokens long; the context has room for {limit}.");
        return Err(Failure { message, kind: FailureKind::ContextFull });
    }
    Ok(depth.min(limit - length + 1))
}

/// A path of the beam and where it is in the cache.
#[derive(Clone, Debug)]
struct Branch {
    tokens: Vec<Candidate>,
    logprob: f64,
    /// Its scratch sequence; `None` once it has ended.
    sequence: Option<u8>,
}

/// A way on: which branch, and by which token. Without one the beam had ended and stays as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Way {
    from: usize,
    token: Option<Candidate>,
    logprob: f64,
}

fn follow(
    session: &mut Session,
    request: &Beam,
    depth: usize,
    emit: &dyn Fn(Event),
) -> Result<(Vec<Path>, u32), Failure> {
    let model = session.model().clone();
    let vocab = model.model.vocab();
    let width = request.width as usize;
    let stopped = |halt: Halt| score::stopped(halt, "Looking ahead");
    // What is far from the chat is read in its place: a path that is taken goes on from there.
    let more = (request.width * request.depth) as usize;
    let most = (fit::SCRATCH_CELLS as usize).saturating_sub(more);
    let mut lane = session.lane(Text { more, most, ..Text::last(&request.ids, &request.interventions) });
    let progress = |done, total| emit(Event::PromptProgress { done: done as u32, total: total as u32 });
    lane.read_all(progress).map_err(stopped)?;
    lane.spread();

    let mut reader = Reader::default();
    let root = Branch { tokens: Vec::new(), logprob: 0.0, sequence: Some(SCRATCH) };
    let mut ways = ways_on(&mut reader, lane.session().logits(), 0, &root, width)?;
    let mut beams = vec![root];
    for level in 1..=depth {
        ways.sort_by(|a, b| b.logprob.total_cmp(&a.logprob));
        ways.truncate(width);
        let ends =
            |way: &Way| level == depth || way.token.is_none_or(|token| vocab.is_eog(LlamaToken(token.id.0)));
        let goes_on: Vec<bool> = ways.iter().map(|way| !ends(way)).collect();
        let sequences = assign(&beams, &ways, &goes_on);
        let place = request.ids.len() + level - 1;
        share(&mut lane, &beams, &ways, &sequences, place);
        beams = ways.iter().zip(&sequences).map(|(way, sequence)| grown(&beams, way, *sequence)).collect();
        ways.clear();

        let items: Vec<Item> = beams
            .iter()
            .filter_map(|beam| {
                Some(Item {
                    sequence: beam.sequence?,
                    position: place,
                    id: beam.tokens.last()?.id,
                    logits: true,
                })
            })
            .collect();
        if items.is_empty() {
            break;
        }
        lane.decode_items(items).map_err(stopped)?;
        let mut row = 0;
        for (index, beam) in beams.iter().enumerate() {
            if beam.sequence.is_some() {
                ways.extend(ways_on(&mut reader, lane.session().row(row), index, beam, width)?);
                row += 1;
            } else {
                ways.push(Way { from: index, token: None, logprob: beam.logprob });
            }
        }
    }
    Ok((beams.into_iter().map(|beam| Path { tokens: beam.tokens }).collect(), lane.decoded() as u32))
}

fn ways_on(
    reader: &mut Reader,
    logits: &[f32],
    from: usize,
    beam: &Branch,
    width: usize,
) -> Result<Vec<Way>, Failure> {
    let distribution = reader.read(logits, width).ok_or_else(no_numbers)?;
    let way = |id: TokenId, logprob: f32| Way {
        from,
        token: Some(Candidate { id, logprob }),
        logprob: beam.logprob + f64::from(logprob),
    };
    Ok(reader.top().iter().map(|scored| way(scored.id, distribution.logprob(scored.logit))).collect())
}

/// The sequence of each way that goes on: the first takes over its beam's, the others get one that is free.
fn assign(beams: &[Branch], ways: &[Way], goes_on: &[bool]) -> Vec<Option<u8>> {
    let mut sequences = vec![None; ways.len()];
    let mut taken_over = Vec::new();
    for (sequence, (way, goes_on)) in sequences.iter_mut().zip(ways.iter().zip(goes_on)) {
        let own = beams[way.from].sequence;
        if *goes_on && !taken_over.contains(&own) {
            taken_over.push(own);
            *sequence = own;
        }
    }
    let mut free = (SCRATCH..=LAST_SCRATCH).filter(|sequence| !taken_over.contains(&Some(*sequence)));
    for (sequence, goes_on) in sequences.iter_mut().zip(goes_on) {
        if *goes_on && sequence.is_none() {
            *sequence = free.next();
        }
    }
    sequences
}

/// Copies the cache for ways that did not take over their beam's sequence; `length` is what each beam holds.
fn share(lane: &mut Lane<'_>, beams: &[Branch], ways: &[Way], sequences: &[Option<u8>], length: usize) {
    for (way, to) in ways.iter().zip(sequences) {
        if let (Some(from), Some(to)) = (beams[way.from].sequence, *to)
            && from != to
        {
            lane.fork(from, to, length);
        }
    }
}

fn grown(beams: &[Branch], way: &Way, sequence: Option<u8>) -> Branch {
    let mut tokens = beams[way.from].tokens.clone();
    tokens.extend(way.token);
    Branch { tokens, logprob: way.logprob, sequence }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beam(sequence: Option<u8>) -> Branch {
        Branch { tokens: Vec::new(), logprob: 0.0, sequence }
    }

    fn check(held: &[Option<u8>], from: &[usize], goes_on: &[bool], expected: &[Option<u8>]) {
        let beams: Vec<Branch> = held.iter().map(|sequence| beam(*sequence)).collect();
        let ways: Vec<Way> = from.iter().map(|from| Way { from: *from, token: None, logprob: 0.0 }).collect();
        assert_eq!(assign(&beams, &ways, goes_on), expected, "{held:?} {from:?} {goes_on:?}");
    }

    #[test]
    fn a_way_takes_over_its_beams_sequence_and_twins_get_free_ones() {
        check(&[Some(1)], &[0, 0, 0], &[true; 3], &[Some(1), Some(2), Some(3)]);
        check(&[Some(1), Some(2), Some(3)], &[2, 2, 0], &[true; 3], &[Some(3), Some(2), Some(1)]);
        check(&[Some(1), Some(2)], &[1, 1], &[true; 2], &[Some(2), Some(1)]);
    }

    #[test]
    fn a_way_that_ends_needs_no_sequence() {
        check(&[Some(1), None], &[0, 1, 0], &[false, false, true], &[None, None, Some(1)]);
        check(&[Some(4)], &[0, 0], &[false; 2], &[None, None]);
    }

    #[test]
    fn the_widest_beam_has_sequences_enough() {
        let held: Vec<Option<u8>> = (SCRATCH..=LAST_SCRATCH).map(Some).collect();
        let beams: Vec<Branch> = held.iter().map(|sequence| beam(*sequence)).collect();
        let ways = [Way { from: 7, token: None, logprob: 0.0 }; LAST_SCRATCH as usize];
        let mut given = assign(&beams, &ways, &[true; LAST_SCRATCH as usize]);
        assert_eq!(given[0], Some(8));
        given.sort();
        assert_eq!(given, held);
    }
}

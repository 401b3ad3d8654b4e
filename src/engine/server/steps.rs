//! A step of the protocol from a token that a server told, for replies and for texts that are scored.
//!
//! Invariant: candidates have an id or a stand-in, each once and the likeliest first; a rank that the server does not say is
//! given only where the token's place among them leaves no doubt.

use tokio_util::sync::CancellationToken;

use super::model::Model;
use super::told::{Choice, Told};
use crate::token::{Candidate, Step, TokenId};

/// A step of which nothing is known.
pub fn unknown() -> Step {
    Step { logprob: f32::NAN, entropy: f32::NAN, ..Step::default() }
}

/// A token as the protocol has it, but for its bytes, with at most `asked` candidates; and the watched ones.
pub async fn step(
    model: &Model,
    told: &Told,
    asked: usize,
    cancel: &CancellationToken,
) -> (Step, Vec<(Candidate, u32)>) {
    let mut top: Vec<&Choice> = told.top.iter().filter(|choice| !choice.logprob.is_nan()).collect();
    top.sort_by(|a, b| b.logprob.total_cmp(&a.logprob));
    let all: Vec<&Choice> =
        std::iter::once(&told.chosen).chain(top.iter().copied()).chain(&told.watched).collect();
    let ids = model.settle(&all, cancel).await;
    let (own, others) = (ids[0], &ids[1..]);
    let mut candidates = candidates(&top, &others[..top.len()]);
    // One more than were asked for is the token itself, which ranks nowhere among them.
    candidates.truncate(asked);
    let watched =
        told.watched.iter().zip(&others[top.len()..]).filter(|(choice, _)| !choice.logprob.is_nan());
    let watched =
        watched.filter_map(|(choice, id)| Some((Candidate { id: (*id)?, logprob: choice.logprob }, 0)));
    let rank = if told.rank > 0 { told.rank } else { rank(own, &candidates, asked) };
    let watched = watched.collect();
    (Step { id: own, logprob: told.chosen.logprob, rank, candidates, ..unknown() }, watched)
}

/// Candidates with ids, each once.
fn candidates(top: &[&Choice], ids: &[Option<TokenId>]) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = Vec::with_capacity(top.len());
    for (choice, id) in top.iter().zip(ids) {
        let Some(id) = *id else { continue };
        if !all.iter().any(|other| other.id == id) {
            all.push(Candidate { id, logprob: choice.logprob });
        }
    }
    all
}

/// A token's rank, where its place among the candidates tells it: at the very last one it may stand only because it was
/// drawn.
fn rank(own: Option<TokenId>, candidates: &[Candidate], asked: usize) -> u32 {
    let place = candidates.iter().position(|candidate| Some(candidate.id) == own);
    let sure = |place: &usize| place + 1 < asked.max(2) && place + 1 < candidates.len().max(2);
    place.filter(sure).map_or(0, |place| place as u32 + 1)
}

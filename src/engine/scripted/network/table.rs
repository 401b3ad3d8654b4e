//! The made-up embedding table: words that begin alike lie near each other.
//!
//! Invariant: every figure is worked out from the same rows.

use std::time::Instant;

use super::super::hash::{mix, unit};
use super::super::vocabulary::token;
use crate::engine::milliseconds;
use crate::engine::protocol::Embed;
use crate::inspect::embedding::{cosine, cosines, dot, map, norm};
use crate::inspect::trace::EmbeddingFacts;
use crate::token::{TokenId, Vocabulary};

/// Length of a row.
const LENGTH: usize = 64;

/// A token's row: what is its own, and what it shares with the words that begin with the same letter.
fn row(vocabulary: &Vocabulary, id: TokenId) -> Vec<f32> {
    let bytes = vocabulary.bytes(id).unwrap_or_default();
    let first = bytes.iter().find(|byte| **byte != b' ').copied().unwrap_or_default();
    let value = |of: u64, dim: u64| 2.0 * unit(mix(mix(of) ^ dim)) - 1.0;
    let (own, shared) = (1_000 + u64::from(id.0.unsigned_abs()), u64::from(first.to_ascii_lowercase()));
    (0..LENGTH as u64).map(|dim| 0.12 * (value(own, dim) + value(shared, dim))).collect()
}

/// Answers a question to the table.
pub(in crate::engine::scripted) fn embed(vocabulary: &Vocabulary, request: &Embed) -> EmbeddingFacts {
    let begun = Instant::now();
    let mut target = vec![0.0_f32; LENGTH];
    for (id, sign) in &request.sum {
        target.iter_mut().zip(row(vocabulary, *id)).for_each(|(sum, value)| *sum += sign * value);
    }
    let length = norm(&target);
    let near = |index: usize| {
        let row = row(vocabulary, token(index));
        (token(index), cosine(dot(&row, &target), length, norm(&row)))
    };
    let mut neighbours: Vec<(TokenId, f32)> = (0..vocabulary.len()).map(near).collect();
    neighbours.retain(|(id, _)| !request.sum.iter().any(|(asked, _)| asked == id));
    neighbours.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    neighbours.truncate(request.neighbours as usize);
    let rows = |ids: &[TokenId]| ids.iter().flat_map(|id| row(vocabulary, *id)).collect::<Vec<f32>>();
    let span = rows(&request.span);
    let mut mapped = if request.map.is_empty() { request.span.clone() } else { request.map.clone() };
    if request.map_neighbours {
        mapped.extend(neighbours.iter().map(|(id, _)| *id));
    }
    let on_map = map(&rows(&mapped), LENGTH);
    let mut largest: Vec<(u32, f32)> = (0..).zip(target.iter().copied()).collect();
    largest.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    largest.truncate(2);
    let bounds =
        target.iter().fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    EmbeddingFacts {
        norm: length,
        neighbours,
        cosines: cosines(&span, LENGTH),
        // Rows here have no common part, so there is nothing to take off.
        centred: cosines(&span, LENGTH),
        map: on_map.points,
        explained: on_map.explained,
        mapped,
        median: 0.0,
        lengths: (0.4, 0.8),
        values: bounds,
        largest,
        tied: false,
        ms: milliseconds(begun),
    }
}

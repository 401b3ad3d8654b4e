//! Questions to the embedding table: how long a row is, what lies near it, and where a few of them lie to each other.
//!
//! Invariant: every figure that leaves here is worked out from dequantised rows; what a backend multiplies only
//! chooses which rows are worth that. Neighbours are looked for in the whole table.

use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::graph::{Graphs, Operand};
use super::protocol::{Embed, Failure, FailureKind};
use super::weights::{WeightError, Weights};
use crate::inspect::embedding::{self, cosine, dot, norm};
use crate::inspect::trace::EmbeddingFacts;
use crate::token::TokenId;

/// The table's name in the file.
pub const TABLE: &str = "token_embd.weight";
/// How many tokens a span may have.
pub const MAX_SPAN: usize = 512;
/// Threads that go through the table at most; more wait for memory alone.
const MAX_THREADS: usize = 16;

/// The embedding table of a loaded model; what each question needs again is kept.
pub struct Table {
    weights: Arc<Weights>,
    /// Length of each row; empty until first needed.
    norms: Vec<f32>,
}

impl Table {
    /// The table in these weights; nothing is read yet.
    #[must_use]
    pub fn new(weights: Arc<Weights>) -> Self {
        Self { weights, norms: Vec::new() }
    }

    fn norms(&mut self, rows: usize) -> Result<&[f32], WeightError> {
        if self.norms.is_empty() {
            self.norms = each_row(&self.weights, rows, norm)?;
        }
        Ok(&self.norms)
    }
}

/// Answers a question. With the table as an operand neighbours come in a fraction of the time.
///
/// # Errors
/// Where the model has no such table or token, or its file cannot be read.
pub fn embed(
    table: &mut Table,
    operand: Option<(&mut Graphs, Operand)>,
    request: &Embed,
) -> Result<EmbeddingFacts, Failure> {
    let begun = Instant::now();
    let weights = Arc::clone(&table.weights);
    let (length, rows) = weights
        .shape(TABLE)
        .ok_or_else(|| failure("This model's file has no embedding table.".to_owned()))?;
    if request.span.len() > MAX_SPAN {
        return Err(failure(format!("A map shows at most {MAX_SPAN} tokens. Choose a shorter stretch.")));
    }
    let row = |id: TokenId| match usize::try_from(id.0) {
        Ok(at) if at < rows => weights.row(TABLE, at).map_err(|error| failure(error.to_string())),
        _ => Err(failure(format!("The embedding table has {rows} rows, none for token {}.", id.0))),
    };
    let mut target = vec![0.0; length];
    for (id, sign) in &request.sum {
        target.iter_mut().zip(row(*id)?).for_each(|(sum, value)| *sum += sign * value);
    }
    let mut span = Vec::with_capacity(request.span.len() * length);
    for id in &request.span {
        span.extend(row(*id)?);
    }
    let neighbours =
        neighbours(table, operand, request, &target, rows).map_err(|e| failure(e.to_string()))?;
    let map = embedding::map(&span, length);
    Ok(EmbeddingFacts {
        norm: norm(&target),
        neighbours,
        cosines: embedding::cosines(&span, length),
        map: map.points,
        explained: map.explained,
        ms: begun.elapsed().as_secs_f32() * 1000.0,
    })
}

/// The rows nearest to `target`, nearest first, those of the question left out.
fn neighbours(
    table: &mut Table,
    operand: Option<(&mut Graphs, Operand)>,
    request: &Embed,
    target: &[f32],
    rows: usize,
) -> Result<Vec<(TokenId, f32)>, WeightError> {
    let (wanted, own) = (request.neighbours as usize, norm(target));
    if wanted == 0 || own <= 0.0 {
        return Ok(Vec::new());
    }
    let weights = Arc::clone(&table.weights);
    let rough = operand.and_then(|(graphs, operand)| {
        let fits = operand.shape() == Some((target.len(), rows));
        fits.then(|| graphs.multiply(operand, target).ok()).flatten()
    });
    let exact = rough.is_none();
    let products = match rough {
        Some(products) => products,
        None => each_row(&weights, rows, |row| dot(row, target))?,
    };
    let norms = table.norms(rows)?;
    let near = |at: usize, product: f32| (at, cosine(product, own, norms[at]));
    let asked = |at: usize| request.sum.iter().any(|(id, _)| usize::try_from(id.0) == Ok(at));
    let mut found: Vec<(usize, f32)> = (0..rows).map(|at| near(at, products[at])).collect();
    found.retain(|(at, _)| norms[*at] > 0.0 && !asked(*at));
    keep_nearest(&mut found, if exact { wanted } else { wanted.saturating_mul(4).saturating_add(16) });
    if !exact {
        for (at, cosine) in &mut found {
            *cosine = near(*at, dot(&weights.row(TABLE, *at)?, target)).1;
        }
        keep_nearest(&mut found, wanted);
    }
    let id = |at: usize| TokenId(i32::try_from(at).expect("a vocabulary has fewer than 2^31 tokens"));
    Ok(found.into_iter().map(|(at, cosine)| (id(at), cosine)).collect())
}

/// Keeps the `count` with the largest cosines, largest first, lower ids before higher where they are equal.
fn keep_nearest(found: &mut Vec<(usize, f32)>, count: usize) {
    let order = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if count < found.len() {
        found.select_nth_unstable_by(count, order);
        found.truncate(count);
    }
    found.sort_unstable_by(order);
}

/// A figure of each row of the table, several threads side by side.
fn each_row(
    weights: &Weights,
    rows: usize,
    figure: impl Fn(&[f32]) -> f32 + Sync,
) -> Result<Vec<f32>, WeightError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let share = rows.div_ceil(threads).max(1);
    let length = weights.shape(TABLE).map_or(1, |shape| shape.0);
    let some = |range: Range<usize>| {
        let mut out = Vec::with_capacity(range.len());
        weights
            .scan(TABLE, range, |_, values| out.extend(values.chunks_exact(length).map(&figure)))
            .map(|()| out)
    };
    thread::scope(|scope| {
        let parts: Vec<_> = (0..rows)
            .step_by(share)
            .map(|first| scope.spawn(move || some(first..(first + share).min(rows))))
            .collect();
        let mut out = Vec::with_capacity(rows);
        for part in parts {
            out.extend(part.join().expect("arithmetic on rows does not panic")?);
        }
        Ok(out)
    })
}

fn failure(message: String) -> Failure {
    Failure { message, kind: FailureKind::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first_and_equal_ones_by_id() {
        let mut found = vec![(0, 0.2), (1, 0.9), (2, -1.0), (3, 0.9), (4, 0.5)];
        keep_nearest(&mut found, 3);
        assert_eq!(found, [(1, 0.9), (3, 0.9), (4, 0.5)]);
        keep_nearest(&mut found, 10);
        assert_eq!(found.len(), 3);
    }
}

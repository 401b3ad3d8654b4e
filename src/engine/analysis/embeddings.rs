//! Questions to the embedding table: how long a row is, what lies near it, and where a few of them lie to each other.
//!
//! Invariant: every figure that leaves here is worked out from dequantised rows; what a backend multiplies only
//! chooses which rows are worth that. Neighbours are looked for in the whole table.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::engine::compute::graph::{Graphs, Operand};
use crate::engine::compute::parallel;
use crate::engine::milliseconds;
use crate::engine::model::weights::{WeightError, Weights};
use crate::engine::protocol::{Embed, Failure, FailureKind};
use crate::inspect::embedding::{self, cosine, dot, norm};
use crate::inspect::trace::EmbeddingFacts;
use crate::token::TokenId;

/// The table's name in the file.
pub const TABLE: &str = "token_embd.weight";
/// How many tokens a span may have.
pub const MAX_SPAN: usize = 512;

/// The embedding table of a loaded model; what each question needs again is kept.
pub struct Table {
    weights: Arc<Weights>,
    /// What is known of all rows together, once it was needed.
    survey: Option<Arc<Survey>>,
}

/// The table as a whole.
struct Survey {
    /// Length of each row.
    norms: Vec<f32>,
    /// The mean row; empty until it was needed.
    mean: Vec<f32>,
    /// The shortest length that is not nothing, and the longest.
    lengths: (f32, f32),
}

impl Table {
    /// The table in these weights; nothing is read yet.
    #[must_use]
    pub fn new(weights: Arc<Weights>) -> Self {
        Self { weights, survey: None }
    }

    /// `mean` says whether the mean row is needed.
    fn survey(&mut self, length: usize, rows: usize, mean: bool) -> Result<Arc<Survey>, WeightError> {
        if let Some(known) = self.survey.as_ref().filter(|known| !mean || !known.mean.is_empty()) {
            return Ok(Arc::clone(known));
        }
        let survey = Arc::new(survey(&self.weights, length, rows, mean)?);
        self.survey = Some(Arc::clone(&survey));
        Ok(survey)
    }
}

/// Goes through the whole table once.
fn survey(weights: &Weights, length: usize, rows: usize, mean: bool) -> Result<Survey, WeightError> {
    let summed = if mean { length } else { 0 };
    let parts = parallel::shares(rows, |range| {
        let (mut norms, mut sums) = (Vec::with_capacity(range.len()), vec![0.0_f32; summed]);
        weights
            .scan(TABLE, range, |_, values| {
                for row in values.chunks_exact(length) {
                    norms.push(norm(row));
                    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
                }
            })
            .map(|()| (norms, sums))
    });
    let mut norms = Vec::with_capacity(rows);
    let mut mean = vec![0.0_f32; summed];
    for part in parts {
        let (part, sums) = part?;
        norms.extend(part);
        mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean += sum / rows.max(1) as f32);
    }
    let there = norms.iter().copied().filter(|norm| *norm > 0.0);
    let lengths = there.fold((f32::MAX, 0.0_f32), |(least, most), norm| (least.min(norm), most.max(norm)));
    let lengths = if lengths.0 > lengths.1 { (0.0, 0.0) } else { lengths };
    Ok(Survey { norms, mean, lengths })
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
    if request.span.len().max(request.map.len()) > MAX_SPAN {
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
    let rows_of = |ids: &[TokenId]| -> Result<Vec<f32>, Failure> {
        let mut out = Vec::with_capacity(ids.len() * length);
        ids.iter().try_for_each(|id| row(*id).map(|values| out.extend(values)))?;
        Ok(out)
    };
    let unread = |error: WeightError| failure(error.to_string());
    let survey = table.survey(length, rows, !request.span.is_empty()).map_err(unread)?;
    let (neighbours, median) = neighbours(&weights, &survey, operand, request, &target).map_err(unread)?;
    let span = rows_of(&request.span)?;
    let mapped = mapped(request, &neighbours);
    let map = embedding::map(&rows_of(&mapped)?, length);
    let centred: Vec<f32> = span
        .chunks_exact(length)
        .flat_map(|row| row.iter().zip(&survey.mean).map(|(value, mean)| value - mean))
        .collect();
    let bounds =
        target.iter().fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    Ok(EmbeddingFacts {
        norm: norm(&target),
        neighbours,
        cosines: embedding::cosines(&span, length),
        centred: embedding::cosines(&centred, length),
        map: map.points,
        explained: map.explained,
        mapped,
        median,
        lengths: survey.lengths,
        values: bounds,
        largest: largest(&target),
        tied: weights.output_name() == TABLE,
        ms: milliseconds(begun),
    })
}

/// The tokens of the map, each once.
fn mapped(request: &Embed, neighbours: &[(TokenId, f32)]) -> Vec<TokenId> {
    let chosen = if request.map.is_empty() { &request.span } else { &request.map };
    let near = neighbours.iter().map(|(id, _)| *id).filter(|_| request.map_neighbours);
    let mut seen = BTreeSet::new();
    chosen.iter().copied().chain(near).filter(|id| seen.insert(*id)).collect()
}

/// The two dimensions with the largest numbers.
fn largest(row: &[f32]) -> Vec<(u32, f32)> {
    let mut all: Vec<(u32, f32)> = (0..).zip(row.iter().copied()).collect();
    all.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    all.truncate(2);
    all
}

/// The rows nearest to `target`, nearest first, those of the question left out; and the median cosine of all.
fn neighbours(
    weights: &Weights,
    survey: &Survey,
    operand: Option<(&mut Graphs, Operand)>,
    request: &Embed,
    target: &[f32],
) -> Result<(Vec<(TokenId, f32)>, f32), WeightError> {
    let (norms, rows) = (survey.norms.as_slice(), survey.norms.len());
    let (wanted, own) = (request.neighbours as usize, norm(target));
    if wanted == 0 || own <= 0.0 {
        return Ok((Vec::new(), 0.0));
    }
    let rough = operand.and_then(|(graphs, operand)| {
        let fits = operand.shape() == Some((target.len(), rows));
        fits.then(|| graphs.multiply(operand, target).ok()).flatten()
    });
    let exact = rough.is_none();
    let products = match rough {
        Some(products) => products,
        None => each_row(weights, rows, |row| dot(row, target))?,
    };
    let near = |at: usize, product: f32| (at, cosine(product, own, norms[at]));
    let asked = |at: usize| request.sum.iter().any(|(id, _)| usize::try_from(id.0) == Ok(at));
    let mut found: Vec<(usize, f32)> = (0..rows).map(|at| near(at, products[at])).collect();
    found.retain(|(at, _)| norms[*at] > 0.0 && !asked(*at));
    let middle = found.len() / 2;
    let median = match found.len() {
        0 => 0.0,
        _ => found.select_nth_unstable_by(middle, |a, b| a.1.total_cmp(&b.1)).1.1,
    };
    keep_nearest(&mut found, if exact { wanted } else { wanted.saturating_mul(4).saturating_add(16) });
    if !exact {
        for (at, cosine) in &mut found {
            *cosine = near(*at, dot(&weights.row(TABLE, *at)?, target)).1;
        }
        keep_nearest(&mut found, wanted);
    }
    let id = |at: usize| TokenId(i32::try_from(at).expect("a vocabulary has fewer than 2^31 tokens"));
    Ok((found.into_iter().map(|(at, cosine)| (id(at), cosine)).collect(), median))
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
    let length = weights.shape(TABLE).map_or(1, |shape| shape.0);
    let parts = parallel::shares(rows, |range| {
        let mut out = Vec::with_capacity(range.len());
        weights
            .scan(TABLE, range, |_, values| out.extend(values.chunks_exact(length).map(&figure)))
            .map(|()| out)
    });
    Ok(parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
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

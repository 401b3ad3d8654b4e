//! Arithmetic on one token's attention: from cells to positions, and the weights that flash attention does not keep.
//!
//! Invariant: a row has one entry a position, from 0 to the token's own.

use crate::engine::compute::parallel;
use crate::inspect::embedding::dot;

/// A row over cells as a row over positions up to `last`, each value times `factor`. `places` has the position of each
/// cell; cells of no visible position have one beyond.
pub(super) fn by_position(row: &[f32], places: &[usize], last: usize, factor: f32) -> Vec<f32> {
    let mut sorted = vec![0.0; last + 1];
    for (value, place) in row.iter().zip(places) {
        if let Some(place) = sorted.get_mut(*place) {
            *place += value * factor;
        }
    }
    sorted
}

/// Neighbouring cells that hold neighbouring positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first cell.
    pub cell: usize,
    /// Its position.
    pub position: usize,
    /// How many there are.
    pub count: usize,
}

/// The cells of positions up to `last`, in runs; the other cells are not seen.
pub(super) fn runs(places: &[usize], last: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (cell, position) in places.iter().copied().enumerate().filter(|(_, position)| *position <= last) {
        match runs.last_mut() {
            Some(run) if cell == run.cell + run.count && position == run.position + run.count => {
                run.count += 1;
            }
            _ => runs.push(Run { cell, position, count: 1 }),
        }
    }
    runs
}

/// A row over positions up to `last` of cells in runs; `read` gives the values of so many cells from one on.
pub(super) fn of_runs(runs: &[Run], last: usize, read: impl Fn(usize, usize) -> Vec<f32>) -> Vec<f32> {
    if let [Run { cell, position: 0, count }] = *runs
        && count == last + 1
    {
        return read(cell, count);
    }
    let mut row = vec![0.0; last + 1];
    for run in runs {
        let values = read(run.cell, run.count);
        row[run.position..].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    row
}

/// How many positions back a token sees, itself included, where the mask hides some that it has read.
pub(super) fn window(seen: impl Iterator<Item = usize>, last: usize) -> Option<u32> {
    let first = seen.min()?;
    (first > 0).then(|| (last + 1 - first) as u32)
}

/// A token's attention, worked out.
pub(super) struct Attended {
    /// softmax(scale · q·k), `[head][position]`.
    pub weights: Vec<Vec<f32>>,
    /// scale · q·k, `[head][position]`.
    pub scores: Vec<Vec<f32>>,
    /// The share of each head's learned sink; empty without.
    pub sinks: Vec<f32>,
}

/// Attention over the positions `seen`. `query` has a row a head, `keys` of each key-value head one position behind
/// the other; `cap` soft-caps the scores where it is above 0.
pub(super) fn attend(
    query: &[Vec<f32>],
    keys: &[Vec<f32>],
    seen: &[usize],
    last: usize,
    scale: f32,
    cap: f32,
    sinks: Option<&[f32]>,
) -> Attended {
    let group = (query.len() / keys.len().max(1)).max(1);
    let head = |head: usize| {
        let (query, keys) = (&query[head], &keys[(head / group).min(keys.len() - 1)]);
        let mut scores = vec![0.0_f32; last + 1];
        let mut weights = vec![0.0_f32; last + 1];
        let sink = sinks.and_then(|sinks| sinks.get(head)).copied();
        let mut most = sink.unwrap_or(f32::NEG_INFINITY);
        let size = query.len();
        for &at in seen.iter().filter(|at| **at <= last) {
            let key = &keys[at * size..(at + 1) * size];
            let mut score = scale * dot(query, key);
            if cap > 0.0 {
                score = cap * (score / cap).tanh();
            }
            scores[at] = score;
            most = most.max(score);
        }
        let own = sink.map_or(0.0, |sink| f64::from(sink - most).exp());
        let mut sum = own;
        for &at in seen.iter().filter(|at| **at <= last) {
            let weight = f64::from(scores[at] - most).exp();
            weights[at] = weight as f32;
            sum += weight;
        }
        for weight in &mut weights {
            *weight = (f64::from(*weight) / sum) as f32;
        }
        (weights, scores, sink.map(|_| (own / sum) as f32))
    };
    let work = seen.len() * query.iter().map(Vec::len).sum::<usize>();
    let mut all = Attended { weights: Vec::new(), scores: Vec::new(), sinks: Vec::new() };
    for (weights, scores, sink) in parallel::each_worth(work, query.len(), head) {
        all.weights.push(weights);
        all.scores.push(scores);
        all.sinks.extend(sink);
    }
    all
}

/// softmax(scale · q·k) of one head at one token by position up to `last`, out of keys by cell; `places` has the
/// position of each cell, one beyond for those that are not seen; `slope` is taken off for each position of distance. A learned sink takes its share and is not listed.
pub(super) fn attend_cells<'a>(
    query: &[f32],
    key: impl Fn(usize) -> &'a [f32],
    places: &[usize],
    last: usize,
    (scale, cap, slope): (f32, f32, f32),
    sink: Option<f32>,
) -> Vec<f32> {
    let capped = |score: f32| if cap > 0.0 { cap * (score / cap).tanh() } else { score };
    let seen = places.iter().enumerate().filter(|(_, place)| **place <= last);
    let scores: Vec<(usize, f32)> = seen
        .map(|(cell, place)| {
            let score = capped(scale * dot(query, key(cell)));
            (*place, score - slope * (last - place) as f32)
        })
        .collect();
    let most = scores.iter().map(|(_, score)| *score).fold(sink.unwrap_or(f32::NEG_INFINITY), f32::max);
    let exponential = |score: f32| f64::from(score - most).exp();
    let sum = sink.map_or(0.0, exponential) + scores.iter().map(|(_, s)| exponential(*s)).sum::<f64>();
    let mut weights = vec![0.0; last + 1];
    for (place, score) in scores {
        weights[place] = (exponential(score) / sum) as f32;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_positions_and_hidden_ones_are_left_out() {
        let held = [2, usize::MAX, 0, 1, 9];
        let row = by_position(&[0.5, 0.7, 0.2, 0.3, 0.9], &held, 2, 2.0);
        assert_eq!(row, vec![0.4, 0.6, 1.0]);
    }

    #[test]
    fn runs_give_the_row_that_every_cell_by_itself_gives() {
        let nowhere = usize::MAX;
        let row = [0.5, 0.25, 0.125, 0.75, 1.0];
        let check = |places: [usize; 5], count: usize| {
            let runs = runs(&places, 2);
            assert_eq!(runs.len(), count, "{places:?}");
            let read = |cell: usize, count: usize| row[cell..cell + count].to_vec();
            assert_eq!(of_runs(&runs, 2, read), by_position(&row, &places, 2, 1.0), "{places:?}");
        };
        check([0, 1, 2, nowhere, 5], 1);
        check([nowhere, 7, 0, 1, 2], 1);
        check([0, 1, nowhere, 2, 9], 2);
        check([2, 1, 0, nowhere, nowhere], 3);
        check([nowhere, 1, 2, nowhere, nowhere], 1);
        check([nowhere; 5], 0);
    }

    #[test]
    fn a_window_is_told_only_where_something_is_hidden() {
        assert_eq!(window(0..5, 4), None);
        assert_eq!(window(3..10, 9), Some(7));
        assert_eq!(window(std::iter::empty(), 3), None);
    }

    #[test]
    fn keys_by_cell_give_the_same_row_as_keys_by_position() {
        let query = vec![vec![1.0, 0.5]];
        let keys = vec![vec![1.0, 0.0, 0.0, 1.0, 3.0, 3.0]];
        let cells = [[3.0_f32, 3.0], [9.0, 9.0], [1.0, 0.0], [0.0, 1.0]];
        let places = [2, usize::MAX, 0, 1];
        for (cap, sink) in [(0.0, None), (2.0, Some(0.4))] {
            let sinks = sink.map(|sink| vec![sink]);
            let whole = attend(&query, &keys, &[0, 1, 2], 2, 0.5, cap, sinks.as_deref());
            let row = attend_cells(&query[0], |cell| &cells[cell], &places, 2, (0.5, cap, 0.0), sink);
            for (cell, position) in row.iter().zip(&whole.weights[0]) {
                assert!((cell - position).abs() < 1e-6, "{row:?} {:?}", whole.weights);
            }
        }
    }

    #[test]
    fn weights_add_up_to_one_with_the_sink() {
        let query = vec![vec![1.0, 0.0], vec![0.0, 2.0]];
        let keys = vec![vec![1.0, 0.0, 0.0, 1.0, 3.0, 3.0]];
        let plain = attend(&query, &keys, &[0, 1], 2, 0.5, 0.0, None);
        for row in &plain.weights {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6 && row[2] == 0.0);
        }
        assert_eq!(plain.scores[0], vec![0.5, 0.0, 0.0]);
        let ratio = plain.weights[0][0] / plain.weights[0][1];
        assert!((ratio - 0.5_f32.exp()).abs() < 1e-5);
        let sunk = attend(&query, &keys, &[0, 1], 2, 0.5, 0.0, Some(&[1.0, -9.0]));
        for (row, sink) in sunk.weights.iter().zip(&sunk.sinks) {
            assert!((row.iter().sum::<f32>() + sink - 1.0).abs() < 1e-6);
        }
    }
}

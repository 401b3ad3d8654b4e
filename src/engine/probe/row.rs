//! Arithmetic on one token's attention: from cells to positions, and the weights that flash attention does not keep.
//!
//! Invariant: a row has one entry a position, from 0 to the token's own.

/// A row over cells as a row over positions, each value times `factor`; cells that hold no visible position are left
/// out.
pub(super) fn by_position(
    row: &[f32],
    position: impl Fn(usize) -> Option<usize>,
    last: usize,
    factor: f32,
) -> Vec<f32> {
    let mut sorted = vec![0.0; last + 1];
    for (cell, value) in row.iter().enumerate() {
        if let Some(place) = position(cell).and_then(|position| sorted.get_mut(position)) {
            *place += value * factor;
        }
    }
    sorted
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
    let mut all = Attended { weights: Vec::new(), scores: Vec::new(), sinks: Vec::new() };
    for (head, query) in query.iter().enumerate() {
        let keys = &keys[(head / group).min(keys.len() - 1)];
        let mut scores = vec![0.0_f32; last + 1];
        let mut weights = vec![0.0_f32; last + 1];
        let sink = sinks.and_then(|sinks| sinks.get(head)).copied();
        let mut most = sink.unwrap_or(f32::NEG_INFINITY);
        let size = query.len();
        for &at in seen.iter().filter(|at| **at <= last) {
            let key = &keys[at * size..(at + 1) * size];
            let mut score = scale * query.iter().zip(key).map(|(q, k)| q * k).sum::<f32>();
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
        if sink.is_some() {
            all.sinks.push((own / sum) as f32);
        }
        all.weights.push(weights);
        all.scores.push(scores);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_positions_and_hidden_ones_are_left_out() {
        let held = [Some(2), None, Some(0), Some(1), Some(9)];
        let row = by_position(&[0.5, 0.7, 0.2, 0.3, 0.9], |cell| held[cell], 2, 2.0);
        assert_eq!(row, vec![0.4, 0.6, 1.0]);
    }

    #[test]
    fn a_window_is_told_only_where_something_is_hidden() {
        assert_eq!(window(0..5, 4), None);
        assert_eq!(window(3..10, 9), Some(7));
        assert_eq!(window(std::iter::empty(), 3), None);
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

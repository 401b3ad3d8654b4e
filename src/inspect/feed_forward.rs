//! A block's feed-forward as a sum of neurons: how many make half of it, how hard they fire, in which order they are
//! listed.
//!
//! Invariant: edges and orders are fixed; nothing here follows the data.

use serde::{Deserialize, Serialize};

/// Between these activations the bins of [`histogram`] lie: one below the first, one from each on.
pub const EDGES: [f32; 13] = [-10.0, -5.0, -2.0, -1.0, -0.5, -0.2, -0.05, 0.05, 0.2, 0.5, 1.0, 2.0, 5.0];

/// What neurons are sorted by, the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeuronOrder {
    /// |activation|.
    #[default]
    Activation,
    /// The length of what each writes.
    Write,
    /// |push of the chosen token above its rival|.
    Push,
}

/// A block's feed-forward in one line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FfnLayer {
    /// The block.
    pub layer: u32,
    /// ‖·‖ of what the down projection gave, before any norm that follows; in a mixture of what was added.
    pub write: f32,
    /// How many neurons make half of the lengths that all of them write; `None` where that was not worked out.
    pub half: Option<u32>,
    /// How much it pushes the chosen token above its rival, logits, the final norm frozen.
    pub push: Option<f32>,
}

/// How many of the largest make half of the sum.
pub fn half(lengths: impl Iterator<Item = f32>) -> u32 {
    let mut lengths: Vec<f32> = lengths.filter(|length| length.is_finite() && *length > 0.0).collect();
    lengths.sort_unstable_by(|a, b| b.total_cmp(a));
    let whole: f64 = lengths.iter().copied().map(f64::from).sum();
    let mut sum = 0.0;
    let taken = lengths.iter().take_while(|length| {
        let open = sum < whole / 2.0;
        sum += f64::from(**length);
        open
    });
    taken.count() as u32
}

/// How many activations lie in each of the bins between [`EDGES`].
#[must_use]
pub fn histogram(activations: &[f32]) -> Vec<u32> {
    let mut bins = vec![0; EDGES.len() + 1];
    for activation in activations {
        bins[EDGES.partition_point(|edge| edge <= activation)] += 1;
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_made_by_the_fewest() {
        assert_eq!(half([1.0, 5.0, 1.0, 1.0].into_iter()), 1);
        assert_eq!(half([1.0; 6].into_iter()), 3);
        assert_eq!(half([2.0, 1.0, 1.0, 0.5].into_iter()), 2);
        assert_eq!(half([f32::NAN, 0.0].into_iter()), 0);
        assert_eq!(half(std::iter::empty()), 0);
    }

    #[test]
    fn every_activation_is_in_one_bin() {
        let bins = histogram(&[-19.2, -10.0, -0.04, 0.05, 0.1, 5.0, 7.0]);
        assert_eq!(bins, [1, 1, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    }
}

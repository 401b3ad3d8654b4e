//! What a LoRA adapter adds to a weight tensor: the product of two thin matrices, times the adapter's scale.
//!
//! Invariant: a row gets what llama.cpp's graph adds to its product: scale · α ÷ rank · B · A (Hu et al. 2021), or
//! scale · B · A where the file says no α.

use std::sync::Arc;

use crate::model_entry::ModelFile;

/// An adapter's file, and how much of it counts.
#[derive(Clone)]
pub struct Scaled {
    /// The file.
    pub file: Arc<dyn ModelFile>,
    /// The adapter's scale.
    pub scale: f32,
}

impl Scaled {
    /// What the product of halves of that rank is multiplied with.
    pub(super) fn factor(&self, rank: usize) -> f32 {
        let alpha = self.file.number("adapter.lora.alpha").unwrap_or(0.0) as f32;
        if alpha == 0.0 { self.scale } else { self.scale * alpha / rank as f32 }
    }
}

/// What is added to one tensor.
pub(super) struct Delta {
    rank: usize,
    /// What the product is multiplied with.
    scale: f32,
    /// A row of so many values as the rank for each row of the tensor.
    left: Vec<f32>,
    /// For each of its parts (the experts of a mixture, else one) as many rows as the rank, each as long as the tensor's.
    right: Vec<f32>,
    /// Rows of a part.
    part: usize,
    /// Values of a row.
    length: usize,
}

impl Delta {
    /// What the two halves add to a tensor of so many rows of that length, A's values and its rows' length, and B's;
    /// `None` where they do not fit it.
    pub(super) fn new(
        name: &str,
        (a, in_a): (Vec<f32>, usize),
        (b, in_b): (Vec<f32>, usize),
        scale: f32,
        (rows, length): (usize, usize),
    ) -> Option<Self> {
        // Of the embedding table rows are looked up, so its halves stand the other way round.
        let table = name == "token_embd.weight";
        let (left, right, rank) = if table { (a, turned(&b, in_b), in_a) } else { (b, a, in_b) };
        let parts = right.len().checked_div(rank.checked_mul(length)?)?;
        if parts == 0 || left.len() != rows * rank || right.len() != parts * rank * length {
            return None;
        }
        Some(Self { rank, scale, left, right, part: (rows / parts).max(1), length })
    }

    /// Adds to a whole row.
    pub(super) fn add(&self, row: usize, values: &mut [f32]) {
        for (of_left, right) in self.terms(row) {
            values.iter_mut().zip(right).for_each(|(value, along)| *value += of_left * along);
        }
    }

    /// What is added to one value.
    pub(super) fn at(&self, row: usize, column: usize) -> f32 {
        self.terms(row).map(|(of_left, right)| of_left * right[column]).sum()
    }

    /// Adds the product with an input to what the tensor alone gives of it. Nothing of a mixture's: which expert's it
    /// would be is not known here.
    pub(super) fn apply(&self, input: &[f32], output: &mut [f32]) {
        if input.len() != self.length || self.right.len() != self.rank * self.length {
            return;
        }
        let dot = |right: &[f32]| -> f64 {
            right.iter().zip(input).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let within: Vec<f64> = self.right.chunks_exact(self.length).map(dot).collect();
        for (value, left) in output.iter_mut().zip(self.left.chunks_exact(self.rank)) {
            let sum: f64 = left.iter().zip(&within).map(|(a, b)| f64::from(*a) * b).sum();
            *value += (f64::from(self.scale) * sum) as f32;
        }
    }

    fn terms(&self, row: usize) -> impl Iterator<Item = (f32, &[f32])> {
        let left = &self.left[row * self.rank..][..self.rank];
        let first = row / self.part * self.rank * self.length;
        let right = self.right[first..].chunks_exact(self.length);
        left.iter().map(|value| self.scale * value).zip(right)
    }
}

/// Rows of that length as columns.
fn turned(values: &[f32], length: usize) -> Vec<f32> {
    (0..length).flat_map(|column| values.iter().skip(column).step_by(length.max(1))).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gets_its_share_of_the_product() {
        // Two rows of three values, rank 2.
        let (a, b) = (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![1.0, 10.0, 0.0, -1.0]);
        let delta = Delta::new("x", (a, 3), (b, 2), 0.5, (2, 3)).unwrap();
        let mut row = vec![100.0; 3];
        delta.add(0, &mut row);
        assert_eq!(row, [120.5, 126.0, 131.5]);
        assert_eq!((delta.at(0, 2), delta.at(1, 0)), (31.5, -2.0));
        let mut product = vec![0.0; 2];
        delta.apply(&[1.0, 0.0, 2.0], &mut product);
        assert_eq!(product, vec![20.5 + 2.0 * 31.5, -2.0 + 2.0 * delta.at(1, 2)]);
    }

    #[test]
    fn each_expert_has_its_own() {
        // Two experts of one row each, rank 1.
        let delta =
            Delta::new("x", (vec![1.0, 2.0, 3.0, 4.0], 2), (vec![1.0, 10.0], 1), 1.0, (2, 2)).unwrap();
        let all = vec![delta.at(0, 0), delta.at(0, 1), delta.at(1, 0), delta.at(1, 1)];
        assert_eq!(all, vec![1.0, 2.0, 30.0, 40.0]);
    }

    #[test]
    fn of_the_table_the_halves_are_turned() {
        // Three tokens of two values, rank 1: A holds a number a token, B one a value.
        let halves = ((vec![1.0, 2.0, 3.0], 1), (vec![10.0, 20.0], 1));
        let delta = Delta::new("token_embd.weight", halves.0, halves.1, 1.0, (3, 2)).unwrap();
        assert_eq!((delta.at(2, 0), delta.at(1, 1)), (30.0, 40.0));
        assert!(Delta::new("x", (vec![1.0; 4], 2), (vec![1.0; 3], 1), 1.0, (2, 2)).is_none());
    }
}

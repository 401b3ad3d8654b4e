//! How long the vectors are that positions add to the stream through a head: `‖a · W_O v‖` (Kobayashi et al. 2020).
//!
//! Invariant: `‖A v‖ = √(vᵀ AᵀA v)`; the products `AᵀA` of a block's heads depend on the file alone, so they are worked
//! out once and kept.

use std::collections::HashMap;
use std::sync::Arc;

use super::facts::Facts;
use crate::engine::compute::parallel;
use crate::engine::model::weights::Weights;
use crate::engine::probe::LayerCapture;
use crate::inspect::embedding::dot;

/// `AᵀA` of the heads of blocks that were asked for.
#[derive(Default)]
pub struct ValueNorms {
    blocks: HashMap<u32, Arc<Vec<Vec<f32>>>>,
}

impl ValueNorms {
    /// `‖a · W_O v‖` of each head by position. Fails where the values or the projection could not be read, in words.
    pub(crate) fn of(
        &mut self,
        weights: &Weights,
        facts: &Facts,
        layer: &LayerCapture,
        number: u32,
    ) -> Result<Vec<Vec<f32>>, String> {
        if layer.values.is_empty() {
            return Err("the values could not be read from the cache".into());
        }
        if layer.altered {
            return Err("the heads are gated or normed before they are projected".into());
        }
        let grams = self.block(weights, facts.heads as usize, number)?;
        let group = (facts.heads / facts.kv_heads).max(1) as usize;
        let heads: Vec<Head<'_>> = layer
            .pattern
            .iter()
            .zip(grams.iter())
            .enumerate()
            .map(|(head, (weights, gram))| Head {
                weights,
                gram,
                values: layer.values.get(head / group).map_or(&[], Vec::as_slice),
            })
            .collect();
        Ok(parallel::each(heads.len(), |head| heads[head].lengths()))
    }

    fn block(&mut self, weights: &Weights, heads: usize, number: u32) -> Result<Arc<Vec<Vec<f32>>>, String> {
        if let Some(known) = self.blocks.get(&number) {
            return Ok(Arc::clone(known));
        }
        let name = format!("blk.{number}.attn_output.weight");
        let (inputs, _) = weights.shape(&name).ok_or_else(|| format!("the file has no {name}"))?;
        let matrix = weights.vector(&name).map_err(|error| error.to_string())?;
        let size = inputs / heads.max(1);
        let grams = parallel::each(heads, |head| gram(&matrix, inputs, head * size, size));
        let grams = Arc::new(grams);
        self.blocks.insert(number, Arc::clone(&grams));
        Ok(grams)
    }
}

/// A head's weights by position, its `AᵀA`, and the values it mixes, one position after the other.
struct Head<'a> {
    weights: &'a [f32],
    gram: &'a [f32],
    values: &'a [f32],
}

impl Head<'_> {
    fn lengths(&self) -> Vec<f32> {
        let size = self.gram.len().isqrt();
        if size == 0 || self.values.is_empty() {
            return Vec::new();
        }
        let values = self.values.chunks_exact(size);
        let length = |value: &[f32]| {
            let square: f32 =
                self.gram.chunks_exact(size).zip(value).map(|(line, factor)| factor * dot(line, value)).sum();
            square.max(0.0).sqrt()
        };
        let weighted = |(weight, value): (&f32, &[f32])| {
            if *weight == 0.0 { 0.0 } else { weight * length(value) }
        };
        self.weights.iter().zip(values).map(weighted).collect()
    }
}

/// `AᵀA` of the columns `from..from + size` of a matrix of rows of `inputs`.
fn gram(matrix: &[f32], inputs: usize, from: usize, size: usize) -> Vec<f32> {
    let mut gram = vec![0.0_f32; size * size];
    for row in matrix.chunks(inputs) {
        let slice = &row[from..from + size];
        for (line, factor) in gram.chunks_mut(size).zip(slice) {
            line.iter_mut().zip(slice).for_each(|(sum, value)| *sum += factor * value);
        }
    }
    gram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_through_the_product_is_the_length_of_the_vector() {
        // Two heads of two inputs, three outputs.
        let matrix = [1.0, 2.0, 0.5, 0.0, -1.0, 0.0, 0.0, 3.0, 0.0, 1.0, 1.0, -1.0];
        for head in 0..2 {
            let gram = gram(&matrix, 4, head * 2, 2);
            let values = [0.5, -2.0, 3.0, 1.0];
            let lengths = Head { weights: &[0.25, 0.75], gram: &gram, values: &values }.lengths();
            for (at, weight) in [0.25_f32, 0.75].into_iter().enumerate() {
                let value = &values[2 * at..2 * at + 2];
                let through = |row: &[f32]| row[head * 2] * value[0] + row[head * 2 + 1] * value[1];
                let length = matrix.chunks(4).map(|row| through(row).powi(2)).sum::<f32>().sqrt();
                assert!((lengths[at] - weight * length).abs() < 1e-5);
            }
        }
    }
}

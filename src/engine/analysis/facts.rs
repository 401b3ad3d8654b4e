//! The numbers of a model's shape that opening a pass needs, from its file.
//!
//! Invariant: what the file does not say is asked of llama.cpp or left out, never assumed.

use super::other;
use crate::engine::model::loaded::LoadedModel;
use crate::engine::model::weights::Weights;
use crate::engine::protocol::Failure;
use crate::inspect::lens::Norm;

/// Shape and constants of the loaded model.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Blocks.
    pub layers: u32,
    /// Query heads of a block.
    pub heads: u32,
    /// Key-value heads of a block.
    pub kv_heads: u32,
    /// Length of the residual stream.
    pub width: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// The final norm; `None` where the file has none that is known.
    pub norm: Option<Norm>,
    /// Bias on the logits.
    pub output_bias: Vec<f32>,
    /// Added inside the roots of norms.
    pub epsilon: f32,
    /// Whether norms take the mean away.
    pub layer_norm: bool,
    /// What everything that a block adds is multiplied with; some models have such a number.
    pub residual_scale: f32,
}

impl Facts {
    /// Reads them. Fails where the file's weights cannot be read.
    pub fn read(model: &LoadedModel, weights: &Weights) -> Result<Self, Failure> {
        let vector = |name: &str| -> Result<Vec<f32>, Failure> {
            if weights.has(name) {
                weights.vector(name).map_err(|error| other(error.to_string()))
            } else {
                Ok(Vec::new())
            }
        };
        let rms = weights.number("attention.layer_norm_rms_epsilon");
        let epsilon = rms.or_else(|| weights.number("attention.layer_norm_epsilon")).unwrap_or(1e-5) as f32;
        let weight = vector("output_norm.weight")?;
        let bias = vector("output_norm.bias")?;
        let norm = (!weight.is_empty()).then(|| {
            if rms.is_some() { Norm::Rms { weight, epsilon } } else { Norm::Layer { weight, bias, epsilon } }
        });
        Ok(Self {
            layers: model.model.n_layer(),
            heads: model.model.n_head(),
            kv_heads: model.model.n_head_kv().max(1),
            width: model.model.n_embd().cast_unsigned() as usize,
            vocabulary: model.vocabulary.len(),
            norm,
            output_bias: vector("output.bias")?,
            epsilon,
            layer_norm: rms.is_none(),
            residual_scale: weights.number("residual_scale").unwrap_or(1.0) as f32,
        })
    }

    /// The norm that follows a block's attention or feed-forward before it is added, where there is one.
    pub fn norm_of(&self, weights: &Weights, name: &str) -> Option<Norm> {
        let weight = weights.has(name).then(|| weights.vector(name).ok()).flatten()?;
        let epsilon = self.epsilon;
        Some(if self.layer_norm {
            Norm::Layer { weight, bias: Vec::new(), epsilon }
        } else {
            Norm::Rms { weight, epsilon }
        })
    }
}

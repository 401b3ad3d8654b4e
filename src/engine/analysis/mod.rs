//! Captured tensors to numbers: what a pass that was copied out of the network says.
//!
//! Invariant: nothing here decodes a token or changes the network; what cannot be worked out is said in words.

pub(crate) mod attention;
pub(crate) mod attribution;
pub mod embeddings;
pub(crate) mod facts;
pub(crate) mod head_contribution;
pub(crate) mod head_logits;
pub(crate) mod logit_lens;
pub(crate) mod mlp;
pub(crate) mod neuron_attribution;
pub(crate) mod output;
pub(crate) mod pass;
pub(crate) mod position;
pub(crate) mod residual;
pub(crate) mod token_effects;
pub(crate) mod value_norms;

use std::collections::HashMap;
use std::sync::Arc;

use self::embeddings::Table;
use self::facts::Facts;
use self::value_norms::ValueNorms;
use crate::engine::compute::graph::{Graphs, Operand};
use crate::engine::model::loaded::LoadedModel;
use crate::engine::model::weights::Weights;
use crate::engine::model::weights_delta::Scaled;
use crate::engine::protocol::{Failure, FailureKind};

/// What opening passes needs beside the model; kept between requests.
pub struct Inside {
    /// Single weights.
    pub weights: Arc<Weights>,
    /// The model's own matrices on other inputs.
    pub graphs: Graphs,
    /// Numbers of the model's shape.
    pub facts: Facts,
    /// Lengths of the columns of each block's down projection, once they are known.
    pub column_norms: HashMap<u32, Arc<Vec<f32>>>,
    /// Lengths of the embedding table's rows, once they are known.
    pub table: Table,
    /// How long what heads add is.
    pub value_norms: ValueNorms,
}

impl Inside {
    /// For a loaded model; `threads` compute on the CPU.
    ///
    /// # Errors
    /// Where the model's file cannot be read.
    pub fn new(model: &LoadedModel, threads: u32) -> Result<Self, Failure> {
        Self::adapted(model, threads, Vec::new())
    }

    /// For a loaded model that LoRA adapters change.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn adapted(model: &LoadedModel, threads: u32, adapters: Vec<Scaled>) -> Result<Self, Failure> {
        let file = model.file.get().ok_or_else(|| {
            other("The model's file cannot be read beside the running model, so its inside stays closed. Load it again.")
        })?;
        let weights = Arc::new(Weights::adapted(Arc::clone(file), adapters));
        let facts = Facts::read(model, &weights)?;
        let (table, graphs) = (Table::new(Arc::clone(&weights)), Graphs::new(threads));
        Ok(Self {
            column_norms: HashMap::new(),
            table,
            graphs,
            facts,
            weights,
            value_norms: ValueNorms::default(),
        })
    }
}

impl Inside {
    /// The products of one of the model's own matrices with columns, one after the other, with what adapters add. Fails
    /// in words.
    pub(crate) fn multiplied(
        &mut self,
        name: &str,
        matrix: Operand,
        columns: &[f32],
    ) -> Result<Vec<f32>, String> {
        let mut products = self.graphs.multiply(matrix, columns).map_err(|error| error.to_string())?;
        self.weights.adapt(name, columns, &mut products).map_err(|error| error.to_string())?;
        Ok(products)
    }
}

/// A failure of no special kind.
pub(crate) fn other(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), kind: FailureKind::Other }
}

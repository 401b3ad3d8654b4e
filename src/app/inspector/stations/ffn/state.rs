//! The feed-forward station's own state.
//!
//! Invariant: the scale is the first pass's of a model, whatever comes later.

use crate::inspect::feed_forward::NeuronOrder;

/// Choices of the feed-forward station.
#[derive(Debug, Default)]
pub struct FfnView {
    /// Whether the arrows move in the list of neurons rather than in that of the layers.
    pub on_neurons: bool,
    /// Neurons by their push rather than by what they write.
    pub by_push: bool,
    /// The model, and the longest write that the bars of feed-forwards show: set by its first pass.
    pub write_scale: Option<(String, f32)>,
}

impl FfnView {
    /// What neurons are listed by.
    pub fn neuron_order(&self) -> NeuronOrder {
        if self.by_push { NeuronOrder::Push } else { NeuronOrder::Write }
    }
}

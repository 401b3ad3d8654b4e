//! The feed-forward station: what it asks of a pass, and how its lists are sorted.
//!
//! A block is asked for twice: first its neurons, then what each promotes and suppresses.
//!
//! Invariant: pushes are between the chosen token and its rival of now; bars keep the scale that the model's first
//! pass gave them.

use super::App;
use crate::engine::protocol::{Inspected, Want};
use crate::inspect::feed_forward::NeuronOrder;

/// Neurons that are listed.
pub(super) const NEURONS: usize = 16;

impl App {
    /// What is not known yet of a block's feed-forward; `None` where all is.
    pub(super) fn want_ffn(&self, layer: u32, want: &mut Want) -> Option<()> {
        let order = self.inspector.inside.neuron_order();
        let pair = want.follow.first().copied().zip(want.follow.get(1).copied());
        let seen = self.shown_inside().filter(|seen| seen.pushes_of == pair);
        let listed = seen.is_some_and(|seen| !seen.ffn_layers.is_empty());
        let mut ffns = seen.into_iter().flat_map(|seen| &seen.ffns);
        let opened = ffns.find(|ffn| (ffn.layer, ffn.order) == (layer, order));
        let told = opened.is_some_and(|ffn| ffn.words);
        if listed && told {
            return None;
        }
        want.ffn_layers = !listed;
        want.ffn = if told { Vec::new() } else { vec![layer] };
        want.neurons = NEURONS as u32;
        want.neuron_order = order;
        // Their words cost more than all else here on a large vocabulary, so the list does not wait for them.
        want.words = opened.is_some();
        Some(())
    }

    /// The first pass of a model sets the scale of its bars.
    pub(super) fn set_write_scale(&mut self, seen: &Inspected) {
        let model = self.model.hash.clone().unwrap_or_else(|| self.model.name.clone());
        let known = self.inspector.inside.write_scale.as_ref().is_some_and(|(of, _)| *of == model);
        let longest = seen.ffn_layers.iter().map(|line| line.write).fold(0.0, f32::max);
        if known || longest <= 0.0 || !longest.is_finite() {
            return;
        }
        // Two figures are enough, and are what stands in the head.
        let unit = 10.0_f32.powf(longest.log10().floor() - 1.0);
        self.inspector.inside.write_scale = Some((model, (longest / unit).ceil() * unit));
    }

    /// Neurons by the other figure.
    pub(crate) fn sort_neurons(&mut self) {
        let inside = &mut self.inspector.inside;
        inside.by_push = !inside.by_push;
        inside.row = 0;
        let by = if inside.neuron_order() == NeuronOrder::Push {
            "how much they push"
        } else {
            "how much they write"
        };
        self.say(format!("neurons sorted by {by}"));
    }
}

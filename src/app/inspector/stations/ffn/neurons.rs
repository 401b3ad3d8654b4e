//! The feed-forward station: what it asks of a pass, and how its lists are sorted.
//!
//! A block is asked for twice: first its neurons, then what each promotes and suppresses.
//!
//! Invariant: pushes are between the chosen token and its rival of now; bars keep the scale that the model's first
//! pass gave them.

use crate::app::{ChatView, Display, Inspector, Outbox};
use crate::engine::protocol::{Inspected, Want};
use crate::inspect::feed_forward::NeuronOrder;
use crate::inspect::trace::Component;

/// Neurons that are listed.
const NEURONS: usize = 16;

impl Display<'_> {
    /// What is not known yet of a block's feed-forward; `None` where all is.
    pub(crate) fn want_ffn(&self, layer: u32, want: &mut Want) -> Option<()> {
        let order = self.inspector.ffn.neuron_order();
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

    /// The neuron that is selected at the feed-forward station; in a mixture none can be switched off alone.
    pub(crate) fn selected_neuron(&self) -> Option<Component> {
        let layer = self.opened_layer();
        let ffn = self.shown_inside()?.ffns.iter().find(|ffn| ffn.layer == layer)?;
        let row = self.inspector.inside.row.min(ffn.neurons.len().saturating_sub(1));
        let neuron = ffn.neurons.get(row).filter(|neuron| neuron.expert.is_none())?;
        Some(Component::Neuron(layer, neuron.index))
    }
}

impl Inspector {
    /// The first pass of a model sets the scale of its bars.
    pub(crate) fn set_write_scale(&mut self, view: ChatView<'_>, seen: &Inspected) {
        let model = view.model.hash.clone().unwrap_or_else(|| view.model.name.clone());
        let known = self.ffn.write_scale.as_ref().is_some_and(|(of, _)| *of == model);
        let longest = seen.ffn_layers.iter().map(|line| line.write).fold(0.0, f32::max);
        if known || longest <= 0.0 || !longest.is_finite() {
            return;
        }
        // Two figures are enough, and are what stands in the head.
        let unit = 10.0_f32.powf(longest.log10().floor() - 1.0);
        self.ffn.write_scale = Some((model, (longest / unit).ceil() * unit));
    }

    /// The arrows: in the list of neurons, or in that of the layers.
    pub(crate) fn move_neuron(&mut self, view: ChatView<'_>, down: i32, right: i32) {
        if view.ready().is_none() {
            return;
        }
        if !self.ffn.on_neurons {
            return self.aim_by(view, down + right, 0);
        }
        let row = &mut self.inside.row;
        *row = row.saturating_add_signed(down as isize).min(NEURONS - 1);
        self.aim_by(view, right, 0);
    }

    /// Neurons by the other figure.
    pub(crate) fn sort_neurons(&mut self, out: &mut Outbox) {
        let inside = &mut self.inside;
        self.ffn.by_push = !self.ffn.by_push;
        inside.row = 0;
        let by = if self.ffn.neuron_order() == NeuronOrder::Push {
            "how much they push"
        } else {
            "how much they write"
        };
        out.say(format!("neurons sorted by {by}"));
    }
}

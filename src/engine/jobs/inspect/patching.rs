//! Where patches get their values: each source pass is read with the probe on before the patched one.
//!
//! Invariant: a source is read under what the conversation was read under, without the changes that are tried.

use super::Opening;
use crate::chat::Intervention;
use crate::engine::analysis::other;
use crate::engine::model::changes;
use crate::engine::probe::{Captured, Layers, Plan};
use crate::engine::prompt::encode;
use crate::engine::protocol::{Failure, Inspect, Patch, site};
use crate::engine::session::Session;
use crate::inspect::trace::Component;
use crate::token::TokenId;

/// # Errors
/// Where a patch names what is not there.
pub(crate) fn check(session: &Session, request: &Inspect) -> Result<(), Failure> {
    for patch in &request.patches {
        let text = text(patch, &request.ids);
        encode::readable(session, text)?;
        if patch.position as usize >= text.len() {
            return Err(other(format!(
                "There is no position {} to patch from: the text has positions 0 to {}.",
                patch.position,
                text.len().saturating_sub(1)
            )));
        }
        let Some(site) = site(patch.part) else {
            return Err(other("The embedding cannot be patched: change the text instead."));
        };
        changes::layer(session.model(), site.layer())?;
        match patch.part {
            Component::Head(_, head) => changes::head(session.model(), head)?,
            Component::Neuron(layer, neuron) => changes::neuron(session.model(), layer, neuron)?,
            _ => {}
        }
    }
    Ok(())
}

fn text<'a>(patch: &'a Patch, own: &'a [TokenId]) -> &'a [TokenId] {
    if patch.text.is_empty() { own } else { &patch.text }
}

impl Opening<'_> {
    /// The patches with their values in place.
    pub(crate) fn patches(&mut self) -> Result<Vec<Intervention>, Failure> {
        let request = self.request;
        let mut made = Vec::with_capacity(request.patches.len());
        let mut read: Option<(&[TokenId], Captured)> = None;
        for patch in &request.patches {
            let source = &text(patch, &request.ids)[..=patch.position as usize];
            // Patches from one place need one pass.
            if read.as_ref().is_none_or(|(known, _)| *known != source) {
                let base = &request.interventions;
                read = Some((source, self.read(source, base, base, everything())?.0));
            }
            let captured = read.as_ref().map(|(_, captured)| captured);
            let values = captured.and_then(|captured| values(captured, patch.part, self.inside.facts.heads));
            let site = site(patch.part);
            let Some((site, values)) = site.zip(values.filter(|values| !values.is_empty())) else {
                return Err(other(format!(
                    "{} cannot be patched: this model's graph does not show it.",
                    patch.part
                )));
            };
            made.push(Intervention::Replace { site, values });
        }
        changes::check(self.session.model(), &made)?;
        Ok(made)
    }
}

fn everything() -> Plan {
    Plan { residual: true, z: true, neurons: Layers::All, ..Plan::default() }
}

/// What a part gave in a pass.
fn values(captured: &Captured, part: Component, heads: u32) -> Option<Vec<f32>> {
    let layer = |number: u32| captured.layers.get(number as usize);
    match part {
        Component::Embedding | Component::AttentionBias(_) | Component::NormBias | Component::OutputBias => {
            None
        }
        Component::Attention(number) => Some(layer(number)?.attn_out.clone()),
        Component::Ffn(number) => Some(layer(number)?.ffn_out.clone()),
        Component::Stream(number) => Some(layer(number)?.resid_post.clone()),
        Component::Neuron(number, neuron) => Some(vec![*layer(number)?.neurons.get(neuron as usize)?]),
        Component::Head(number, head) => {
            let all = &layer(number)?.z;
            let size = all.len() / (heads as usize).max(1);
            all.chunks(size.max(1)).nth(head as usize).map(<[f32]>::to_vec)
        }
    }
}

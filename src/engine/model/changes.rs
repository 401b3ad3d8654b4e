//! Changes to the network that a request asks for: whether this model has what they name.
//!
//! Invariant: what passes here the probe can do.

use super::loaded::LoadedModel;
use crate::chat::{HookPoint, Intervention, Steering};
use crate::engine::protocol::{Failure, FailureKind};

/// Refuses what names a part that the model does not have. Fails with what there is instead.
pub fn check(model: &LoadedModel, changes: &[Intervention]) -> Result<(), Failure> {
    changes.iter().try_for_each(|change| match change {
        Intervention::ZeroHead { layer, head } => {
            self::attention(model, *layer).and_then(|()| self::head(model, *head))
        }
        Intervention::ZeroAttention { layer } => attention(model, *layer),
        Intervention::ZeroFfn { layer } => feed_forward(model, *layer),
        Intervention::ZeroNeuron { layer, neuron } => self::neuron(model, *layer, *neuron),
        Intervention::Replace { site, values } => replacement(model, *site, values),
        Intervention::Steer(steering) => self::steering(model, steering),
        // Held against the model where it is read.
        Intervention::Adapter(_) => Ok(()),
    })
}

fn replacement(model: &LoadedModel, site: HookPoint, values: &[f32]) -> Result<(), Failure> {
    match site {
        HookPoint::Head { layer, head } => attention(model, layer).and_then(|()| self::head(model, head))?,
        HookPoint::Neuron { layer, neuron } => self::neuron(model, layer, neuron)?,
        HookPoint::Ffn { layer } => feed_forward(model, layer).and_then(|()| dense(model, layer))?,
        HookPoint::Attention { layer } => attention(model, layer)?,
        HookPoint::Stream { layer } => self::layer(model, layer)?,
    }
    if matches!(site, HookPoint::Attention { .. } | HookPoint::Ffn { .. } | HookPoint::Stream { .. }) {
        width(model, values.len(), "What is patched in")?;
    }
    numbers(values, "What is patched in")
}

fn steering(model: &LoadedModel, steering: &Steering) -> Result<(), Failure> {
    steering.layers.iter().try_for_each(|layer| self::layer(model, *layer))?;
    width(model, steering.direction.len(), "The steering direction")?;
    numbers(&steering.direction, "The steering direction")?;
    numbers(&[steering.strength], "The steering strength")
}

fn width(model: &LoadedModel, count: usize, what: &str) -> Result<(), Failure> {
    let width = usize::try_from(model.model.n_embd()).unwrap_or_default();
    if count == width {
        return Ok(());
    }
    let message = format!(
        "{what} has {count} values, but this model's residual stream has {width}: it was made with another model."
    );
    Err(Failure { message, kind: FailureKind::Other })
}

fn numbers(values: &[f32], what: &str) -> Result<(), Failure> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Failure {
        message: format!("{what} holds something that is not a number."),
        kind: FailureKind::Other,
    })
}

/// # Errors
/// Where the model has no such block.
pub fn layer(model: &LoadedModel, layer: u32) -> Result<(), Failure> {
    below(layer, model.model.n_layer(), "layer", "this model has layers")
}

/// # Errors
/// Where there is no such block, or it mixes no tokens by attention (a recurrent one, but for those whose attention
/// keeps a state).
fn attention(model: &LoadedModel, layer: u32) -> Result<(), Failure> {
    self::layer(model, layer)?;
    let has = |weight: &&str| tensor(model, &format!("blk.{layer}.{weight}.weight")).is_some();
    let keeps_state = ["ssm_ba", "ssm_beta"].iter().any(has);
    let weights = ["attn_output.weight", "ssm_out.weight"];
    part(model, layer, if keeps_state { &weights } else { &weights[..1] }, "attention")
}

/// # Errors
/// Where there is no such block, or it has no feed-forward.
fn feed_forward(model: &LoadedModel, layer: u32) -> Result<(), Failure> {
    self::layer(model, layer)?;
    part(model, layer, &["ffn_down.weight", "ffn_down_exps.weight"], "feed-forward")
}

/// Whether the file, where it is known, has one of the weights that a part's output comes from.
fn part(model: &LoadedModel, layer: u32, weights: &[&str], what: &str) -> Result<(), Failure> {
    let has = |weight: &&str| tensor(model, &format!("blk.{layer}.{weight}")).is_some();
    if model.file.get().is_none() || weights.iter().any(has) {
        return Ok(());
    }
    let message = format!("Layer {layer} of this model has no {what} that could be changed.");
    Err(Failure { message, kind: FailureKind::Other })
}

/// # Errors
/// Where a block has no such query head.
pub fn head(model: &LoadedModel, head: u32) -> Result<(), Failure> {
    below(head, model.model.n_head(), "head", "a layer of this model has heads")
}

/// # Errors
/// Where a block has no such neuron.
pub fn neuron(model: &LoadedModel, layer: u32, neuron: u32) -> Result<(), Failure> {
    feed_forward(model, layer)?;
    dense(model, layer)?;
    let place = tensor(model, &format!("blk.{layer}.ffn_down.weight"));
    let count = place.and_then(|shape| shape.first().copied()).unwrap_or(u64::from(u32::MAX));
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    below(neuron, count, "neuron", "a layer of this model has neurons")
}

/// # Errors
/// Where a block's feed-forward is a mixture: which expert's it is shows only while it runs.
fn dense(model: &LoadedModel, layer: u32) -> Result<(), Failure> {
    if tensor(model, &format!("blk.{layer}.ffn_down_exps.weight")).is_none() {
        return Ok(());
    }
    let message = format!(
        "Layer {layer}'s feed-forward is a mixture of experts: it can be switched off as a whole, but neither its \
         neurons be changed nor the whole be patched."
    );
    Err(Failure { message, kind: FailureKind::Other })
}

/// The shape of a tensor, where the file is known and has it.
fn tensor(model: &LoadedModel, name: &str) -> Option<Vec<u64>> {
    model.file.get()?.tensor(name).map(|place| place.shape)
}

fn below(number: u32, count: u32, what: &str, has: &str) -> Result<(), Failure> {
    if number < count {
        return Ok(());
    }
    let message = match count.checked_sub(1) {
        Some(last) => format!("There is no {what} {number}: {has} 0 to {last}."),
        None => format!("There is no {what} {number}: this model has no {what}s."),
    };
    Err(Failure { message, kind: FailureKind::Other })
}

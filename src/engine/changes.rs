//! Changes to the network that a request asks for: whether this model has what they name.
//!
//! Invariant: what passes here the probe can do.

use super::protocol::{Failure, FailureKind};
use super::shared::LoadedModel;
use crate::chat::Intervention;

/// Refuses what names a part that the model does not have.
///
/// # Errors
/// With what there is instead.
pub fn check(model: &LoadedModel, changes: &[Intervention]) -> Result<(), Failure> {
    changes.iter().try_for_each(|change| match *change {
        Intervention::ZeroHead { layer, head } => {
            self::layer(model, layer).and_then(|()| self::head(model, head))
        }
        Intervention::ZeroAttention { layer } | Intervention::ZeroFfn { layer } => self::layer(model, layer),
    })
}

/// # Errors
/// Where the model has no such block.
pub fn layer(model: &LoadedModel, layer: u32) -> Result<(), Failure> {
    below(layer, model.model.n_layer(), "layer", "this model has layers")
}

/// # Errors
/// Where a block has no such query head.
pub fn head(model: &LoadedModel, head: u32) -> Result<(), Failure> {
    below(head, model.model.n_head(), "head", "a layer of this model has heads")
}

fn below(number: u32, count: u32, what: &str, has: &str) -> Result<(), Failure> {
    if number < count {
        return Ok(());
    }
    let message = format!("There is no {what} {number}: {has} 0 to {}.", count.saturating_sub(1));
    Err(Failure { message, kind: FailureKind::Other })
}

//! What names of tensors tell.
//!
//! Invariant: a name that is not of the expected kind tells nothing.

/// The number that a text begins with.
pub(super) fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// `blk.L.NAME` taken apart.
pub(super) fn weight_of(name: &str) -> Option<(u32, &str)> {
    let (layer, name) = name.strip_prefix("blk.")?.split_once('.')?;
    Some((layer.parse().ok()?, name))
}

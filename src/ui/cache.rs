//! Placeholder until the transcript's part is merged.

/// The render cache.
#[derive(Debug, Default)]
pub struct Cache {}

//! What each token of a batch may see: the mask of its layer, by position.
//!
//! Invariant: it is worked out once for all layers whose mask and cells are the same.

use std::sync::Arc;

use super::row::Run;

/// What a token of the batch may see.
#[derive(Debug)]
pub(super) struct Visible {
    pub(super) position: usize,
    /// The position of each cell, one beyond for those that are not seen.
    pub(super) places: Vec<usize>,
    /// The same in runs.
    pub(super) runs: Vec<Run>,
}

/// What the tokens of a micro-batch may see under a mask, for the next layer with the same one.
#[derive(Debug, Default)]
pub(super) struct Mask {
    /// Address of the mask, tokens of the batch before these, and a layer whose cells they are.
    pub(super) of: Option<(usize, usize, u32)>,
    pub(super) each: Arc<Vec<Visible>>,
}

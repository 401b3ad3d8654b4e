//! A file that an editor may still have open.
//!
//! Invariant: it is deleted only while it holds what was taken from it.

use std::path::PathBuf;

/// See the module.
pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    /// What it held when it was last looked at.
    pub(super) held: Vec<u8>,
}

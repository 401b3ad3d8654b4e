//! A file that an editor may still have open.
//!
//! Invariant: it is deleted only while it holds what was taken from it.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Instant;

/// See the module.
pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    /// What it held when it was last looked at.
    pub(super) held: Vec<u8>,
}

/// An editor that has the terminal.
pub(super) struct Editing {
    pub(super) child: tokio::process::Child,
    /// Its command, as the user set it.
    pub(super) editor: String,
    pub(super) file: tempfile::NamedTempFile,
    /// The text it was given.
    pub(super) text: String,
    pub(super) begun: Instant,
}

/// Waits for the editor's end; never where there is none.
pub(super) async fn ended(editing: &mut Option<Editing>) -> std::io::Result<ExitStatus> {
    match editing {
        Some(editing) => editing.child.wait().await,
        None => std::future::pending().await,
    }
}

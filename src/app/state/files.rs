//! Files for the draft: what is asked for, and what comes of it.
//!
//! Invariant: a file that is not there is no refusal; its name may be a word.

use crate::attachment::{Attachment, Refused};

/// Why files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesWanted {
    /// They are put in at the cursor.
    Attached,
    /// They stand in for their names in the draft.
    Named,
    /// The same, and then the draft is sent.
    Sent,
}

/// A file that was asked for.
#[derive(Debug)]
pub struct FileRead {
    /// The name that was found: the one asked for, or that without the punctuation behind it.
    pub name: String,
    /// What is in it; nothing where there is no such file.
    pub file: Option<Result<Attachment, Refused>>,
}

/// A file or folder that a name could go on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathOffer {
    /// As it is written; a folder ends with `/`.
    pub path: String,
    /// Its size in bytes, if it is a file.
    pub size: Option<u64>,
}

//! What a download that was broken off has left beside the place of its file.
//!
//! Invariant: bytes count as left only where what is known of their version is there too, so that they can be gone on
//! with.

use std::path::{Path, PathBuf};

/// What a download that was broken off has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// Bytes that are there.
    pub done: u64,
    /// Bytes in all; 0 when unknown.
    pub total: u64,
}

/// The unfinished twin of a file.
pub(super) fn part_of(path: &Path) -> PathBuf {
    with_suffix(path, ".part")
}

/// What is known of an unfinished download.
pub(super) fn state_of(path: &Path) -> PathBuf {
    with_suffix(path, ".part.toml")
}

/// What is remembered of the version that an unfinished file is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Whether it can be told from others, so that it can be gone on with.
    pub(super) can_go_on: bool,
    /// Bytes in all, where that was told.
    pub(super) total: Option<u64>,
}

/// What is remembered of a file's unfinished twin.
pub(super) fn remembered_of(file: &Path) -> Remembered {
    let text = std::fs::read_to_string(state_of(file)).unwrap_or_default();
    let table: toml::Table = toml::from_str(&text).unwrap_or_default();
    let validator = table.get("validator").and_then(toml::Value::as_str);
    Remembered {
        can_go_on: validator.is_some_and(|validator| !validator.is_empty()),
        total: table.get("total").and_then(|total| u64::try_from(total.as_integer()?).ok()),
    }
}

/// `path` with something appended to its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

impl Unfinished {
    /// What is left of the download of a model's files; `None` where nothing is, or nothing that could be gone on with.
    pub(super) fn of(files: &[PathBuf]) -> Option<Self> {
        if files.iter().all(|file| file.is_file()) {
            return None;
        }
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
        let (mut left, mut known) = (Self::default(), true);
        for file in files {
            if file.is_file() {
                left.done += bytes(file);
                left.total += bytes(file);
                continue;
            }
            let Remembered { can_go_on, total } = remembered_of(file);
            left.done += if can_go_on { bytes(&part_of(file)) } else { 0 };
            known &= total.is_some();
            left.total += total.unwrap_or(0);
        }
        left.total = if known { left.total } else { 0 };
        (left.done > 0).then_some(left)
    }
}

//! What each head of a model does on random text, kept in the cache folder under the hash of the model's file.
//!
//! Invariant: a record that is missing or damaged costs a calibration, never correctness.

use std::path::{Path, PathBuf};

use crate::config;
use crate::inspect::scores::HeadScores;

/// The record of a file's hash; `None` for what is not a hash.
fn place(cache: &Path, hash: &str) -> Option<PathBuf> {
    let sound = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
    sound.then(|| cache.join("heads").join(format!("{hash}.json")))
}

/// What was kept.
pub(super) fn recall(cache: &Path, hash: &str) -> Option<HeadScores> {
    let text = std::fs::read_to_string(place(cache, hash)?).ok()?;
    serde_json::from_str(&text).ok()
}

/// Keeps it.
///
/// # Errors
/// Where the folder cannot be written.
pub(super) fn keep(cache: &Path, hash: &str, scores: &HeadScores) -> std::io::Result<()> {
    let Some(path) = place(cache, hash) else { return Ok(()) };
    std::fs::create_dir_all(path.parent().unwrap_or(cache))?;
    let text = serde_json::to_string(scores).map_err(std::io::Error::other)?;
    config::write_atomically(&path, &text).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::scores::HeadScore;

    #[test]
    fn what_is_kept_comes_back_and_what_is_damaged_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let scores =
            HeadScores { layers: vec![vec![HeadScore { sink: 0.49, ..HeadScore::default() }; 2]], ms: 12.0 };
        assert_eq!(recall(folder.path(), "abc1"), None);
        keep(folder.path(), "abc1", &scores).unwrap();
        assert_eq!(recall(folder.path(), "abc1"), Some(scores.clone()));
        assert_eq!(recall(folder.path(), "abc2"), None);
        std::fs::write(folder.path().join("heads/abc1.json"), "{\"layers\": [[").unwrap();
        assert_eq!(recall(folder.path(), "abc1"), None);
        keep(folder.path(), "../out", &scores).unwrap();
        assert_eq!(recall(folder.path(), "../out"), None);
    }
}

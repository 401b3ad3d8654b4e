//! Whether there is room on the disk for what is to be fetched.
//!
//! Invariant: nothing is refused on a guess: where the system does not say how much is free, there is room.

use std::path::Path;

/// Bytes that can be written where a file is to be, which need not exist yet, nor its folder.
#[must_use]
pub fn free(path: &Path) -> Option<u64> {
    let there = path.ancestors().skip(1).find(|folder| folder.is_dir())?;
    let about = rustix::fs::statvfs(there).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

/// How many bytes are missing for so many more.
#[must_use]
pub fn missing(needed: u64, free: Option<u64>) -> Option<u64> {
    free.and_then(|free| needed.checked_sub(free)).filter(|missing| *missing > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_for_a_file_is_that_of_the_nearest_folder_which_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let there = free(&folder.path().join("model.gguf")).unwrap();
        let below = free(&folder.path().join("not/yet/there/model.gguf")).unwrap();
        // Others write on the same disk meanwhile.
        assert!(there > 0 && below > 0 && below.abs_diff(there) < there.max(below));
    }

    #[test]
    fn only_what_is_known_not_to_fit_is_missing() {
        assert_eq!([missing(10, Some(4)), missing(10, Some(10)), missing(10, None)], [Some(6), None, None]);
    }
}

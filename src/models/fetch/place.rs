//! From `.part` to the final name.
//!
//! Invariant: lock, check, write through, rename, write the folder through, in this order.

use std::fs::{File, TryLockError};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::FetchError;
use super::error::STARTS_OVER;
use super::job::{Job, Reporter};
use crate::durable;
use crate::locked::Locked;
use crate::models::FetchStage;
use crate::models::gguf::{GgufError, MAGIC, check_whole, part_paths};
use crate::models::hash::hash_files;
use crate::models::unfinished::{part_of, remembered_of, state_of, with_suffix};

/// Keeps others from fetching the same file until dropped. The lock file stays, since removing one that
/// somebody may hold open would let two in.
pub(super) fn lock(path: &Path, name: &str) -> Result<Locked, FetchError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| FetchError::io(folder, source))?;
    let lock = with_suffix(path, ".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock)
        .map_err(|source| FetchError::io(&lock, source))?;
    match file.try_lock() {
        Ok(()) => Ok(Locked(file)),
        Err(TryLockError::WouldBlock) => Err(FetchError::Busy { name: name.to_owned() }),
        Err(TryLockError::Error(source)) => Err(FetchError::io(&lock, source)),
    }
}

/// Checks the finished `.part` files and gives them their names.
pub(super) async fn settle(job: &Job<'_>, path: &Path) -> Result<(), FetchError> {
    let finals = part_paths(path);
    let (name, expected) = (job.name(), job.entry.sha256.clone());
    let files = finals.clone();
    let found = job.blocking(move |reporter| settle_blocking(reporter, &name, expected, &files)).await?;
    if let Some(sha256) = found {
        job.folder.remember_hash(&finals, &sha256);
    }
    Ok(())
}

fn settle_blocking(
    reporter: &mut Reporter,
    name: &str,
    expected: Option<String>,
    files: &[PathBuf],
) -> Result<Option<String>, FetchError> {
    let parts: Vec<PathBuf> = files.iter().map(|path| part_of(path)).collect();
    let found = expected.as_ref().map(|_| checksum(reporter, &parts)).transpose()?;
    let is_right = |(expected, found): (&String, &String)| expected.trim().eq_ignore_ascii_case(found);
    let is_proved = expected.as_ref().zip(found.as_ref()).is_some_and(is_right);
    // Without the right checksum only the file itself can tell that it is all there, and one that is not is no wrong one.
    // What is wrong with it otherwise is said where it is to be loaded.
    if !is_proved {
        files.iter().try_for_each(|file| is_not_cut(name, file, expected.is_some()))?;
    }
    if let (Some(expected), Some(found), false) = (expected, &found, is_proved) {
        discard(files);
        return Err(FetchError::WrongHash { name: name.to_owned(), expected, found: found.clone() });
    }
    for part in &parts {
        if !begins_with_magic(part)? {
            discard(files);
            return Err(FetchError::NotGguf { name: name.to_owned() });
        }
    }
    for (part, path) in parts.iter().zip(files) {
        durable::rename(part, path).map_err(|source| FetchError::io(path, source))?;
        let _ = std::fs::remove_file(state_of(path));
    }
    Ok(found)
}

fn checksum(reporter: &mut Reporter, parts: &[PathBuf]) -> Result<String, FetchError> {
    let total = parts.iter().filter_map(|part| part.metadata().ok()).map(|about| about.len()).sum();
    let mut stopped = None;
    let result = hash_files(parts, |done| {
        reporter.advance(FetchStage::Check, done, total).map_err(|error| {
            stopped = Some(error);
            std::io::ErrorKind::Interrupted.into()
        })
    });
    result.map_err(|source| stopped.unwrap_or_else(|| FetchError::io(&parts[0], source)))
}

/// An error where the `.part` of a file is shorter than its own header says. One that is all there and has another checksum
/// than it should is wrong, and not cut.
fn is_not_cut(name: &str, file: &Path, has_checksum: bool) -> Result<(), FetchError> {
    let Err(GgufError::Cut { needed, size, .. }) = check_whole(&part_of(file)) else { return Ok(()) };
    let remembered = remembered_of(file);
    let is_all = remembered.total == Some(size);
    if is_all && has_checksum {
        return Ok(());
    }
    let next = if is_all {
        "That is all of it: the source's own copy is that short. Take the model from another source, or when it is mended."
    } else if remembered.can_go_on {
        "Pull again to go on."
    } else {
        STARTS_OVER
    };
    Err(FetchError::Early { name: name.to_owned(), needed, kept: size, next })
}

fn begins_with_magic(part: &Path) -> Result<bool, FetchError> {
    let mut start = Vec::new();
    File::open(part)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start))
        .map_err(|source| FetchError::io(part, source))?;
    Ok(start == MAGIC)
}

/// Throws away what was downloaded; a failure to delete leaves only a `.part`.
fn discard(files: &[PathBuf]) {
    for path in files {
        let _ = std::fs::remove_file(part_of(path));
        let _ = std::fs::remove_file(state_of(path));
    }
}

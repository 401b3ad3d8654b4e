//! Which glassbox processes use a database: a row and a locked file for each.
//!
//! Invariant: the operating system frees a lock when its process ends, however it ends; so a lock file that
//! can be locked belongs to nobody, and its instance did not end cleanly.

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::locked::Locked;

/// A random positive number, so that two programs on one database never take the same.
pub(crate) fn random_id() -> i64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    (hasher.finish() >> 1).cast_signed().max(1)
}

/// The database's path with something added to its file name.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    database.with_file_name(name)
}

/// Files beside the database whose names begin with its name and `suffix`; what follows, and their paths.
pub(super) fn all_beside(database: &Path, suffix: &str) -> Vec<(String, PathBuf)> {
    let start = beside(database, suffix);
    let (Some(folder), Some(start)) = (start.parent(), start.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let rest = entry.file_name().to_str()?.strip_prefix(start)?.to_owned();
            Some((rest, entry.path()))
        })
        .collect()
}

/// Held while a database is opened, so that two processes never check, move or migrate it at once.
pub(super) struct Opening {
    _lock: Option<Locked>,
}

impl Opening {
    /// Waits for its turn, at most as long as given. `Ok` too where the file system has no locks.
    pub(super) fn wait(database: &Path, at_most: Duration) -> std::io::Result<Self> {
        let file = create(&beside(database, ".opening"))?;
        let until = Instant::now() + at_most;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _lock: Some(Locked(file)) }),
                Err(TryLockError::Error(_)) => return Ok(Self { _lock: None }),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    return Err(std::io::Error::new(
                        std::io::ErrorKind::TimedOut,
                        "another glassbox is still opening it",
                    ));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

/// This process's claim; given back by [`Instance::end`], or by the operating system.
pub(super) struct Instance {
    /// Random and positive.
    pub(super) id: i64,
    lock: Option<(PathBuf, Option<Locked>)>,
}

impl Instance {
    /// An instance on a database that nobody else can see.
    pub(super) fn alone() -> Self {
        Self { id: random_id(), lock: None }
    }

    /// Creates and locks this instance's file. Call it under [`Opening`].
    pub(super) fn begin(database: &Path) -> std::io::Result<Self> {
        let id = random_id();
        let path = beside(database, &format!(".instance-{id:016x}"));
        let file = create(&path)?;
        // Where there are no locks at all, everyone counts as alone.
        let lock = file.try_lock().is_ok().then(|| Locked(file));
        Ok(Self { id, lock: Some((path, lock)) })
    }

    /// Removes the file; the claim is gone.
    pub(super) fn end(self) {
        if let Some((path, lock)) = self.lock {
            let _ = std::fs::remove_file(path);
            drop(lock);
        }
    }
}

/// The instances that run now. Files left by those that do not are removed. Call it under [`Opening`].
pub(super) fn alive(database: &Path) -> Vec<i64> {
    let mut alive = Vec::new();
    for (name, path) in all_beside(database, ".instance-") {
        let Ok(id) = i64::from_str_radix(&name, 16) else { continue };
        let Ok(file) = File::open(&path) else { continue };
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            alive.push(id);
        } else {
            let _ = std::fs::remove_file(&path);
        }
    }
    alive
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_alive_until_its_lock_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let first = Instance::begin(&database).unwrap();
        let second = Instance::begin(&database).unwrap();
        let mut both = [first.id, second.id];
        both.sort_unstable();
        let mut seen = alive(&database);
        seen.sort_unstable();
        assert_eq!(seen, both);

        let id = second.id;
        drop(first); // as if killed: the file stays, the lock does not
        assert_eq!(alive(&database), [id]);
        assert_eq!(all_beside(&database, ".instance-").len(), 1);
        second.end();
        assert!(all_beside(&database, ".instance-").is_empty());
    }

    #[test]
    fn opening_is_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let first = Opening::wait(&database, Duration::ZERO).unwrap();
        assert!(Opening::wait(&database, Duration::ZERO).is_err());
        drop(first);
        assert!(Opening::wait(&database, Duration::ZERO).is_ok());
    }
}

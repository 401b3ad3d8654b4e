//! Files that are still there after the power failed.
//!
//! Invariant: what is put in place by a rename is written through before it, and the folder, in which the new name lies,
//! after it. (SQLite does so itself for what it writes; it does not for the copies it makes.)

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Writes a file's content through to the disk.
///
/// # Errors
/// What the system says.
pub fn file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    note(path);
    Ok(())
}

/// Writes a name through to the disk: it lies in the file's folder.
///
/// # Errors
/// What the system says.
pub fn name(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    file(&folder)
}

/// Gives a finished file its name, so that after a power cut there is what was there before or all of the new one.
///
/// # Errors
/// What the system says.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    file(from)?;
    std::fs::rename(from, to)?;
    name(to)
}

#[cfg(not(test))]
fn note(_: &Path) {}

#[cfg(test)]
static WRITTEN_THROUGH: std::sync::Mutex<Vec<PathBuf>> = std::sync::Mutex::new(Vec::new());

#[cfg(test)]
fn note(path: &Path) {
    WRITTEN_THROUGH.lock().unwrap().push(path.to_path_buf());
}

/// How often that file or folder was written through, in this process of tests.
#[cfg(test)]
pub fn times(path: &Path) -> usize {
    WRITTEN_THROUGH.lock().unwrap().iter().filter(|written| *written == path).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_file_is_written_through_before_and_its_folder_after() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.part"), folder.path().join("a"));
        std::fs::write(&from, "whole").unwrap();
        rename(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "whole");
        assert_eq!((times(&from), times(folder.path())), (1, 1));
    }
}

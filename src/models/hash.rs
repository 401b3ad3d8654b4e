//! SHA-256 of model files, remembered by path, size and modification time.
//!
//! Invariant: a remembered hash is used only while all three are what they were; a memory that cannot be
//! read or written costs time, never correctness.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::durable;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Entries kept, newest last.
const MAX_KEPT: usize = 200;

#[derive(Default, Serialize, Deserialize)]
struct Memory {
    #[serde(default)]
    file: Vec<Kept>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Path, size and modification time of every part, as text.
    about: String,
    sha256: String,
}

/// SHA-256 of the files one after the other, hexadecimal. `advance` is told the bytes done so far and
/// stops it with an error.
pub(super) fn hash_files(
    files: &[PathBuf],
    mut advance: impl FnMut(u64) -> std::io::Result<()>,
) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut done = 0;
    for path in files {
        let mut file = File::open(path)?;
        loop {
            let length = file.read(&mut chunk)?;
            if length == 0 {
                break;
            }
            digest.update(&chunk[..length]);
            done += length as u64;
            advance(done)?;
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// SHA-256 of a few bytes, hexadecimal.
pub(super) fn hash_bytes(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The remembered hash of `files`, if they have not changed.
pub(super) fn recall(memory: &Path, files: &[PathBuf]) -> Option<String> {
    let about = describe(files).ok()?;
    read(memory).file.into_iter().rfind(|kept| kept.about == about).map(|kept| kept.sha256)
}

/// Remembers the hash of `files`.
pub(super) fn remember(memory: &Path, files: &[PathBuf], sha256: &str) -> std::io::Result<()> {
    let about = describe(files)?;
    let mut kept = read(memory).file;
    kept.retain(|one| one.about != about);
    kept.push(Kept { about, sha256: sha256.to_owned() });
    let surplus = kept.len().saturating_sub(MAX_KEPT);
    kept.drain(..surplus);
    write_toml(memory, &Memory { file: kept })
}

/// Replaces a TOML file whole, or leaves it as it was.
pub(super) fn write_toml(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let text = toml::to_string(value).map_err(std::io::Error::other)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    durable::file(file.path())?;
    file.persist(path).map_err(|error| error.error)?;
    durable::name(path)
}

fn read(memory: &Path) -> Memory {
    std::fs::read_to_string(memory).ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or_default()
}

fn describe(files: &[PathBuf]) -> std::io::Result<String> {
    let mut about = String::new();
    for path in files {
        let data = std::fs::metadata(path)?;
        let modified = data.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let path = std::path::absolute(path)?;
        // Writing into a String cannot fail.
        let _ = writeln!(about, "{}|{}|{}", path.display(), data.len(), modified.as_nanos());
    }
    Ok(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_hashed_as_if_joined() {
        let folder = tempfile::tempdir().unwrap();
        let parts = [folder.path().join("a"), folder.path().join("b")];
        std::fs::write(&parts[0], "a").unwrap();
        std::fs::write(&parts[1], "bc").unwrap();
        // FIPS 180-2's example for "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_files(&parts, |_| Ok(())).unwrap(), expected);
        assert_eq!(hash_bytes(b"abc"), expected);
    }

    #[test]
    fn a_changed_file_is_not_recalled() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, file) = (folder.path().join("hashes.toml"), vec![folder.path().join("a")]);
        std::fs::write(&file[0], "a").unwrap();
        assert_eq!(recall(&memory, &file), None);
        remember(&memory, &file, "01").unwrap();
        assert_eq!(recall(&memory, &file), Some("01".to_owned()));
        std::fs::write(&file[0], "longer").unwrap();
        assert_eq!(recall(&memory, &file), None);
    }

    #[test]
    fn a_broken_memory_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, file) = (folder.path().join("hashes.toml"), vec![folder.path().join("a")]);
        std::fs::write(&file[0], "a").unwrap();
        std::fs::write(&memory, "not toml [").unwrap();
        remember(&memory, &file, "02").unwrap();
        assert_eq!(recall(&memory, &file), Some("02".to_owned()));
    }
}

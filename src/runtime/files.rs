//! Files that a draft names, and the paths that a name could go on to.
//!
//! Invariant: nothing is read but what was named; a name that is no file's is told as that, never guessed.

use std::path::{Path, PathBuf};

use crate::app::{FileRead, PathOffer};
use crate::attachment::{Attachment, Why};

/// So many paths are offered.
const OFFERED: usize = 40;
/// So many entries of a folder are looked at.
const LOOKED_AT: usize = 20_000;
/// What may stand behind a name in a sentence.
const PUNCTUATION: &[char] = &['.', ',', ';', ':', '!', '?', ')', ']', '}', '\'', '"'];

/// Reads a file by its name, or by that without the punctuation behind it.
pub(super) fn read(name: &str) -> FileRead {
    let bare = name.trim_end_matches(PUNCTUATION);
    let there = [name, bare].into_iter().find(|name| !name.is_empty() && at(name).exists());
    let Some(found) = there else { return FileRead { name: name.to_owned(), file: None } };
    let file = Attachment::read(&at(found)).map(|file| Attachment { name: found.to_owned(), ..file });
    let file = file.map_err(|refused| crate::attachment::Refused { name: found.to_owned(), ..refused });
    FileRead { name: found.to_owned(), file: Some(file) }
}

/// Whether a refusal is of a folder, which in a sentence is only a word.
pub(super) fn is_folder(read: &FileRead) -> bool {
    matches!(&read.file, Some(Err(refused)) if matches!(refused.why, Why::NotAFile))
}

/// What a path could go on to: folders and files whose names begin so, hidden ones only if asked for.
pub(super) fn offers(typed: &str) -> Vec<PathOffer> {
    let cut = typed.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, begun) = typed.split_at(cut);
    let listed = std::fs::read_dir(if folder.is_empty() { PathBuf::from(".") } else { at(folder) });
    let begins = |name: &str| {
        let hidden = name.starts_with('.') && !begun.starts_with('.');
        !hidden && name.to_lowercase().starts_with(&begun.to_lowercase())
    };
    let mut found: Vec<PathOffer> = listed
        .into_iter()
        .flatten()
        .take(LOOKED_AT)
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| begins(name))?;
            let facts = std::fs::metadata(entry.path()).ok()?; // a link counts as what it leads to
            let is_folder = facts.is_dir();
            let path = format!("{folder}{name}{}", if is_folder { "/" } else { "" });
            Some(PathOffer { path, size: (!is_folder).then_some(facts.len()) })
        })
        .collect();
    found.sort_by(|a, b| (a.size.is_some(), &a.path).cmp(&(b.size.is_some(), &b.path)));
    found.truncate(OFFERED);
    found
}

/// A path as it was typed.
pub(super) fn at(name: &str) -> PathBuf {
    let home = name.strip_prefix("~/").and_then(|rest| Some(std::env::home_dir()?.join(rest)));
    home.unwrap_or_else(|| Path::new(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_on_to_what_begins_so_and_a_name_is_read_without_its_punctuation() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| format!("{}/{name}", folder.path().display());
        std::fs::write(path("Notes.txt"), "x").unwrap();
        std::fs::write(path(".hidden"), "x").unwrap();
        std::fs::create_dir(path("nested")).unwrap();
        let offered: Vec<String> = offers(&path("n")).into_iter().map(|offer| offer.path).collect();
        assert_eq!(offered, [path("nested/"), path("Notes.txt")]);
        assert_eq!(offers(&path("")).len(), 2);
        assert_eq!(offers(&path(".")).len(), 1);
        let found = read(&path("Notes.txt?)"));
        assert_eq!((found.name, found.file.unwrap().unwrap().text), (path("Notes.txt"), "x".into()));
        assert!(read(&path("none")).file.is_none());
        assert!(is_folder(&read(&path("nested"))));
    }
}

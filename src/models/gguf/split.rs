//! Models split over several files, `NAME-00001-of-0000N.gguf`.
//!
//! Invariant: a model is named by its first part, and either all its parts are there or an error names
//! those that are not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::GgufError;
use super::parse::{Number, Stored};

/// More parts than any published model has.
const MAX_PARTS: u32 = 1000;

/// The file names of all parts, given one of them; just that one if it is not of the pattern.
#[must_use]
pub fn part_names(name: &str) -> Vec<String> {
    match pattern(name) {
        Some((stem, _, count)) => (1..=count).map(|part| part_name(stem, part, count)).collect(),
        None => vec![name.to_owned()],
    }
}

/// The paths of all parts, given one of them, whether or not they are there.
#[must_use]
pub fn part_paths(path: &Path) -> Vec<PathBuf> {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(name) => part_names(name).into_iter().map(|name| path.with_file_name(name)).collect(),
        None => vec![path.to_owned()],
    }
}

/// All parts of the model whose first is `path`.
pub(super) fn parts_of(path: &Path) -> Result<Vec<PathBuf>, GgufError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((stem, part, count)) = pattern(name) else { return Ok(vec![path.to_owned()]) };
    if part != 1 {
        let first = path.with_file_name(part_name(stem, 1, count));
        return Err(GgufError::NotFirstPart { path: path.to_owned(), part, first });
    }
    let paths = part_paths(path);
    let missing: Vec<String> = paths
        .iter()
        .skip(1)
        .filter(|part| !part.exists())
        .filter_map(|part| part.file_name().and_then(|name| name.to_str()).map(str::to_owned))
        .collect();
    if missing.is_empty() {
        return Ok(paths);
    }
    Err(GgufError::PartsMissing { path: path.to_owned(), count, missing })
}

/// An error if the header's own count of parts is not what the file's name says.
pub(super) fn check_count(
    path: &Path,
    found: usize,
    metadata: &BTreeMap<String, Stored>,
) -> Result<(), GgufError> {
    let said = match metadata.get("split.count") {
        Some(Stored::Number(Number::Unsigned(count))) => *count,
        _ => return Ok(()),
    };
    if said <= 1 || said == found as u64 {
        return Ok(());
    }
    Err(GgufError::Damaged {
        path: path.to_owned(),
        what: format!(
            "it says that it is one of {said} parts, its name gives {found} (parts are called \
             NAME-00001-of-{said:05}.gguf and must keep those names)"
        ),
    })
}

/// Stem, part from 1 and number of parts of a name like `stem-00001-of-00003.gguf`.
fn pattern(name: &str) -> Option<(&str, u32, u32)> {
    let stem = name.strip_suffix(".gguf")?;
    let (stem, count) = stem.rsplit_once("-of-")?;
    let (stem, part) = stem.rsplit_once('-')?;
    let (part, count) = (five_digits(part)?, five_digits(count)?);
    ((1..=count).contains(&part) && count <= MAX_PARTS).then_some((stem, part, count))
}

fn five_digits(text: &str) -> Option<u32> {
    (text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn part_name(stem: &str, part: u32, count: u32) -> String {
    format!("{stem}-{part:05}-of-{count:05}.gguf")
}

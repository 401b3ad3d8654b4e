//! A bounded reader of GGUF headers: what a model file says about itself, without loading it.
//!
//! Invariant: nothing a file claims is believed before it was held against the file's size and a fixed
//! limit, so any bytes at all give a [`Header`] or a sentence, in little time and memory. Long texts and
//! lists (vocabulary, merges) stay in the file until asked for; what nobody asks for may be as long as the file.

pub mod control_vector;
mod doubts;
mod facts;
mod foreign;
mod format;
mod kind;
mod model_file;
mod parse;
mod scan;
mod split;

#[cfg(test)]
pub(crate) mod craft;
#[cfg(test)]
mod kind_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

pub use facts::{MemoryNeed, memory_needed};
pub use format::TensorType;
pub use model_file::SharedHeader;
pub use parse::{Array, Value};
pub use split::{part_names, part_paths};

use crate::model_entry::ModelFacts;
use parse::Stored;
use scan::Scan;

/// The first four bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";

/// Why a file is not a model, in a sentence that names it and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// Nothing is there.
    #[error("{path} does not exist. Check the path in the model's entry, or fetch the model again.", path = .0.display())]
    Missing(PathBuf),
    /// It cannot be opened or read.
    #[error("{path} cannot be read ({source}). Check its permissions and the disk.", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder, a pipe, a device.
    #[error("{path} is {kind}, not a model file. Name the .gguf file itself.", path = path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// `a folder`, `a pipe or a device`.
        kind: &'static str,
    },
    /// 0 bytes.
    #[error("{path} is empty. Copy or fetch it again.", path = .0.display())]
    Empty(PathBuf),
    /// Another sort of file.
    #[error("{path} is not a GGUF file: {what}", path = path.display())]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// What it is as far as can be told, and what to do.
        what: &'static str,
    },
    /// A version that is not read.
    #[error(
        "{path} is GGUF version {version}{remark}; versions 2 and 3 are read. Fetch a newer conversion of the model.",
        path = path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: u32,
        /// A guess at the reason, or nothing.
        remark: &'static str,
    },
    /// It ends before what its header promises.
    #[error(
        "{path} is cut short: its header promises at least {needed} bytes and it has {size}. Copy or fetch it again.",
        path = path.display()
    )]
    Cut {
        /// The file.
        path: PathBuf,
        /// Bytes the header speaks of so far.
        needed: u64,
        /// Bytes there are.
        size: u64,
    },
    /// Its header contradicts itself or goes over a limit.
    #[error("{path} is damaged or made to harm: {what}. Fetch it again from a source you trust.", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It does not say of what model it is.
    #[error(
        "{path} names no architecture, so it is no language model that can be run here: one that makes pictures, \
         perhaps, or a part of another. Name a chat model's file.",
        path = .0.display()
    )]
    NoArchitecture(PathBuf),
    /// Weights in a number format this version does not know.
    #[error(
        "{path} holds weights in number format {number}, which this version does not know. Take another \
         quantisation of the model or a newer glassbox.",
        path = path.display()
    )]
    UnknownType {
        /// The file.
        path: PathBuf,
        /// ggml's number for it.
        number: u32,
    },
    /// A later part of a split model was named.
    #[error("{path} is part {part} of a split model. Name its first part, {first}.", path = path.display(), first = first.display())]
    NotFirstPart {
        /// The file.
        path: PathBuf,
        /// Which part it is, from 1.
        part: u32,
        /// The one to name.
        first: PathBuf,
    },
    /// Parts of a split model are not beside the first.
    #[error("{path} is the first of {count} parts, and these are not beside it: {}. Put them there or fetch the model again.", missing.join(", "), path = path.display())]
    PartsMissing {
        /// The first part.
        path: PathBuf,
        /// How many parts there are.
        count: u32,
        /// File names of those that are not there.
        missing: Vec<String>,
    },
}

/// One weight tensor's place in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name, e.g. `blk.0.attn_q.weight`.
    pub name: String,
    /// Elements along each dimension, innermost first, as ggml counts.
    pub shape: Vec<u64>,
    /// Number format.
    pub kind: TensorType,
    /// Which of [`Header::files`] holds it.
    pub file: usize,
    /// Where it begins, bytes from the start of that file.
    pub offset: u64,
    /// How long it is, bytes.
    pub bytes: u64,
}

impl TensorInfo {
    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// The header of a model: of one file, or of all parts of a split one.
#[derive(Debug)]
pub struct Header {
    files: Vec<PathBuf>,
    first: File,
    first_size: u64,
    metadata: BTreeMap<String, Stored>,
    tensors: Vec<TensorInfo>,
    facts: ModelFacts,
}

impl Header {
    /// Reads the header of the model at `path`; for a split model, of all its parts.
    ///
    /// # Errors
    /// [`GgufError`] for anything that is not a whole and sound GGUF model.
    pub fn read(path: &Path) -> Result<Self, GgufError> {
        let files = split::parts_of(path)?;
        let (first, first_size) = open(path)?;
        let parsed = parse::parse(&mut Scan::new(BufReader::new(&first), first_size, path), 0)?;
        split::check_count(path, files.len(), &parsed.metadata)?;
        let mut tensors = parsed.tensors;
        let mut size = first_size;
        for (index, part) in files.iter().enumerate().skip(1) {
            let (file, bytes) = open(part)?;
            let parsed = parse::parse(&mut Scan::new(BufReader::new(&file), bytes, part), index)?;
            tensors.extend(parsed.tensors);
            size += bytes;
        }
        parse::check_names(path, &tensors)?;
        let mut header = Self {
            files,
            first,
            first_size,
            metadata: parsed.metadata,
            tensors,
            facts: ModelFacts { file_size: size, ..ModelFacts::default() },
        };
        header.facts = facts::gather(&header)?;
        Ok(header)
    }

    /// The model's files, in order; one unless split.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Every weight tensor, in the files' order.
    #[must_use]
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of that name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// What the app shows of the model.
    #[must_use]
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// Names of all metadata, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.metadata.keys().map(String::as_str)
    }

    /// Number of entries of a list, without reading it. `None` if there is no such list.
    #[must_use]
    pub fn list_len(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key)? {
            Stored::Array { count, .. } => Some(*count),
            _ => None,
        }
    }

    /// The value of a metadata key, read from the file now if it is a text or a list.
    ///
    /// # Errors
    /// [`GgufError`] if the file can no longer be read.
    pub fn metadata(&self, key: &str) -> Result<Option<Value>, GgufError> {
        let Some(stored) = self.metadata.get(key) else { return Ok(None) };
        let (Stored::Text { offset } | Stored::Array { offset, .. }) = stored else {
            return Ok(stored.scalar());
        };
        let mut file = &self.first;
        file.seek(SeekFrom::Start(*offset)).map_err(|source| io_error(&self.files[0], source))?;
        let mut scan = Scan::at(BufReader::new(file), *offset, self.first_size, &self.files[0]);
        parse::load(&mut scan, stored).map(Some)
    }

    fn damaged(&self, what: String) -> GgufError {
        GgufError::Damaged { path: self.files[0].clone(), what }
    }
}

/// Whether a file, alone or as a part of a split model, holds all that its header speaks of.
///
/// # Errors
/// [`GgufError::Cut`] where it does not, and what else is wrong with it.
pub(super) fn check_whole(path: &Path) -> Result<(), GgufError> {
    let (file, size) = open(path)?;
    parse::parse(&mut Scan::new(BufReader::new(&file), size, path), 0).map(drop)
}

/// Opens a plain file with its size; never waits on a pipe.
fn open(path: &Path) -> Result<(File, u64), GgufError> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let about = std::fs::metadata(path).map_err(|source| io_error(path, source))?;
    check_kind(path, &about)?;
    // Between the look and the opening the path may become a pipe; O_NONBLOCK keeps that from hanging.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|source| io_error(path, source))?;
    let about = file.metadata().map_err(|source| io_error(path, source))?;
    check_kind(path, &about)?;
    if about.len() == 0 {
        return Err(GgufError::Empty(path.to_owned()));
    }
    Ok((file, about.len()))
}

fn check_kind(path: &Path, about: &std::fs::Metadata) -> Result<(), GgufError> {
    if about.is_file() {
        return Ok(());
    }
    let kind = if about.is_dir() { "a folder" } else { "a pipe or a device" };
    Err(GgufError::NotAFile { path: path.to_owned(), kind })
}

fn io_error(path: &Path, source: std::io::Error) -> GgufError {
    if source.kind() == std::io::ErrorKind::NotFound {
        return GgufError::Missing(path.to_owned());
    }
    GgufError::Io { path: path.to_owned(), source }
}

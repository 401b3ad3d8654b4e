//! Reading a header's bytes in order.
//!
//! Invariant: no read or skip goes past the file's size, and no buffer is made before its length was
//! checked against both that and the caller's limit.

use std::io::{ErrorKind, Read, Seek};
use std::path::Path;

use super::GgufError;

/// A place in a header, with what is known of its file.
pub(super) struct Scan<'a, R> {
    reader: R,
    position: u64,
    size: u64,
    path: &'a Path,
}

/// What can be scanned: seeks that stay inside the buffer must be cheap.
pub(super) trait Source: Read {
    fn skip(&mut self, bytes: i64) -> std::io::Result<()>;
}

impl<R: Read + Seek> Source for std::io::BufReader<R> {
    fn skip(&mut self, bytes: i64) -> std::io::Result<()> {
        self.seek_relative(bytes)
    }
}

impl<'a, R: Source> Scan<'a, R> {
    pub(super) fn new(reader: R, size: u64, path: &'a Path) -> Self {
        Self::at(reader, 0, size, path)
    }

    pub(super) fn at(reader: R, position: u64, size: u64, path: &'a Path) -> Self {
        Self { reader, position, size, path }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn path(&self) -> &Path {
        self.path
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A text of at most `limit` bytes; what is not UTF-8 in it becomes �.
    pub(super) fn text(&mut self, limit: u64, what: &str) -> Result<String, GgufError> {
        let length = self.text_length(limit, what)?;
        let mut bytes = vec![0; usize::try_from(length).expect("checked against a limit far below usize")];
        self.fill(&mut bytes)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// Goes past a text of any length that the file has room for.
    pub(super) fn skip_text(&mut self) -> Result<(), GgufError> {
        let length = self.u64()?;
        self.skip(length)
    }

    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), GgufError> {
        self.claim(bytes)?;
        self.advance(bytes)
    }

    pub(super) fn damaged(&self, what: String) -> GgufError {
        GgufError::Damaged { path: self.path.to_owned(), what }
    }

    /// An error unless the file reaches to `end`.
    pub(super) fn reaches(&self, end: Option<u64>) -> Result<(), GgufError> {
        match end {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(GgufError::Cut {
                path: self.path.to_owned(),
                needed: end.unwrap_or(u64::MAX),
                size: self.size,
            }),
        }
    }

    fn text_length(&mut self, limit: u64, what: &str) -> Result<u64, GgufError> {
        let length = self.u64()?;
        if length > limit {
            return Err(
                self.damaged(format!("{what} is said to be {length} bytes long, the limit is {limit}"))
            );
        }
        self.claim(length)?;
        Ok(length)
    }

    fn claim(&self, bytes: u64) -> Result<(), GgufError> {
        self.reaches(self.position.checked_add(bytes))
    }

    fn advance(&mut self, bytes: u64) -> Result<(), GgufError> {
        // Claimed bytes lie inside a file, whose size the system counts in an i64.
        let step = i64::try_from(bytes).expect("a file's size fits an i64");
        self.reader.skip(step).map_err(|source| super::io_error(self.path, source))?;
        self.position += bytes;
        Ok(())
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), GgufError> {
        match self.reader.read_exact(into) {
            Ok(()) => {
                self.position += into.len() as u64;
                Ok(())
            }
            // The file shrank while it was read.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(GgufError::Cut {
                path: self.path.to_owned(),
                needed: self.position + into.len() as u64,
                size: self.position,
            }),
            Err(source) => Err(super::io_error(self.path, source)),
        }
    }
}

//! What a file that is no GGUF file is, as far as its first bytes tell, and what to do then.
//!
//! Invariant: a guess changes what is said, never what is refused.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Bytes that are looked at: up to the mark of a tar archive.
const LOOKED_AT: u64 = 512;

/// Beginnings, and what a file is that has one, as the rest of a sentence after a colon.
const BEGINNINGS: &[(&[u8], &str)] = &[
    (
        b"version https://git-lfs",
        "it is a pointer that Git LFS left in the file's place. Run `git lfs pull` where it came from, or fetch the file \
         itself.",
    ),
    (b"\x1f\x8b", "it is compressed (gzip). Unpack it first."),
    (b"\x28\xb5\x2f\xfd", "it is compressed (Zstandard). Unpack it first."),
    (b"\xfd7zXZ\0", "it is compressed (xz). Unpack it first."),
    (b"BZh", "it is compressed (bzip2). Unpack it first."),
    (b"7z\xbc\xaf\x27\x1c", "it is an archive (7z). Unpack it first."),
    (
        b"PK\x03\x04",
        "it is a zip archive, as PyTorch's files are too. Unpack it if a .gguf file is in it; a PyTorch model must be converted, \
         or take its GGUF.",
    ),
    (b"lmgg", OLD),
    (b"fmgg", OLD),
    (b"tjgg", OLD),
    (b"algg", OLD),
    (b"\x89HDF", "it is an HDF5 file (Keras). Take the model's GGUF, or convert it."),
];

const OLD: &str = "it is in a format from before GGUF. Take a newer conversion of the model, a .gguf file.";
const SAFETENSORS: &str = "it is a safetensors file. Take the model's GGUF, or convert it with llama.cpp's \
                           convert_hf_to_gguf.py.";
const PAGE: &str =
    "it is a web page, perhaps what a server answered in place of the file. Fetch the file again.";
const ANSWER: &str =
    "it is a text, perhaps what a server answered in place of the file. Fetch the file again.";
const TAR: &str = "it is an archive (tar). Unpack it first.";
const OTHER: &str = "it does not begin with GGUF. Name a .gguf file; models in other formats must be \
                     converted first.";

/// What the file is and what to do, as the rest of a sentence after a colon.
pub(super) fn what(path: &Path) -> &'static str {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut start));
    if read.is_ok() { of(&start) } else { OTHER }
}

fn of(start: &[u8]) -> &'static str {
    if let Some((_, what)) = BEGINNINGS.iter().find(|(beginning, _)| start.starts_with(beginning)) {
        return what;
    }
    if start.get(257..262) == Some(b"ustar") {
        return TAR;
    }
    // The length of a header in JSON, and its beginning.
    if let Some((length, b'{')) = start.first_chunk().zip(start.get(8))
        && u64::from_le_bytes(*length) < 1 << 32
    {
        return SAFETENSORS;
    }
    let text = String::from_utf8_lossy(start).trim_start_matches('\u{feff}').trim_start().to_lowercase();
    if ["<!doctype", "<html", "<?xml", "<head", "<body"].iter().any(|tag| text.starts_with(tag)) {
        return PAGE;
    }
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if start.iter().all(is_text) { ANSWER } else { OTHER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_told_by_how_they_begin() {
        let mut tar = vec![0; 300];
        tar[257..262].copy_from_slice(b"ustar");
        for (start, expected) in [
            (&b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"[..], "git lfs pull"),
            (b"\n <!DOCTYPE html><html>", "web page"),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?>", "web page"),
            (b"Entry not found", "a text"),
            (b"{\"error\": \"Repository not found\"}", "a text"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"\x28\xb5\x2f\xfd\0", "Zstandard"),
            (b"PK\x03\x04\0", "zip"),
            (b"\x40\0\0\0\0\0\0\0{\"__metadata__\":{}}", "safetensors"),
            (b"lmgg\0\0\0\0", "before GGUF"),
            (b"tjgg\x03\0\0\0", "before GGUF"),
            (&tar, "tar"),
            (b"\x08\x07\x12\x07pytorch", "does not begin with GGUF"),
            (b"GG", "a text"),
        ] {
            assert!(of(start).contains(expected), "{:?}: {}", String::from_utf8_lossy(start), of(start));
            assert!(of(start).ends_with('.'));
        }
    }
}

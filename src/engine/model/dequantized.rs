//! A model with exact arithmetic: its matrices dequantised once into a temporary file that is loaded in its place.
//!
//! llama.cpp multiplies quantised weights with activations rounded to 8 bits; what that rounding moves (single
//! attention weights by up to 0.05 on the default model) is not the file's. With f32 matrices it is gone. Where they
//! would take too much, matrices are f16: then activations are rounded to 11 bits, which moves hardly anything but
//! what a change has thrown far off (a divergence of 4.57 nats with the first block's attention off by 0.22).
//!
//! Invariant: the temporary file is gone when the model is; where it cannot be made the model's own file is loaded,
//! and a note says so.

use std::path::Path;

use tempfile::NamedTempFile;

use super::ffi;
use crate::engine::containment::own_folder;
use crate::model_entry::{ModelFacts, amount};

/// Most that the copy may take, bytes.
const MOST: u64 = 4 << 30;

/// A copy of the model at `path` with f32 matrices, or f16 ones where those take too much.
///
/// # Errors
/// Why there is none, in words.
pub fn copy(path: &Path, facts: &ModelFacts, free: u64, threads: u32) -> Result<NamedTempFile, String> {
    let (halves, floats) = (2 * facts.parameters, 4 * facts.parameters);
    let fits = |size: u64| size <= MOST && size <= free / 3;
    if !fits(halves) {
        return Err(format!(
            "dequantised it would take {}, of {} that are free",
            amount(halves),
            amount(free)
        ));
    }
    let places = [own_folder(), path.parent()];
    let made = places.into_iter().flatten().find_map(|folder| file_in(folder).ok());
    let file = made.map_or_else(|| file_in(&std::env::temp_dir()), Ok);
    // Its own words name the temporary file, which nobody has heard of.
    let file = file.map_err(|error| format!("a temporary file cannot be made: {}", error.kind()))?;
    ffi::dequantise(path, file.path(), threads, fits(floats))?;
    Ok(file)
}

fn file_in(folder: &Path) -> std::io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".dequantised-").suffix(".gguf.part").tempfile_in(folder)
}

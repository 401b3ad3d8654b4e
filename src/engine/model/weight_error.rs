//! Why a weight of the model's file cannot be given.
//!
//! Invariant: each names the tensor, and the file where there is one.

use std::path::PathBuf;

/// Why a weight cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// The model has no such tensor.
    #[error("The model's file has no tensor {0}.")]
    Missing(String),
    /// The file cannot be read.
    #[error("{name} cannot be read from {}: {source}. Check that the file is still there and whole.", path.display())]
    Io {
        /// The tensor.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its format cannot be turned into floats, or its header contradicts itself.
    #[error("{name} in {} {what}.", path.display())]
    Format {
        /// The tensor.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as the end of a sentence.
        what: String,
    },
    /// A row or a column that it does not have.
    #[error("{name} in {} has {rows} rows of {length} values: there is no {what}.", path.display())]
    Bounds {
        /// The tensor.
        name: String,
        /// The file.
        path: PathBuf,
        /// Its number of rows.
        rows: usize,
        /// Values of a row.
        length: usize,
        /// What was asked for.
        what: String,
    },
}

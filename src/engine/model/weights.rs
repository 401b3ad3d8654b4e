//! Weights of the loaded model as 32-bit floats, read from its GGUF file beside llama.cpp and dequantised with
//! ggml's own functions. What llama.cpp holds in memory is never read: on some machines it lies there rearranged.
//!
//! Invariant: native code is given only whole blocks of a format this build knows, from a buffer and into a buffer
//! of exactly the size it will touch; a name, a row or a byte that is not there is an error that names it.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use llama_cpp_sys_2 as sys;

pub use super::weight_error::WeightError;
use super::weights_delta::{Delta, Scaled};
use crate::model_entry::ModelFile;

/// How many bytes of a tensor are read at a time.
const CHUNK: usize = 4 << 20;

/// The weights of one model file; its parts are opened when first needed and stay open.
pub struct Weights {
    file: Arc<dyn ModelFile>,
    open: Mutex<HashMap<PathBuf, Arc<File>>>,
    tensors: Mutex<HashMap<String, Arc<Tensor>>>,
    /// LoRA adapters that change them.
    adapters: Vec<Scaled>,
}

/// A tensor whose place and format have been checked.
struct Tensor {
    name: String,
    path: PathBuf,
    file: Arc<File>,
    offset: u64,
    /// Values of a row; a whole number of blocks.
    length: usize,
    rows: usize,
    format: Format,
    /// What stretches of rows are multiplied with, all equally long: a few formats keep a factor of the whole tensor,
    /// or of each expert, in a tensor of its own. Empty for 1.
    scales: Vec<f32>,
    /// What adapters add.
    deltas: Vec<Delta>,
}

type ToFloat = unsafe extern "C" fn(x: *const std::ffi::c_void, y: *mut f32, k: i64);

/// A number format: values in a block, bytes of a block, and what makes floats of it (`None` for floats).
#[derive(Clone, Copy)]
struct Format {
    block: usize,
    bytes: usize,
    to_float: Option<ToFloat>,
}

/// Bytes on a boundary that every block format may lie on.
#[derive(Default)]
struct Bytes {
    words: Vec<u64>,
    length: usize,
}

impl Weights {
    /// The weights of a file; nothing is read yet.
    #[must_use]
    pub fn new(file: Arc<dyn ModelFile>) -> Self {
        Self::adapted(file, Vec::new())
    }

    /// The weights of a file as LoRA adapters change them.
    #[must_use]
    pub(crate) fn adapted(file: Arc<dyn ModelFile>, adapters: Vec<Scaled>) -> Self {
        Self { file, open: Mutex::default(), tensors: Mutex::default(), adapters }
    }

    /// Whether the model has a tensor of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.file.tensor(name).is_some()
    }

    /// Values of a row, and the number of rows, all outer dimensions multiplied.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<(usize, usize)> {
        let place = self.file.tensor(name)?;
        flat(&place.shape)
    }

    /// One row.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub fn row(&self, name: &str, row: usize) -> Result<Vec<f32>, WeightError> {
        self.rows(name, row..row.saturating_add(1))
    }

    /// Rows, one after the other.
    ///
    /// # Errors
    /// Where one is not there, or cannot be read.
    pub fn rows(&self, name: &str, range: Range<usize>) -> Result<Vec<f32>, WeightError> {
        let tensor = self.tensor(name)?;
        tensor.check_rows(&range)?;
        let mut out = Vec::with_capacity(range.len() * tensor.length);
        tensor.scan(range, |_, values| out.extend_from_slice(values))?;
        Ok(out)
    }

    /// A whole tensor.
    ///
    /// # Errors
    /// Where it is not there, or cannot be read.
    pub fn vector(&self, name: &str) -> Result<Vec<f32>, WeightError> {
        let rows = self.tensor(name)?.rows;
        self.rows(name, 0..rows)
    }

    /// Calls `each` with the first row's index and the values of some whole rows, until all of `range` has gone by.
    ///
    /// # Errors
    /// Where a row is not there, or cannot be read.
    pub fn scan(
        &self,
        name: &str,
        range: Range<usize>,
        each: impl FnMut(usize, &[f32]),
    ) -> Result<(), WeightError> {
        let tensor = self.tensor(name)?;
        tensor.check_rows(&range)?;
        tensor.scan(range, each)
    }

    /// The matrix that makes logits of the stream; the embedding table where the two are one.
    #[must_use]
    pub fn output_name(&self) -> &'static str {
        if self.has("output.weight") { "output.weight" } else { "token_embd.weight" }
    }

    /// One value of every row.
    ///
    /// # Errors
    /// Where there is no such column, or it cannot be read.
    pub fn column(&self, name: &str, column: usize) -> Result<Vec<f32>, WeightError> {
        Ok(self.columns(name, &[column])?.swap_remove(0))
    }

    /// Several columns, in the order they were asked for.
    ///
    /// # Errors
    /// As for [`Self::column`].
    pub fn columns(&self, name: &str, columns: &[usize]) -> Result<Vec<Vec<f32>>, WeightError> {
        let rows = self.tensor(name)?.rows;
        self.columns_within(name, 0..rows, columns)
    }

    /// Several columns of some rows: of one expert's matrix where a tensor holds those of all.
    ///
    /// # Errors
    /// As for [`Self::column`].
    pub fn columns_within(
        &self,
        name: &str,
        rows: Range<usize>,
        columns: &[usize],
    ) -> Result<Vec<Vec<f32>>, WeightError> {
        let tensor = self.tensor(name)?;
        tensor.check_rows(&rows)?;
        if let Some(beyond) = columns.iter().find(|column| **column >= tensor.length) {
            return Err(tensor.beyond(format!("column {beyond}")));
        }
        if columns.is_empty() { Ok(Vec::new()) } else { tensor.columns(rows, columns) }
    }

    /// Adds to products of a matrix, one after the other as their inputs are, what adapters add to them.
    ///
    /// # Errors
    /// Where an adapter's part cannot be read.
    pub(crate) fn adapt(&self, name: &str, inputs: &[f32], products: &mut [f32]) -> Result<(), WeightError> {
        if self.adapters.is_empty() {
            return Ok(());
        }
        let tensor = self.tensor(name)?;
        let columns = inputs.chunks_exact(tensor.length.max(1));
        for (input, product) in columns.zip(products.chunks_exact_mut(tensor.rows.max(1))) {
            tensor.deltas.iter().for_each(|delta| delta.apply(input, product));
        }
        Ok(())
    }

    /// A number of the metadata below the architecture's name: `attention.layer_norm_rms_epsilon`.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        let architecture = self.file.text("general.architecture")?;
        self.file.number(&format!("{architecture}.{key}"))
    }

    fn tensor(&self, name: &str) -> Result<Arc<Tensor>, WeightError> {
        if let Some(tensor) = self.tensors.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(Arc::clone(tensor));
        }
        let mut tensor = self.find(name)?;
        if let Some(scale) = name.strip_suffix(".weight").map(|stem| format!("{stem}.scale"))
            && self.has(&scale)
        {
            tensor.scales = self.vector(&scale)?;
            if tensor.scales.is_empty() || !tensor.rows.is_multiple_of(tensor.scales.len()) {
                return Err(tensor.wrong(format!("has {} scales", tensor.scales.len())));
            }
        }
        tensor.deltas = self.deltas(name, (tensor.rows, tensor.length))?;
        let tensor = Arc::new(tensor);
        self.tensors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), Arc::clone(&tensor));
        Ok(tensor)
    }

    /// What the adapters add to a tensor.
    fn deltas(&self, name: &str, shape: (usize, usize)) -> Result<Vec<Delta>, WeightError> {
        let mut all = Vec::new();
        let (a, b) = (format!("{name}.lora_a"), format!("{name}.lora_b"));
        for adapter in &self.adapters {
            let halves = Self::new(Arc::clone(&adapter.file));
            let (Some((in_a, _)), Some((in_b, _))) = (halves.shape(&a), halves.shape(&b)) else { continue };
            // B's rows are as long as the rank, those of the embedding table too: there A's are.
            let (a, b) = (halves.vector(&a)?, halves.vector(&b)?);
            all.extend(Delta::new(name, (a, in_a), (b, in_b), adapter.factor(in_b), shape));
        }
        Ok(all)
    }

    /// A tensor without its scales, held against what its format says.
    fn find(&self, name: &str) -> Result<Tensor, WeightError> {
        let place = self.file.tensor(name).ok_or_else(|| WeightError::Missing(name.to_owned()))?;
        let wrong =
            |what: String| WeightError::Format { name: name.to_owned(), path: place.path.clone(), what };
        let format = Format::of(place.kind).ok_or_else(|| {
            wrong(format!("is in number format {}, which this version cannot read", place.kind))
        })?;
        let (length, rows) = flat(&place.shape).ok_or_else(|| wrong("is too large".to_owned()))?;
        if length == 0 || !length.is_multiple_of(format.block) {
            return Err(wrong(format!("has rows of {length} values, which are not whole blocks")));
        }
        let bytes = (length / format.block)
            .checked_mul(format.bytes)
            .and_then(|row| row.checked_mul(rows))
            .and_then(|bytes| u64::try_from(bytes).ok());
        if bytes != Some(place.bytes) {
            return Err(wrong(format!("takes {} bytes, which its shape does not fill", place.bytes)));
        }
        let file = self.open(name, &place.path)?;
        Ok(Tensor {
            name: name.to_owned(),
            path: place.path,
            file,
            offset: place.offset,
            length,
            rows,
            format,
            scales: Vec::new(),
            deltas: Vec::new(),
        })
    }

    fn open(&self, name: &str, path: &Path) -> Result<Arc<File>, WeightError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(path) {
            return Ok(Arc::clone(file));
        }
        let file = File::open(path).map(Arc::new).map_err(|source| WeightError::Io {
            name: name.to_owned(),
            path: path.to_owned(),
            source,
        })?;
        open.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}

impl Tensor {
    fn row_bytes(&self) -> usize {
        self.length / self.format.block * self.format.bytes
    }

    fn check_rows(&self, range: &Range<usize>) -> Result<(), WeightError> {
        if range.start > range.end || range.end > self.rows {
            return Err(self.beyond(format!("rows {} to {}", range.start, range.end.saturating_sub(1))));
        }
        Ok(())
    }

    fn beyond(&self, what: String) -> WeightError {
        WeightError::Bounds {
            name: self.name.clone(),
            path: self.path.clone(),
            rows: self.rows,
            length: self.length,
            what,
        }
    }

    fn wrong(&self, what: String) -> WeightError {
        WeightError::Format { name: self.name.clone(), path: self.path.clone(), what }
    }

    fn scan(&self, range: Range<usize>, mut each: impl FnMut(usize, &[f32])) -> Result<(), WeightError> {
        let mut values = Vec::new();
        self.chunks(range, |first, bytes| {
            values.clear();
            values.resize(bytes.length / self.format.bytes * self.format.block, 0.0);
            self.format.dequantise(bytes, &mut values);
            for (row, values) in (first..).zip(values.chunks_exact_mut(self.length)) {
                self.scale(row, values);
                self.deltas.iter().for_each(|delta| delta.add(row, values));
            }
            each(first, &values);
        })
    }

    fn columns(&self, rows: Range<usize>, columns: &[usize]) -> Result<Vec<Vec<f32>>, WeightError> {
        let Format { block, bytes: size, .. } = self.format;
        let mut blocks: Vec<usize> = columns.iter().map(|column| column / block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let width = blocks.len() * block;
        let places: Vec<usize> = columns
            .iter()
            .map(|column| blocks.partition_point(|at| *at < column / block) * block + column % block)
            .collect();
        let mut out = vec![Vec::with_capacity(rows.len()); columns.len()];
        let (mut wanted, mut values) = (Bytes::default(), Vec::new());
        self.chunks(rows, |first, bytes| {
            let rows = bytes.length / self.row_bytes();
            wanted.resize(rows * blocks.len() * size);
            let mut to = wanted.as_mut_slice().chunks_exact_mut(size);
            for row in bytes.as_slice().chunks_exact(self.row_bytes()) {
                for (at, to) in blocks.iter().zip(&mut to) {
                    to.copy_from_slice(&row[at * size..][..size]);
                }
            }
            values.clear();
            values.resize(rows * width, 0.0);
            self.format.dequantise(&wanted, &mut values);
            for (row, values) in (first..).zip(values.chunks_exact_mut(width)) {
                self.scale(row, values);
                for ((values_of, at), column) in out.iter_mut().zip(&places).zip(columns) {
                    let added: f32 = self.deltas.iter().map(|delta| delta.at(row, *column)).sum();
                    values_of.push(values[*at] + added);
                }
            }
        })?;
        Ok(out)
    }

    /// Calls `each` with the first row's index and the bytes of some whole rows, at least one.
    fn chunks(&self, range: Range<usize>, mut each: impl FnMut(usize, &Bytes)) -> Result<(), WeightError> {
        let row_bytes = self.row_bytes();
        let step = (CHUNK / row_bytes).max(1);
        let mut bytes = Bytes::default();
        let mut first = range.start;
        while first < range.end {
            let count = step.min(range.end - first);
            bytes.resize(count * row_bytes);
            let offset = (first * row_bytes) as u64 + self.offset;
            read_at(&self.file, &self.path, bytes.as_mut_slice(), offset).map_err(|source| {
                WeightError::Io { name: self.name.clone(), path: self.path.clone(), source }
            })?;
            each(first, &bytes);
            first += count;
        }
        Ok(())
    }

    fn scale(&self, row: usize, values: &mut [f32]) {
        if !self.scales.is_empty() {
            let scale = self.scales[row / (self.rows / self.scales.len())];
            for value in values {
                *value *= scale;
            }
        }
    }
}

impl Format {
    /// The format that ggml gives this number, if this build can make floats of it.
    fn of(kind: u32) -> Option<Self> {
        if kind == sys::GGML_TYPE_F32 {
            return Some(Self { block: 1, bytes: size_of::<f32>(), to_float: None });
        }
        if kind >= sys::GGML_TYPE_COUNT {
            return None;
        }
        // SAFETY: the number is below the count of this build, so the entry of a static table comes back.
        let traits = unsafe { &*sys::ggml_get_type_traits(kind) };
        let block = usize::try_from(traits.blck_size).ok().filter(|block| *block > 0)?;
        (traits.type_size > 0).then_some(Self {
            block,
            bytes: traits.type_size,
            to_float: Some(traits.to_float?),
        })
    }

    /// Makes floats of whole blocks.
    ///
    /// # Panics
    /// Where `bytes` are not exactly the blocks of `values`.
    fn dequantise(&self, bytes: &Bytes, values: &mut [f32]) {
        assert!(
            values.len().is_multiple_of(self.block) && values.len() / self.block * self.bytes == bytes.length,
            "the buffers are made for each other"
        );
        let count = i64::try_from(values.len()).expect("memory holds fewer than 2^63 floats");
        match self.to_float {
            None => {
                for (value, bytes) in values.iter_mut().zip(bytes.as_slice().as_chunks().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
            // SAFETY: the function reads `values.len() / block` blocks and writes `values.len()` floats; the
            // assertion says that both are there. The bytes begin on an 8-byte boundary, no block needs a wider one.
            Some(to_float) => unsafe {
                to_float(bytes.words.as_ptr().cast(), values.as_mut_ptr(), count);
            },
        }
    }
}

impl Bytes {
    fn resize(&mut self, length: usize) {
        self.words.resize(length.div_ceil(size_of::<u64>()), 0);
        self.length = length;
    }

    fn as_slice(&self) -> &[u8] {
        // SAFETY: the words are at least `length` initialised bytes, as `resize` made them.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.length) }
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above; the words are borrowed for as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), self.length) }
    }
}

/// Values of a row, and rows, of a shape with the innermost dimension first.
fn flat(shape: &[u64]) -> Option<(usize, usize)> {
    let mut sizes = shape.iter().map(|size| usize::try_from(*size).ok());
    let length = sizes.next()??;
    let rows = sizes.try_fold(1_usize, |rows, size| rows.checked_mul(size?))?;
    Some((length, rows))
}

#[cfg(unix)]
fn read_at(file: &File, _: &Path, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Threads would move each other's position, so each read has a handle of its own.
#[cfg(not(unix))]
fn read_at(_: &File, path: &Path, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

#[cfg(test)]
#[path = "weights_tests.rs"]
mod tests;

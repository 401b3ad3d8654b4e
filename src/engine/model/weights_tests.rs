//! Weights out of small files made here.

use std::io::Write as _;

use super::*;
use crate::model_entry::TensorPlace;

/// A file with one tensor, `blk.0.a.weight`, and perhaps its scales.
struct Small {
    place: TensorPlace,
    scale: Option<TensorPlace>,
}

impl ModelFile for Small {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
    fn tensor(&self, name: &str) -> Option<TensorPlace> {
        match name {
            "blk.0.a.weight" => Some(self.place.clone()),
            "blk.0.a.scale" => self.scale.clone(),
            _ => None,
        }
    }
    fn number(&self, key: &str) -> Option<f64> {
        (key == "llama.rope.freq_base").then_some(10_000.0)
    }
    fn text(&self, key: &str) -> Option<String> {
        (key == "general.architecture").then(|| "llama".to_owned())
    }
    fn numbers(&self, _: &str) -> Option<Vec<f64>> {
        None
    }
    fn texts(&self, _: &str) -> Option<Vec<String>> {
        None
    }
}

const NAME: &str = "blk.0.a.weight";

/// The tensor of these bytes, after seven others; the file lives as long as the second.
fn small(kind: u32, shape: &[u64], bytes: &[u8]) -> (Small, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[0xFF; 7]).unwrap();
    file.write_all(bytes).unwrap();
    let place = TensorPlace {
        path: file.path().to_owned(),
        shape: shape.to_vec(),
        kind,
        offset: 7,
        bytes: bytes.len() as u64,
    };
    (Small { place, scale: None }, file)
}

fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Rows of 64 values in `Q8_0`: row r's first block is r + 1 times 0, 1, 2, …, its second the negative.
fn quantised(rows: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in 0..rows {
        for sign in [1_i8, -1] {
            // Halves of 1.0, 2.0, …: exponent 15 + log2; rows 1, 2 and 4 are powers of two.
            let scale = 0x3C00_u16 + u16::from((row + 1).ilog2() as u8) * 0x400;
            bytes.extend(scale.to_le_bytes());
            bytes.extend((0..32_i8).map(|value| (value * sign) as u8));
        }
    }
    bytes
}

#[test]
fn floats_come_as_they_are() {
    let (file, _kept) = small(sys::GGML_TYPE_F32, &[3, 2, 2], &floats((0..12).map(|v| v as f32 / 2.0)));
    let weights = Weights::new(Arc::new(file));
    assert_eq!(weights.shape(NAME), Some((3, 4)));
    assert_eq!(weights.row(NAME, 1).unwrap(), [1.5, 2.0, 2.5]);
    assert_eq!(weights.rows(NAME, 2..4).unwrap(), [3.0, 3.5, 4.0, 4.5, 5.0, 5.5]);
    assert_eq!(weights.vector(NAME).unwrap().len(), 12);
    assert_eq!(weights.columns(NAME, &[2, 0]).unwrap(), [[1.0, 2.5, 4.0, 5.5], [0.0, 1.5, 3.0, 4.5]]);
    assert_eq!(weights.columns_within(NAME, 2..4, &[1]).unwrap(), [[3.5, 5.0]]);
}

#[test]
fn halves_become_floats() {
    let bytes: Vec<u8> = [0x3C00_u16, 0xC000].into_iter().flat_map(u16::to_le_bytes).collect();
    let (file, _kept) = small(sys::GGML_TYPE_F16, &[2], &bytes);
    assert_eq!(Weights::new(Arc::new(file)).vector(NAME).unwrap(), [1.0, -2.0]);
    let bytes: Vec<u8> = [0x3F80_u16, 0xC000].into_iter().flat_map(u16::to_le_bytes).collect();
    let (file, _kept) = small(sys::GGML_TYPE_BF16, &[2], &bytes);
    assert_eq!(Weights::new(Arc::new(file)).vector(NAME).unwrap(), [1.0, -2.0]);
}

#[test]
fn columns_of_blocks_are_the_columns_of_the_rows() {
    let (file, _kept) = small(sys::GGML_TYPE_Q8_0, &[64, 2], &quantised(2));
    let weights = Weights::new(Arc::new(file));
    let rows: Vec<Vec<f32>> = (0..2).map(|row| weights.row(NAME, row).unwrap()).collect();
    assert_eq!(rows[0][..3], [0.0, 1.0, 2.0]);
    assert!((rows[1][33] + 2.0).abs() < 1e-6);
    let asked = [63, 0, 5, 5, 40];
    for (column, values) in asked.iter().zip(weights.columns(NAME, &asked).unwrap()) {
        assert_eq!(values, [rows[0][*column], rows[1][*column]]);
    }
    assert_eq!(weights.column(NAME, 33).unwrap(), [-1.0, -2.0]);
}

#[test]
fn scales_of_their_own_are_multiplied_in() {
    let (mut file, kept) = small(sys::GGML_TYPE_F32, &[1, 4], &floats([1.0, 2.0, 3.0, 4.0, 10.0, 0.5]));
    file.place.bytes = 16;
    file.scale = Some(TensorPlace { shape: vec![2], offset: 7 + 16, bytes: 8, ..file.place.clone() });
    let weights = Weights::new(Arc::new(file));
    assert_eq!(weights.vector(NAME).unwrap(), [10.0, 20.0, 1.5, 2.0]);
    assert_eq!(weights.column(NAME, 0).unwrap(), [10.0, 20.0, 1.5, 2.0]);
    drop(kept);
}

#[test]
fn what_is_not_there_is_an_error_that_names_it() {
    let (file, kept) = small(sys::GGML_TYPE_F32, &[2, 2], &floats([1.0; 4]));
    let path = kept.path().display().to_string();
    let weights = Weights::new(Arc::new(file));
    let message = weights.row("blk.1.a.weight", 0).unwrap_err().to_string();
    assert!(message.contains("blk.1.a.weight"), "{message}");
    for error in [
        weights.row(NAME, 2).unwrap_err(),
        weights.rows(NAME, 1..3).unwrap_err(),
        weights.row(NAME, usize::MAX).unwrap_err(),
        weights.column(NAME, 2).unwrap_err(),
        weights.columns_within(NAME, 0..3, &[0]).unwrap_err(),
    ] {
        let message = error.to_string();
        assert!(message.contains(NAME) && message.contains(&path), "{message}");
    }
    assert!(weights.columns(NAME, &[]).unwrap().is_empty());
}

#[test]
fn a_header_that_contradicts_itself_never_reaches_native_code() {
    let bytes = quantised(2);
    let block = sys::GGML_TYPE_Q8_0;
    for (kind, shape, bytes) in [
        (999, vec![64, 2], bytes.as_slice()),
        // A number that was given up.
        (4, vec![64, 2], &bytes),
        (sys::GGML_TYPE_I32, vec![2], &bytes[..8]),
        (block, vec![65, 2], &bytes),
        (block, vec![0, 2], &[]),
        (block, vec![64, 3], &bytes),
        (block, vec![64, u64::MAX, 2], &bytes),
    ] {
        let (file, _kept) = small(kind, &shape, bytes);
        let error = Weights::new(Arc::new(file)).row(NAME, 0).unwrap_err();
        assert!(matches!(error, WeightError::Format { .. }), "{shape:?}: {error}");
    }
    let (mut file, _kept) = small(block, &[64, 2], &bytes);
    file.place.offset += 1;
    let error = Weights::new(Arc::new(file)).row(NAME, 1).unwrap_err();
    assert!(matches!(error, WeightError::Io { .. }), "{error}");
}

#[test]
fn numbers_of_the_metadata_are_found_below_the_architecture() {
    let (file, _kept) = small(sys::GGML_TYPE_F32, &[1], &floats([1.0]));
    let weights = Weights::new(Arc::new(file));
    assert_eq!(weights.number("rope.freq_base"), Some(10_000.0));
    assert_eq!(weights.number("rope.scaling.factor"), None);
    assert_eq!(weights.output_name(), "token_embd.weight");
}

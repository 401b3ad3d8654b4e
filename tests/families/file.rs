//! GGUF files as tests write them: metadata and weights in 32-bit floats or halves.
//!
//! Invariant: the weights in the file are the weights that were given, bit by bit.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::path::Path;

/// Weights by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// Some weights.
pub struct Tensor {
    /// Innermost dimension first.
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
    /// Whether the file holds them as halves.
    pub halves: bool,
}

/// A value of the metadata.
#[derive(Clone)]
pub enum Meta {
    Count(usize),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Counts(Vec<i32>),
    Bools(Vec<bool>),
    Floats(Vec<f32>),
}

/// Writes a file.
pub fn write(path: &Path, meta: &[(String, Meta)], tensors: &Tensors) {
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((meta.len() as u64).to_le_bytes());
    for (name, value) in meta {
        text(&mut out, name);
        self::value(&mut out, value);
    }
    let mut offset = 0_u64;
    for (name, Tensor { shape, values, halves }) in tensors {
        text(&mut out, name);
        out.extend((shape.len() as u32).to_le_bytes());
        for size in shape {
            out.extend((*size as u64).to_le_bytes());
        }
        out.extend(u32::from(*halves).to_le_bytes());
        out.extend(offset.to_le_bytes());
        let bytes = if *halves { 2 } else { 4 };
        offset = (offset + bytes * values.len() as u64).next_multiple_of(32);
    }
    for Tensor { values, halves, .. } in tensors.values() {
        out.resize(out.len().next_multiple_of(32), 0);
        for value in values {
            if *halves {
                out.extend(bits(*value).to_le_bytes());
            } else {
                out.extend(value.to_le_bytes());
            }
        }
    }
    std::fs::write(path, out).unwrap();
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn value(out: &mut Vec<u8>, value: &Meta) {
    let head = |out: &mut Vec<u8>, kind: u32| out.extend(kind.to_le_bytes());
    let list = |out: &mut Vec<u8>, kind: u32, count: usize| {
        head(out, 9);
        head(out, kind);
        out.extend((count as u64).to_le_bytes());
    };
    match value {
        Meta::Count(count) => {
            head(out, 4);
            out.extend((*count as u32).to_le_bytes());
        }
        Meta::Float(number) => {
            head(out, 6);
            out.extend((*number as f32).to_le_bytes());
        }
        Meta::Bool(yes) => {
            head(out, 7);
            out.push(u8::from(*yes));
        }
        Meta::Text(content) => {
            head(out, 8);
            text(out, content);
        }
        Meta::Texts(texts) => {
            list(out, 8, texts.len());
            for content in texts {
                text(out, content);
            }
        }
        Meta::Counts(counts) => {
            list(out, 5, counts.len());
            for count in counts {
                out.extend(count.to_le_bytes());
            }
        }
        Meta::Floats(numbers) => {
            list(out, 6, numbers.len());
            for number in numbers {
                out.extend(number.to_le_bytes());
            }
        }
        Meta::Bools(flags) => {
            list(out, 7, flags.len());
            out.extend(flags.iter().map(|flag| u8::from(*flag)));
        }
    }
}

/// The bits of a number that a half holds.
fn bits(value: f32) -> u16 {
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    let (size, least) = (f64::from(value.abs()), 2.0_f64.powi(-14));
    if size < least {
        return sign | (size / least * 1024.0) as u16;
    }
    let exponent = size.log2().floor();
    sign | (((exponent as i32 + 15) as u16) << 10) | ((size / exponent.exp2() - 1.0) * 1024.0) as u16
}

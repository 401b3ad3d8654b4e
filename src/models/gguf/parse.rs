//! From bytes to metadata and tensor places.
//!
//! Invariant: counts, lengths, types and ranges are checked before they are used; values that may be long
//! are remembered by place ([`Stored`]) and read by [`load`] when asked for.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::format::TensorType;
use super::scan::{Scan, Source};
use super::{GgufError, MAGIC, TensorInfo, foreign};

const MAX_TENSORS: u64 = 100_000;
/// The specification has no limit; each entry must have its bytes in the file.
const MAX_METADATA: u64 = 1 << 22;
/// The least that an entry takes: the length of its key, its type and one byte.
const LEAST_ENTRY: u64 = 13;
/// A text that is asked for; others may be as long as the file.
const MAX_TEXT: u64 = 32 << 20;
/// Values of a list that is asked for, and texts of all lists together, which have to be counted one by one.
const MAX_LIST: u64 = 1 << 24;
/// As the specification says.
const MAX_KEY: u64 = u16::MAX as u64;
/// ggml keeps 64 bytes for a tensor's name, the last of them 0.
const MAX_TENSOR_NAME: u64 = 63;
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any of the unsigned integer types.
    Unsigned(u64),
    /// Any of the signed integer types.
    Signed(i64),
    /// f32 or f64.
    Float(f64),
    /// true or false.
    Bool(bool),
    /// A text; bytes that are no UTF-8 became �.
    Text(String),
    /// A list.
    Array(Array),
}

/// A list's values; all of one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Any of the unsigned integer types.
    Unsigned(Vec<u64>),
    /// Any of the signed integer types.
    Signed(Vec<i64>),
    /// f32 or f64.
    Float(Vec<f64>),
    /// true or false.
    Bool(Vec<bool>),
    /// Texts; bytes that are no UTF-8 became �.
    Text(Vec<String>),
}

/// A value as the header keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stored {
    /// Small ones are kept.
    Number(Number),
    /// Where its length field stands.
    Text { offset: u64 },
    /// Where its type field stands.
    Array { offset: u64, kind: Kind, count: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
}

/// GGUF's value types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

/// One file's header.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) metadata: BTreeMap<String, Stored>,
    pub(super) tensors: Vec<TensorInfo>,
}

/// Reads one file's header; `file` is its place among the model's parts.
pub(super) fn parse<R: Source>(scan: &mut Scan<'_, R>, file: usize) -> Result<Parsed, GgufError> {
    check_version(scan)?;
    let tensor_count = count(scan, "tensors", MAX_TENSORS)?;
    let metadata_count = count(scan, "metadata entries", MAX_METADATA)?;
    scan.reaches(scan.position().checked_add(metadata_count * LEAST_ENTRY))?;
    let metadata = read_metadata(scan, metadata_count)?;
    let alignment = alignment(scan, &metadata)?;
    let tensors = read_tensors(scan, tensor_count, alignment, file)?;
    Ok(Parsed { metadata, tensors })
}

/// An error if two tensors share a name.
pub(super) fn check_names(path: &Path, tensors: &[TensorInfo]) -> Result<(), GgufError> {
    let mut seen = HashSet::with_capacity(tensors.len());
    match tensors.iter().find(|tensor| !seen.insert(tensor.name.as_str())) {
        None => Ok(()),
        Some(tensor) => Err(GgufError::Damaged {
            path: path.to_owned(),
            what: format!("two tensors are called {}", shown(&tensor.name)),
        }),
    }
}

/// Reads a remembered value; `scan` stands at its offset.
pub(super) fn load<R: Source>(scan: &mut Scan<'_, R>, stored: &Stored) -> Result<Value, GgufError> {
    match *stored {
        Stored::Number(number) => Ok(number.value()),
        Stored::Text { .. } => scan.text(MAX_TEXT, "a text").map(Value::Text),
        Stored::Array { kind, count, .. } => {
            if count > MAX_LIST {
                let what = format!("a list that is needed has {count} entries, the limit is {MAX_LIST}");
                return Err(scan.damaged(what));
            }
            scan.skip(12)?;
            load_list(scan, kind, count).map(Value::Array)
        }
    }
}

/// A name out of a file, short and harmless enough for a sentence.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

fn check_version<R: Source>(scan: &mut Scan<'_, R>) -> Result<(), GgufError> {
    if scan.size() < 4 || scan.bytes()? != MAGIC {
        let path = scan.path().to_owned();
        return Err(GgufError::NotGguf { what: foreign::what(&path), path });
    }
    let version = scan.u32()?;
    if (2..=3).contains(&version) {
        return Ok(());
    }
    let remark = if version.trailing_zeros() >= 16 {
        " (perhaps written for machines of the other byte order)"
    } else {
        ""
    };
    Err(GgufError::Version { path: scan.path().to_owned(), version, remark })
}

fn count<R: Source>(scan: &mut Scan<'_, R>, what: &str, most: u64) -> Result<u64, GgufError> {
    let count = scan.u64()?;
    if count > most {
        return Err(scan.damaged(format!("it claims {count} {what}, the limit is {most}")));
    }
    Ok(count)
}

fn read_metadata<R: Source>(
    scan: &mut Scan<'_, R>,
    count: u64,
) -> Result<BTreeMap<String, Stored>, GgufError> {
    let mut metadata = BTreeMap::new();
    // Shared by all lists, so that a thousand lists cost no more time than one.
    let mut texts_left = MAX_LIST;
    for _ in 0..count {
        let key = scan.text(MAX_KEY, "a metadata key")?;
        let kind = kind(scan, &key)?;
        let stored = read_value(scan, kind, &key, &mut texts_left)?;
        if metadata.insert(key.clone(), stored).is_some() {
            return Err(scan.damaged(format!("the metadata key {} is there twice", shown(&key))));
        }
    }
    Ok(metadata)
}

fn read_value<R: Source>(
    scan: &mut Scan<'_, R>,
    kind: Kind,
    key: &str,
    texts_left: &mut u64,
) -> Result<Stored, GgufError> {
    let offset = scan.position();
    match kind {
        Kind::Text => {
            scan.skip_text()?;
            Ok(Stored::Text { offset })
        }
        Kind::Array => {
            let (kind, count) = skip_list(scan, key, texts_left)?;
            Ok(Stored::Array { offset, kind, count })
        }
        number => read_number(scan, number).map(Stored::Number),
    }
}

fn skip_list<R: Source>(
    scan: &mut Scan<'_, R>,
    key: &str,
    texts_left: &mut u64,
) -> Result<(Kind, u64), GgufError> {
    let kind = kind(scan, key)?;
    let count = scan.u64()?;
    match kind {
        Kind::Array => return Err(scan.damaged(format!("{} is a list of lists", shown(key)))),
        Kind::Text => {
            // Each text has at least a length field, so a short file is found out before the loop.
            scan.reaches(scan.position().checked_add(count.saturating_mul(8)))?;
            *texts_left = texts_left
                .checked_sub(count)
                .ok_or_else(|| scan.damaged(format!("its lists hold over {MAX_LIST} texts")))?;
            for _ in 0..count {
                scan.skip_text()?;
            }
        }
        number => scan.skip(count.saturating_mul(number.width()))?,
    }
    Ok((kind, count))
}

fn load_list<R: Source>(scan: &mut Scan<'_, R>, kind: Kind, count: u64) -> Result<Array, GgufError> {
    if kind == Kind::Text {
        // Grows as it reads: the file may have changed since the lengths were checked.
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(scan.text(MAX_TEXT, "a text")?);
        }
        return Ok(Array::Text(texts));
    }
    let mut list = match kind {
        Kind::F32 | Kind::F64 => Array::Float(Vec::new()),
        Kind::Bool => Array::Bool(Vec::new()),
        Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 => Array::Signed(Vec::new()),
        _ => Array::Unsigned(Vec::new()),
    };
    for _ in 0..count {
        match (&mut list, read_number(scan, kind)?) {
            (Array::Float(values), Number::Float(value)) => values.push(value),
            (Array::Bool(values), Number::Bool(value)) => values.push(value),
            (Array::Signed(values), Number::Signed(value)) => values.push(value),
            (Array::Unsigned(values), Number::Unsigned(value)) => values.push(value),
            _ => return Err(scan.damaged("a list of mixed types".to_owned())),
        }
    }
    Ok(list)
}

fn kind<R: Source>(scan: &mut Scan<'_, R>, key: &str) -> Result<Kind, GgufError> {
    let number = scan.u32()?;
    Kind::from_number(number)
        .ok_or_else(|| scan.damaged(format!("{} has the unknown value type {number}", shown(key))))
}

fn read_number<R: Source>(scan: &mut Scan<'_, R>, kind: Kind) -> Result<Number, GgufError> {
    Ok(match kind {
        Kind::U8 => Number::Unsigned(u64::from(u8::from_le_bytes(scan.bytes()?))),
        Kind::I8 => Number::Signed(i64::from(i8::from_le_bytes(scan.bytes()?))),
        Kind::U16 => Number::Unsigned(u64::from(u16::from_le_bytes(scan.bytes()?))),
        Kind::I16 => Number::Signed(i64::from(i16::from_le_bytes(scan.bytes()?))),
        Kind::U32 => Number::Unsigned(u64::from(scan.u32()?)),
        Kind::I32 => Number::Signed(i64::from(i32::from_le_bytes(scan.bytes()?))),
        Kind::F32 => Number::Float(f64::from(f32::from_le_bytes(scan.bytes()?))),
        Kind::Bool => Number::Bool(scan.bytes::<1>()? != [0]),
        Kind::U64 => Number::Unsigned(scan.u64()?),
        Kind::I64 => Number::Signed(i64::from_le_bytes(scan.bytes()?)),
        Kind::F64 => Number::Float(f64::from_le_bytes(scan.bytes()?)),
        Kind::Text | Kind::Array => return Err(scan.damaged("a text where a number belongs".to_owned())),
    })
}

fn alignment<R: Source>(scan: &Scan<'_, R>, metadata: &BTreeMap<String, Stored>) -> Result<u64, GgufError> {
    match metadata.get("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Stored::Number(Number::Unsigned(value))) if value.is_power_of_two() && *value <= 1 << 20 => {
            Ok(*value)
        }
        Some(_) => Err(scan.damaged("its alignment is not a power of two".to_owned())),
    }
}

fn read_tensors<R: Source>(
    scan: &mut Scan<'_, R>,
    count: u64,
    alignment: u64,
    file: usize,
) -> Result<Vec<TensorInfo>, GgufError> {
    let mut tensors = Vec::new();
    for _ in 0..count {
        tensors.push(read_tensor(scan, alignment, file)?);
    }
    let data = scan.position().next_multiple_of(alignment);
    for tensor in &mut tensors {
        let start = data.checked_add(tensor.offset);
        scan.reaches(start.and_then(|start| start.checked_add(tensor.bytes)))?;
        tensor.offset += data;
    }
    Ok(tensors)
}

/// A tensor with its offset still counted from the data's start.
fn read_tensor<R: Source>(
    scan: &mut Scan<'_, R>,
    alignment: u64,
    file: usize,
) -> Result<TensorInfo, GgufError> {
    let name = scan.text(MAX_TENSOR_NAME, "a tensor's name")?;
    let dimensions = scan.u32()?;
    if dimensions > MAX_DIMENSIONS {
        return Err(scan.damaged(format!("the tensor {} has {dimensions} dimensions", shown(&name))));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        shape.push(scan.u64()?);
    }
    let number = scan.u32()?;
    let kind = TensorType::from_number(number)
        .ok_or_else(|| GgufError::UnknownType { path: scan.path().to_owned(), number })?;
    let offset = scan.u64()?;
    if !offset.is_multiple_of(alignment) {
        return Err(scan.damaged(format!("the tensor {} begins at an odd place", shown(&name))));
    }
    let bytes = tensor_bytes(&shape, kind)
        .ok_or_else(|| scan.damaged(format!("the tensor {} has an impossible shape", shown(&name))))?;
    Ok(TensorInfo { name, shape, kind, file, offset, bytes })
}

fn tensor_bytes(shape: &[u64], kind: TensorType) -> Option<u64> {
    let elements = shape.iter().try_fold(1_u64, |product, length| product.checked_mul(*length))?;
    let row = shape.first().copied().unwrap_or(1);
    row.is_multiple_of(kind.block_elements())
        .then(|| (elements / kind.block_elements()).checked_mul(kind.block_bytes()))
        .flatten()
}

impl Stored {
    /// The value, if it is a number or a truth value.
    pub(super) fn scalar(&self) -> Option<Value> {
        match self {
            Self::Number(number) => Some(number.value()),
            Self::Text { .. } | Self::Array { .. } => None,
        }
    }
}

impl Number {
    fn value(self) -> Value {
        match self {
            Self::Unsigned(value) => Value::Unsigned(value),
            Self::Signed(value) => Value::Signed(value),
            Self::Float(value) => Value::Float(value),
            Self::Bool(value) => Value::Bool(value),
        }
    }
}

impl Kind {
    fn from_number(number: u32) -> Option<Self> {
        const KINDS: [Kind; 13] = [
            Kind::U8,
            Kind::I8,
            Kind::U16,
            Kind::I16,
            Kind::U32,
            Kind::I32,
            Kind::F32,
            Kind::Bool,
            Kind::Text,
            Kind::Array,
            Kind::U64,
            Kind::I64,
            Kind::F64,
        ];
        KINDS.get(number as usize).copied()
    }

    /// Bytes of one number; 0 for what has no fixed width.
    fn width(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Text | Self::Array => 0,
        }
    }
}

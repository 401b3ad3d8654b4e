//! A model's header as the engine uses it: shared by its threads.
//!
//! Invariant: one reader at a time moves the file's position.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Array, GgufError, Header, Value};
use crate::model_entry::{ModelFile, TensorPlace};

/// A header that several threads read from.
#[derive(Debug)]
pub struct SharedHeader(Mutex<Header>);

impl SharedHeader {
    /// Reads the header of the model at `path`.
    ///
    /// # Errors
    /// [`GgufError`] for anything that is not a whole and sound GGUF model.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        Ok(Self(Mutex::new(Header::read(path)?)))
    }

    fn header(&self) -> MutexGuard<'_, Header> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn value(&self, key: &str) -> Option<Value> {
        self.header().metadata(key).unwrap_or_else(|error| {
            tracing::warn!(key, %error, "the model's file can no longer be read");
            None
        })
    }
}

impl ModelFile for SharedHeader {
    fn names(&self) -> Vec<String> {
        self.header().tensors().iter().map(|tensor| tensor.name.clone()).collect()
    }

    fn tensor(&self, name: &str) -> Option<TensorPlace> {
        let header = self.header();
        let tensor = header.tensor(name)?;
        Some(TensorPlace {
            path: header.files()[tensor.file].clone(),
            shape: tensor.shape.clone(),
            kind: tensor.kind.number(),
            offset: tensor.offset,
            bytes: tensor.bytes,
        })
    }

    fn number(&self, key: &str) -> Option<f64> {
        match self.value(key)? {
            Value::Unsigned(number) => Some(number as f64),
            Value::Signed(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            Value::Bool(yes) => Some(f64::from(u8::from(yes))),
            Value::Text(_) | Value::Array(_) => None,
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        match self.value(key)? {
            Value::Array(Array::Unsigned(list)) => Some(list.into_iter().map(|n| n as f64).collect()),
            Value::Array(Array::Signed(list)) => Some(list.into_iter().map(|n| n as f64).collect()),
            Value::Array(Array::Float(list)) => Some(list),
            Value::Array(Array::Bool(list)) => {
                Some(list.into_iter().map(|yes| f64::from(u8::from(yes))).collect())
            }
            _ => None,
        }
    }

    fn texts(&self, key: &str) -> Option<Vec<String>> {
        match self.value(key)? {
            Value::Array(Array::Text(list)) => Some(list),
            _ => None,
        }
    }
}

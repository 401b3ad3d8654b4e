//! Long lists of f32 in what crosses the pipe: little-endian bytes where the format is binary, plain numbers in JSON.
//! For serde's `with`.
//!
//! Invariant: both forms are read, whatever the format; every value comes back to the last bit from the binary one.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserializer, Serialize, Serializer};

/// The values as bytes, or as numbers in a format for people.
///
/// # Errors
/// The format's own.
pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return values.serialize(serializer);
    }
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    serializer.serialize_bytes(&bytes)
}

/// The values, from either form.
///
/// # Errors
/// The format's own, and for bytes that are not a whole number of values.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    deserializer.deserialize_any(Floats)
}

struct Floats;

impl<'de> Visitor<'de> for Floats {
    type Value = Vec<f32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("f32 values, as little-endian bytes or as numbers")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        let (values, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(E::invalid_length(bytes.len(), &self));
        }
        Ok(values.iter().map(|four| f32::from_le_bytes(*four)).collect())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        // A claimed length is not believed: memory is taken as values arrive.
        let mut all = Vec::new();
        while let Some(value) = values.next_element()? {
            all.push(value);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Packed {
        #[serde(default, with = "super")]
        values: Vec<f32>,
    }

    #[derive(Serialize)]
    struct Plain {
        values: Vec<f32>,
    }

    const VALUES: [f32; 4] = [0.0, -1.5, f32::MIN_POSITIVE, f32::MAX];

    #[test]
    fn values_take_four_bytes_each_in_a_frame_and_come_back_to_the_last_bit() {
        let packed = Packed { values: VALUES.repeat(250) };
        let bytes = rmp_serde::to_vec_named(&packed).unwrap();
        assert!(bytes.len() < 4_000 + 16, "{} bytes", bytes.len());
        assert_eq!(rmp_serde::from_slice::<Packed>(&bytes).unwrap(), packed);
    }

    #[test]
    fn numbers_one_by_one_are_read_too() {
        let plain = rmp_serde::to_vec_named(&Plain { values: VALUES.to_vec() }).unwrap();
        assert_eq!(rmp_serde::from_slice::<Packed>(&plain).unwrap(), Packed { values: VALUES.to_vec() });
    }

    #[test]
    fn json_shows_numbers() {
        let packed = Packed { values: vec![0.5, -1.0] };
        let json = serde_json::to_string(&packed).unwrap();
        assert_eq!(json, r#"{"values":[0.5,-1.0]}"#);
        assert_eq!(serde_json::from_str::<Packed>(&json).unwrap(), packed);
    }

    #[test]
    fn half_a_value_is_an_error() {
        let bytes = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([(
            "values",
            serde_bytes::ByteBuf::from(vec![1, 2, 3]),
        )]));
        assert!(rmp_serde::from_slice::<Packed>(&bytes.unwrap()).is_err());
    }
}

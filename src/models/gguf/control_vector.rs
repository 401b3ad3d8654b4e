//! Control vectors as llama.cpp reads them: `direction.N`, in 32-bit floats, is added to the stream after block N.
//!
//! Invariant: what is written is read by [`super::Header`] and by llama.cpp alike; block 0 has no direction there.

use super::MAGIC;

/// Where the data begin: on a multiple of so many bytes, as each tensor does.
const ALIGNMENT: usize = 32;

/// A control vector as a file: what it is called, the architecture of the model that it was made with, and the vectors
/// by block.
#[must_use]
pub fn file(name: &str, architecture: &str, directions: &[(u32, Vec<f32>)]) -> Vec<u8> {
    let metadata = [
        ("general.architecture", "controlvector"),
        ("general.type", "controlvector"),
        ("general.name", name),
        ("controlvector.model_hint", architecture),
    ];
    let mut out = MAGIC.to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((directions.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64 + 1).to_le_bytes());
    for (key, value) in metadata {
        text(&mut out, key);
        out.extend(8_u32.to_le_bytes());
        text(&mut out, value);
    }
    text(&mut out, "controlvector.layer_count");
    out.extend(5_u32.to_le_bytes());
    out.extend((directions.len() as u32).to_le_bytes());
    let mut offset = 0;
    for (layer, values) in directions {
        text(&mut out, &format!("direction.{layer}"));
        out.extend(1_u32.to_le_bytes());
        out.extend((values.len() as u64).to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += (4 * values.len()).next_multiple_of(ALIGNMENT);
    }
    for (_, values) in directions {
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::gguf::{Header, Value};

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calm.gguf");
        let directions = [(3, vec![1.0, -2.0, 0.5]), (7, vec![0.0, 4.0, 5.0])];
        let bytes = file("calm − loud", "llama", &directions);
        std::fs::write(&path, &bytes).unwrap();
        let header = Header::read(&path).unwrap();
        let said = |key: &str| header.metadata(key).unwrap();
        assert_eq!(said("general.architecture"), Some(Value::Text("controlvector".into())));
        assert_eq!(said("general.name"), Some(Value::Text("calm − loud".into())));
        assert_eq!(said("controlvector.model_hint"), Some(Value::Text("llama".into())));
        for (layer, values) in directions {
            let tensor = header.tensor(&format!("direction.{layer}")).unwrap();
            let own = &bytes[tensor.offset as usize..][..tensor.bytes as usize];
            let read: Vec<f32> =
                own.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            assert_eq!((read, tensor.shape.as_slice()), (values, &[3][..]));
        }
    }
}

//! Small GGUF files written by tests.
//!
//! Invariant: [`Craft::new`] gives a sound model; a test then breaks exactly what it is about.

/// A GGUF file in the making.
#[derive(Clone, Debug)]
pub(crate) struct Craft {
    pub(crate) version: u32,
    pub(crate) metadata: Vec<(String, Vec<u8>)>,
    pub(crate) tensors: Vec<(String, Vec<u64>, u32)>,
}

impl Craft {
    /// A two-layer llama with a five-word vocabulary.
    pub(crate) fn new() -> Self {
        let tokens = ["<s>", "</s>", "a", "b", "c"];
        let metadata = vec![
            ("general.architecture".to_owned(), text("llama")),
            ("general.name".to_owned(), text("Tiny")),
            ("general.license".to_owned(), text("mit")),
            ("general.file_type".to_owned(), number(3)),
            ("llama.block_count".to_owned(), number(2)),
            ("llama.context_length".to_owned(), number(64)),
            ("llama.embedding_length".to_owned(), number(32)),
            ("llama.attention.head_count".to_owned(), number(4)),
            ("llama.attention.head_count_kv".to_owned(), number(2)),
            ("tokenizer.chat_template".to_owned(), text("{{ messages }}")),
            ("tokenizer.ggml.tokens".to_owned(), texts(&tokens)),
        ];
        let tensors = vec![
            ("token_embd.weight".to_owned(), vec![32, 5], 3),
            ("output_norm.weight".to_owned(), vec![32], 0),
        ];
        Self { version: 3, metadata, tensors }
    }

    /// With `key` set to an encoded value.
    pub(crate) fn with(mut self, key: &str, value: Vec<u8>) -> Self {
        self.metadata.retain(|(name, _)| name != key);
        self.metadata.push((key.to_owned(), value));
        self
    }

    /// Without `key`.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.metadata.retain(|(name, _)| name != key);
        self
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            out.extend(plain(key));
            out.extend(value);
        }
        let mut offset = 0_u64;
        for (name, shape, kind) in &self.tensors {
            out.extend(plain(name));
            out.extend((shape.len() as u32).to_le_bytes());
            for length in shape {
                out.extend(length.to_le_bytes());
            }
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += size(shape, *kind).next_multiple_of(32);
        }
        out.resize(out.len().next_multiple_of(32) + offset as usize, 0);
        out
    }
}

fn size(shape: &[u64], kind: u32) -> u64 {
    let elements: u64 = shape.iter().product();
    super::TensorType::from_number(kind)
        .map_or(0, |kind| elements / kind.block_elements() * kind.block_bytes())
}

fn plain(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A text value.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&8_u32.to_le_bytes()[..], &plain(text)].concat()
}

/// A u32 value.
pub(crate) fn number(value: u32) -> Vec<u8> {
    [4_u32.to_le_bytes(), value.to_le_bytes()].concat()
}

/// An f32 value.
pub(crate) fn decimal(value: f32) -> Vec<u8> {
    [6_u32.to_le_bytes(), value.to_le_bytes()].concat()
}

/// A u16 value.
pub(crate) fn short(value: u16) -> Vec<u8> {
    [&2_u32.to_le_bytes()[..], &value.to_le_bytes()].concat()
}

/// A list of texts.
pub(crate) fn texts(values: &[&str]) -> Vec<u8> {
    let head =
        [&9_u32.to_le_bytes()[..], &8_u32.to_le_bytes(), &(values.len() as u64).to_le_bytes()].concat();
    values.iter().fold(head, |out, value| [out, plain(value)].concat())
}

/// A list of u32.
pub(crate) fn numbers(values: &[u32]) -> Vec<u8> {
    let head =
        [&9_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), &(values.len() as u64).to_le_bytes()].concat();
    values.iter().fold(head, |out, value| [&out[..], &value.to_le_bytes()].concat())
}

/// A list header with any count and type and nothing after it.
pub(crate) fn empty_list(kind: u32, count: u64) -> Vec<u8> {
    [&9_u32.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes()].concat()
}

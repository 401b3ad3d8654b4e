//! What a GGUF file is, where it is not a model to chat with.
//!
//! Invariant: a file is called something else only for what its own header says.

use super::Header;
use super::parse::Value;

/// Architectures that read a text and give a vector.
const EMBEDDING: &[&str] = &[
    "bert",
    "modern-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "neo-bert",
    "jina-bert-v2",
    "jina-bert-v3",
    "eurobert",
    "gemma-embedding",
];
/// Architectures of two halves: one reads, the other writes.
const ENCODER_DECODER: &[&str] = &["t5", "t5encoder"];
/// Architectures of pictures and sounds.
const PROJECTOR: &[&str] = &["clip", "mmproj"];

impl Header {
    /// What the file is and what to take instead, as the rest of a sentence that begins with its name; `None` for a model
    /// to chat with.
    #[must_use]
    pub fn not_a_chat(&self) -> Option<String> {
        let text = |key: &str| match self.metadata(key) {
            Ok(Some(Value::Text(text))) => Some(text),
            _ => None,
        };
        let architecture = text("general.architecture").unwrap_or_default();
        let kind = text("general.type").unwrap_or_default();
        let pools = matches!(
            self.metadata(&format!("{architecture}.pooling_type")),
            Ok(Some(Value::Unsigned(1..) | Value::Signed(1..)))
        );
        let what = match (kind.as_str(), architecture.as_str()) {
            ("adapter", _) => {
                "is a LoRA adapter: changes to a model, not a model. Name the model that it was made for."
            }
            ("controlvector", _) | (_, "controlvector") => {
                "is a control vector: a direction to steer a model by, not a model. Name the model that it was made for."
            }
            ("imatrix", _) | (_, "imatrix") => {
                "is an importance matrix, which quantising a model uses. Name the model itself."
            }
            ("mmproj", _) => PROJECTOR_SAID,
            (_, architecture) if PROJECTOR.contains(&architecture) => PROJECTOR_SAID,
            (_, architecture) if EMBEDDING.contains(&architecture) || pools => {
                "is an embedding model: it turns texts into vectors and writes none. Take a model made for chat."
            }
            (_, architecture) if ENCODER_DECODER.contains(&architecture) => {
                "is an encoder-decoder (T5): it reads with one half and writes with the other, which a chat here does \
                 not do. Take a model made for chat."
            }
            _ if text("tokenizer.ggml.model").as_deref() == Some("gpt2")
                && text("tokenizer.ggml.pre").is_none() =>
            {
                "does not say how its tokenizer cuts text (no tokenizer.ggml.pre), so llama.cpp would cut it wrongly: it \
                 was converted long ago. Fetch a newer conversion."
            }
            _ => return None,
        };
        Some(what.to_owned())
    }
}

const PROJECTOR_SAID: &str = "is a projector: it lets another model see pictures or hear sounds, and cannot write by itself. \
                              Name the model that it belongs to.";

//! What a GGUF file is, where it is not a model to chat with.
//!
//! Invariant: a file is called something else only for what its own header says.

use super::Header;
use super::parse::{Array, Value};

/// Architectures of files that cannot be chatted with, with what is said of them.
const ARCHITECTURES: &[(&[&str], &str)] = &[
    (&["clip", "mmproj"], PROJECTOR),
    (&["controlvector"], CONTROL_VECTOR),
    (&["imatrix"], IMPORTANCE),
    (
        &[
            "bert",
            "modern-bert",
            "nomic-bert",
            "nomic-bert-moe",
            "neo-bert",
            "jina-bert-v2",
            "jina-bert-v3",
            "eurobert",
            "gemma-embedding",
            "llama-embed",
        ],
        EMBEDDING,
    ),
    (
        &["t5", "t5encoder"],
        "is an encoder-decoder (T5): it reads with one half and writes with the other, which a chat here does not do. \
         Take a model made for chat.",
    ),
    (
        &["dream", "llada", "llada-moe", "rnd1"],
        "is a model that writes by diffusion: all tokens at once, in several rounds, which a chat here does not do. Take \
         a model made for chat.",
    ),
    (&["eagle3", "dflash", "gemma4-assistant"], HELPER),
    (
        &["wavtokenizer-dec", "snac-dec", "qwen3tts", "pockettts", "whisper", "bark", "encodec"],
        "is a model of speech or sound, which a chat here cannot play or hear. Take a model made for chat.",
    ),
    (
        &[
            "flux",
            "flux2",
            "sd1",
            "sd2",
            "sd3",
            "sdxl",
            "aura",
            "aura_flow",
            "chroma",
            "cosmos",
            "hidream",
            "hyvid",
            "ltxv",
            "lumina2",
            "pixart",
            "qwen_image",
            "wan",
            "z_image",
        ],
        "is a model that makes pictures, not text. Take a model made for chat.",
    ),
];

const HELPER: &str = "is a helper that only drafts tokens for another model, and cannot write by itself. Name the model \
                      that it belongs to.";
const PROJECTOR: &str = "is a projector: it lets another model see pictures or hear sounds, and cannot write by itself. Name \
                         the model that it belongs to.";
const CONTROL_VECTOR: &str = "is a control vector: a direction to steer a model by, not a model. Name the model that it was \
                              made for.";
const IMPORTANCE: &str = "is an importance matrix, which quantising a model uses. Name the model itself.";
const ADAPTER: &str =
    "is a LoRA adapter: changes to a model, not a model. Name the model that it was made for.";
const EMBEDDING: &str =
    "is an embedding model: it turns texts into vectors and writes none. Take a model made for chat.";
const RERANKER: &str =
    "is a reranker or classifier: it gives texts a score and writes none. Take a model made for chat.";
const NO_VOCABULARY: &str = "has no vocabulary, so no text goes in or comes out. Take a model made for chat.";

/// Pooling by rank, in llama.cpp's numbers; other numbers above 0 make vectors.
const RANK: u64 = 4;

impl Header {
    /// What the file is and what to take instead, as the rest of a sentence that begins with its name; `None` for a model
    /// to chat with.
    #[must_use]
    pub fn not_a_chat(&self) -> Option<String> {
        let architecture = self.said("general.architecture");
        let by_name = || ARCHITECTURES.iter().find(|(names, _)| names.contains(&architecture.as_str()));
        self.by_type()
            .or_else(|| self.by_tensors())
            .or_else(|| self.by_pooling(&architecture))
            .or_else(|| by_name().map(|(_, what)| *what))
            .or_else(|| {
                matches!(self.said("tokenizer.ggml.model").as_str(), "none" | "no_vocab")
                    .then_some(NO_VOCABULARY)
            })
            .map(str::to_owned)
    }

    fn by_type(&self) -> Option<&'static str> {
        match self.said("general.type").as_str() {
            "adapter" => Some(ADAPTER),
            "controlvector" => Some(CONTROL_VECTOR),
            "imatrix" => Some(IMPORTANCE),
            "mmproj" => Some(PROJECTOR),
            _ if !self.said("adapter.type").is_empty() => Some(ADAPTER),
            _ => None,
        }
    }

    /// By what all tensors are, or one that models to chat with do not have.
    fn by_tensors(&self) -> Option<&'static str> {
        let names = || self.tensors().iter().map(|tensor| tensor.name.as_str());
        let all = |is: fn(&str) -> bool| names().next().is_some() && names().all(is);
        if all(|name| name.ends_with(".lora_a") || name.ends_with(".lora_b")) {
            Some(ADAPTER)
        } else if all(|name| name.starts_with("direction.")) {
            Some(CONTROL_VECTOR)
        } else if names().any(|name| matches!(name, "cls.weight" | "cls.output.weight")) {
            Some(RERANKER)
        } else if names().any(|name| name.contains(".nextn."))
            && !names().any(|name| name.starts_with("blk.0."))
        {
            Some(HELPER)
        } else {
            None
        }
    }

    fn by_pooling(&self, architecture: &str) -> Option<&'static str> {
        let labels = self.metadata(&format!("{architecture}.classifier.output_labels"));
        if matches!(labels, Ok(Some(Value::Array(Array::Text(labels)))) if !labels.is_empty()) {
            return Some(RERANKER);
        }
        let pooling = match self.metadata(&format!("{architecture}.pooling_type")) {
            Ok(Some(Value::Unsigned(pooling))) => pooling,
            Ok(Some(Value::Signed(pooling))) => u64::try_from(pooling).unwrap_or(0),
            _ => 0,
        };
        match pooling {
            0 => None,
            RANK => Some(RERANKER),
            _ => Some(EMBEDDING),
        }
    }

    /// A text of the metadata; empty where there is none.
    fn said(&self, key: &str) -> String {
        match self.metadata(key) {
            Ok(Some(Value::Text(text))) => text,
            _ => String::new(),
        }
    }
}

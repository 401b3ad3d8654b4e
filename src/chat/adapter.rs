//! Files that change a model while it runs: LoRA adapters and llama.cpp's control vectors.
//!
//! Invariant: plain data; whether a file is what it is said to be is the engine's to find out.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file that changes a model, and how much of it counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adapter {
    /// What it holds.
    pub kind: AdapterKind,
    /// The file, where the engine runs. `~` is the home folder.
    pub path: PathBuf,
    /// What its values are multiplied with; 0 is without it, a negative number turns it round.
    pub scale: f32,
}

/// What such a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterKind {
    /// Products of two thin matrices, added to the model's own (Hu et al. 2021).
    Lora,
    /// Vectors, each added to the residual stream after a block.
    ControlVector,
}

impl AdapterKind {
    /// Its key in the configuration and on the command line.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Lora => "lora",
            Self::ControlVector => "control_vectors",
        }
    }

    /// In words.
    #[must_use]
    pub fn said(self) -> &'static str {
        match self {
            Self::Lora => "LoRA adapter",
            Self::ControlVector => "control vector",
        }
    }
}

impl Adapter {
    /// The file's own name, without folder and ending.
    #[must_use]
    pub fn name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or(self.path.as_os_str());
        stem.to_string_lossy().into_owned()
    }

    /// `lora pirate ×0.5`: in short, as the header and the exports say it.
    #[must_use]
    pub fn label(&self) -> String {
        let kind = match self.kind {
            AdapterKind::Lora => "lora",
            AdapterKind::ControlVector => "vector",
        };
        let scale = if (self.scale - 1.0).abs() < f32::EPSILON {
            String::new()
        } else {
            format!(" ×{}", self.scale).replace('-', "−")
        };
        format!("{kind} {}{scale}", self.name())
    }

    /// Whether both are the same file, used the same way.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.kind == other.kind && self.path == other.path
    }

    /// As it may leave this machine: of the path only the file's own name.
    #[must_use]
    pub fn public(&self) -> Self {
        let name = self.path.file_name().map_or_else(|| Path::new(""), Path::new);
        Self { path: name.to_owned(), ..self.clone() }
    }
}

/// A file and its scale as they are typed: `FILE`, `FILE=SCALE`, or with `blank` `FILE SCALE`. The scale is 1 where there
/// is none.
#[must_use]
pub fn named(kind: AdapterKind, text: &str, blank: bool) -> Adapter {
    let marks: &[char] = if blank { &['=', ' '] } else { &['='] };
    let split = text.rsplit_once(marks).and_then(|(file, scale)| {
        let scale = scale.trim_start_matches('×').replace('−', "-").parse::<f32>().ok()?;
        Some((file.trim_end(), scale)).filter(|(file, scale)| !file.is_empty() && scale.is_finite())
    });
    let (file, scale) = split.unwrap_or((text, 1.0));
    Adapter { kind, path: PathBuf::from(file), scale }
}

/// What a model brings, as a chat changes it: of one file the chat's scale counts, and a scale of 0 is without it.
#[must_use]
pub fn in_use<'a>(
    models: impl IntoIterator<Item = &'a Adapter>,
    chats: impl IntoIterator<Item = &'a Adapter>,
) -> Vec<Adapter> {
    let mut all: Vec<Adapter> = Vec::new();
    for adapter in models.into_iter().chain(chats) {
        match all.iter_mut().find(|known| known.is_same_file(adapter)) {
            Some(known) => known.scale = adapter.scale,
            None => all.push(adapter.clone()),
        }
    }
    all.retain(|adapter| adapter.scale != 0.0);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lora(path: &str, scale: f32) -> Adapter {
        Adapter { kind: AdapterKind::Lora, path: path.into(), scale }
    }

    #[test]
    fn a_file_is_named_with_its_scale_or_without() {
        let check = |text: &str, blank: bool, path: &str, scale: f32| {
            assert_eq!(named(AdapterKind::Lora, text, blank), lora(path, scale), "{text}");
        };
        check("a.gguf", false, "a.gguf", 1.0);
        check("a.gguf=0.5", false, "a.gguf", 0.5);
        check("a b=1.gguf=-2", false, "a b=1.gguf", -2.0);
        check("my file.gguf", true, "my file.gguf", 1.0);
        check("my file.gguf 0.25", true, "my file.gguf", 0.25);
        check("my file.gguf −1", true, "my file.gguf", -1.0);
        check("a.gguf=nan", false, "a.gguf=nan", 1.0);
        check("=1", false, "=1", 1.0);
    }

    #[test]
    fn a_chat_s_scale_counts_and_zero_is_without() {
        let models = [lora("a", 1.0), lora("b", 0.5)];
        let chats = [lora("b", 0.0), lora("c", 2.0), lora("a", -1.0)];
        assert_eq!(in_use(&models, &chats), [lora("a", -1.0), lora("c", 2.0)]);
        let vector = Adapter { kind: AdapterKind::ControlVector, ..lora("a", 3.0) };
        assert_eq!(in_use(&models[..1], [&vector]).len(), 2, "one file is not two kinds");
    }

    #[test]
    fn it_is_said_without_its_folder() {
        let adapter = lora("/home/ada/pirate.v2.gguf", -0.5);
        assert_eq!(
            (adapter.label().as_str(), adapter.public().path),
            ("lora pirate.v2 ×−0.5", "pirate.v2.gguf".into())
        );
        assert_eq!(lora("x.gguf", 1.0).label(), "lora x");
    }
}

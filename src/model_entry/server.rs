//! A model that a server runs: where it is asked, in which of the known ways, and with which key.
//!
//! Invariant: a key itself never stands here, only where it is found; an entry can be stored, shown and sent on.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a model is asked that a server runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The address, as far as the paths have in common, e.g. `http://127.0.0.1:8080/v1`.
    pub address: String,
    /// What the server calls the model; `None` is the only one or the first that it names.
    #[serde(default)]
    pub id: Option<String>,
    /// How it is asked.
    #[serde(default)]
    pub api: Api,
    /// Where the key is found, where one is needed.
    #[serde(default)]
    pub key: Option<Key>,
}

/// Where a key is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// In the environment, by this name.
    Env(String),
    /// In a file, of which only the owner may read; `~` is the home folder.
    File(PathBuf),
}

/// How a server is asked; they differ in what of a reply's odds they tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// As the server turns out to be when it is asked.
    #[default]
    Auto,
    /// `OpenAI`'s chat completions, which nearly all have.
    OpenAi,
    /// llama.cpp's server: its own completion, with ids of tokens.
    Llama,
    /// vLLM: `OpenAI`'s with log-probabilities of prompts and chosen tokens.
    Vllm,
    /// SGLang: its own `/generate`.
    SgLang,
    /// Ollama, by its chat completions.
    Ollama,
}

impl Api {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Auto, Self::OpenAi, Self::Llama, Self::Vllm, Self::SgLang, Self::Ollama];

    /// The word in the configuration.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::OpenAi => "openai",
            Self::Llama => "llama",
            Self::Vllm => "vllm",
            Self::SgLang => "sglang",
            Self::Ollama => "ollama",
        }
    }

    /// What such a server is called in a sentence.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Auto => "server",
            Self::OpenAi => "OpenAI-compatible server",
            Self::Llama => "llama.cpp server",
            Self::Vllm => "vLLM",
            Self::SgLang => "SGLang",
            Self::Ollama => "Ollama",
        }
    }
}

impl Server {
    /// The machine and its port, e.g. `127.0.0.1:8080`: what is said of an address, and nothing that could be secret.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.address.split_once("://").map_or(self.address.as_str(), |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        host.rsplit_once('@').map_or(host, |(_, host)| host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_machine_and_port_are_said() {
        let host = |address: &str| {
            let server = Server { address: address.into(), id: None, api: Api::Auto, key: None };
            server.host().to_owned()
        };
        assert_eq!(host("http://127.0.0.1:8080/v1"), "127.0.0.1:8080");
        assert_eq!(host("https://me:secret@example.org/v1?key=1"), "example.org");
        assert_eq!(host("example.org"), "example.org");
    }
}

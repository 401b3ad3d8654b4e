//! The access token for gated repositories.
//!
//! Invariant: a token can be sent and is never shown: it has no `Display`, its `Debug` hides it, and the
//! header made of it is marked as sensitive.

use std::path::PathBuf;

use reqwest::header::HeaderValue;

/// An access token of the hub.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// `None` if it is empty or cannot stand in a header.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// From `HF_TOKEN`, else from the file that the hub's own tools keep it in.
    pub fn from_env() -> Option<Self> {
        if let Some(token) = std::env::var("HF_TOKEN").ok().as_deref().and_then(Self::new) {
            return Some(token);
        }
        std::fs::read_to_string(token_file()?).ok().as_deref().and_then(Self::new)
    }

    pub(super) fn header(&self) -> HeaderValue {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", self.0)).expect("only graphic ASCII passes new");
        value.set_sensitive(true);
        value
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

fn token_file() -> Option<PathBuf> {
    let set = |key: &str| std::env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("HF_TOKEN_PATH")
        .or_else(|| set("HF_HOME").map(|home| home.join("token")))
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/token")))
        .or_else(|| directories::BaseDirs::new().map(|dirs| dirs.home_dir().join(".cache/huggingface/token")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_hidden() {
        let token = Token::new(" hf_secret\n").unwrap();
        assert_eq!(token.header(), "Bearer hf_secret");
        assert_eq!(format!("{token:?} {:?}", token.header()), "Token(…) Sensitive");
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        for text in ["", "  \n", "a b", "a\nb", "ä"] {
            assert_eq!(Token::new(text), None, "{text:?}");
        }
    }
}

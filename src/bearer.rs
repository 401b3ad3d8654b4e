//! A secret that goes with a request as its bearer: the token of a hub, the key of a server.
//!
//! Invariant: it can be sent and is never shown: it has no `Display`, its `Debug` hides it, and the header made of it is
//! marked as sensitive.

use reqwest::header::HeaderValue;

/// A secret, and where it is from.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer {
    text: String,
    origin: String,
}

impl Bearer {
    /// `None` if it is empty or cannot stand in a header. `origin` says where it is from.
    pub fn new(text: &str, origin: &str) -> Option<Self> {
        let text = text.trim();
        let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        sound.then(|| Self { text: text.to_owned(), origin: origin.to_owned() })
    }

    /// Where it is from, for a sentence.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The header that it goes in.
    pub fn header(&self) -> HeaderValue {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", self.text)).expect("only graphic ASCII passes new");
        value.set_sensitive(true);
        value
    }

    /// A text of somebody else's without it.
    pub fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.text, "…")
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

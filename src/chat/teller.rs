//! Whose figures a reply has, where a server told them.

use serde::{Deserialize, Serialize};

use crate::token::Odds;

/// The server that wrote a reply and told its figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teller {
    /// What it is called: `llama.cpp server`, `vLLM`.
    pub title: String,
    /// Machine and port.
    pub host: String,
    /// How much of the distribution it told with each token.
    #[serde(default)]
    pub odds: Odds,
}

impl Teller {
    /// `vLLM at box:8000, top 20 only`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { title, host, odds } = self;
        let mark = odds.mark().map_or_else(String::new, |mark| format!(", {mark}"));
        format!("{title} at {host}{mark}")
    }
}

impl super::Run {
    /// How much of the distribution came with each of its tokens.
    #[must_use]
    pub fn odds(&self) -> Odds {
        self.told_by.as_ref().map_or(Odds::Whole, |teller| teller.odds)
    }
}

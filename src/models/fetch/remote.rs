//! `hf` and `url` sources: which addresses to fetch, with which client and token.
//!
//! Invariant: the token goes to the hub alone: never to a `url` source, never to another host that the hub
//! sends us to (reqwest drops it there), never over plain HTTP to another machine.

use std::time::Duration;

use reqwest::Url;

use super::address::{HUB, is_loopback};
pub use super::token::Token;

/// How `hf` and `url` sources are reached.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The hub's address.
    pub endpoint: String,
    /// For gated repositories.
    pub token: Option<Token>,
    /// Whether the proxies of the environment are used.
    pub proxy: bool,
    /// Tries without a single new byte before giving up.
    pub tries: u32,
    /// Wait before the second try; doubles each time.
    pub wait: Duration,
}

impl Remote {
    /// The hub of `HF_ENDPOINT`, the token of `HF_TOKEN` or of the hub's own file.
    #[must_use]
    pub fn from_env() -> Self {
        let endpoint = std::env::var("HF_ENDPOINT").ok().filter(|value| !value.is_empty());
        Self {
            endpoint: endpoint.unwrap_or_else(|| HUB.to_owned()),
            token: Token::from_env(),
            proxy: true,
            tries: 5,
            wait: Duration::from_millis(500),
        }
    }
}

pub(super) fn may_carry_token(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

//! What an answer means that is not the file: a refusal, a proxy's or a server's, or something else.
//!
//! Invariant: a refusal says whose it is, and with what was asked; never a token or a password.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Response, Url};

use super::FetchError;
use super::address::shown;
use super::proxies::Proxies;
use super::resume::encoding;
use super::token::Token;
use crate::request_error::reason;
use crate::sanitize::for_display;

/// What to do about a refusal that passes.
pub(super) const LATER: &str = "Try again later.";

/// With what a request was made that was refused.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// A plain address, which gets no token.
    Plainly,
    /// The hub, and there is no token.
    WithoutToken,
    /// The hub, with a token.
    With(&'a Token),
    /// The hub, which has refused the token, once more without it.
    TokenRefused(&'a Token),
}

impl<'a> Asked<'a> {
    pub(super) fn of(is_hubs: bool, token: Option<&'a Token>, was_refused: bool) -> Self {
        match token {
            _ if !is_hubs => Self::Plainly,
            None => Self::WithoutToken,
            Some(token) if was_refused => Self::TokenRefused(token),
            Some(token) => Self::With(token),
        }
    }
}

/// What is said before a file is asked for without the token that was refused.
pub(super) fn once_more(token: &Token) -> String {
    format!("the access token of {} was not accepted (HTTP 401); asked once more without it", token.origin())
}

/// What is said where no answer came: the proxy refuses, or what the network said.
pub(super) fn unreached(url: &Url, error: &reqwest::Error, proxies: &Proxies) -> FetchError {
    // A redirect may have led through another proxy.
    let through = proxies.through(error.url().unwrap_or(url));
    let (address, what) = (shown(url), reason(error));
    if let Some(why) = through.as_ref().and_then(|through| through.refusal(&what)) {
        return FetchError::ProxyRefused { address, why };
    }
    let through = through.map(|through| format!(" through {through}")).unwrap_or_default();
    FetchError::Unreachable { address, what, through }
}

/// What a proxy's refusal means.
fn proxy_refused(url: &Url, response: &Response, proxies: &Proxies) -> FetchError {
    let why = match proxies.through(response.url()) {
        Some(through) => through.wants_password(),
        None => "a proxy on the way wants a name and a password (HTTP 407), and no proxy is set here. Ask who runs the \
                 network for its address, and put it into HTTPS_PROXY as http://NAME:PASSWORD@host:port."
            .to_owned(),
    };
    FetchError::ProxyRefused { address: shown(url), why }
}

/// What a refusal means.
pub(super) fn refused(url: &Url, response: &Response, asked: Asked<'_>, proxies: &Proxies) -> FetchError {
    let address = shown(url);
    let number = response.status().as_u16();
    let origin = |token: &Token| token.origin().to_owned();
    let advice = match (number, asked) {
        (401 | 403, Asked::Plainly) => return FetchError::SignIn { address, status: number },
        (401 | 403, Asked::WithoutToken) => return FetchError::NoToken { address, status: number },
        (401 | 403, Asked::TokenRefused(token)) => {
            return FetchError::TokenRefused { address, status: number, origin: origin(token) };
        }
        (401 | 403, Asked::With(token)) => {
            return FetchError::Forbidden { address, status: number, origin: origin(token) };
        }
        (404 | 410, asked) => {
            let private = match asked {
                Asked::Plainly => String::new(),
                Asked::WithoutToken => ", or it is private, and no access token was sent".to_owned(),
                Asked::With(token) => format!(", or it is private to the access token of {}", token.origin()),
                Asked::TokenRefused(token) => {
                    format!(", or it is private, and the access token of {} was not accepted", token.origin())
                }
            };
            return FetchError::NotFound { address, status: number, private };
        }
        (407, _) => return proxy_refused(url, response, proxies),
        (402, _) => "It wants to be paid for: see its page in a browser, or take another model.",
        (451, _) => "It is withheld for legal reasons: take another model, or another source of this one.",
        (408 | 425 | 429 | 500..=599, _) => LATER,
        _ => "Check the address in the entry.",
    };
    FetchError::Status { address, status: number, advice }
}

/// What an answer calls itself.
pub(super) fn kind_of(headers: &HeaderMap) -> String {
    if let Some(how) = encoding(headers) {
        let how = for_display(how);
        return format!("compressed with {how}, though it was asked for as it is");
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    for_display(kind.and_then(|kind| kind.split(';').next()).unwrap_or("of no named kind"))
}

//! Why a request over HTTP failed, for a sentence; when it may be made again; and what a proxy on the way has to do with
//! it.
//!
//! Invariant: one line without control characters, and without the address, which may hold secrets; of a proxy never
//! its name and password.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::Url;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::sanitize::for_display;

/// The longest that is told, characters.
const LONGEST: usize = 200;

/// What went wrong: the innermost cause, or that no answer came in time.
pub fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    for_display(&cause.to_string()).chars().take(LONGEST).collect()
}

/// How long a server asks to be left alone, in seconds or as a date (RFC 9110, 10.2.3).
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(date.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::ZERO))
}

/// The proxy that an address goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// Scheme, machine and port.
    address: String,
    /// The variable that names it.
    variable: &'static str,
    /// Whether the variable gives a name or a password too.
    has_password: bool,
}

impl Through {
    /// The proxy at `address`, which `variable` names.
    pub fn new(variable: &'static str, address: &Url) -> Self {
        let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
        Self {
            address: format!("{}://{}{port}", address.scheme(), address.host_str().unwrap_or_default()),
            variable,
            has_password: !address.username().is_empty() || address.password().is_some(),
        }
    }

    /// What the proxy has against letting a request through, in a sentence, where the reason of a failure is its own.
    pub fn refusal(&self, why: &str) -> Option<String> {
        // The words of hyper-util for what a proxy answers, held by the tests of the downloads.
        let wants_another = match why.rsplit(": ").next().unwrap_or_default() {
            "proxy authorization required" | "credentials not accepted" => true,
            "server does not support user/pass authentication" => !self.has_password,
            _ => return None,
        };
        Some(if wants_another { self.wants_password() } else { self.takes_no_password() })
    }

    /// What is said where the proxy lets nobody through without the right password.
    pub fn wants_password(&self) -> String {
        let Self { variable, has_password, .. } = self;
        if *has_password {
            format!(
                "{self} does not accept the name and password that stand there: correct them in {variable}."
            )
        } else {
            format!(
                "{self} wants a name and a password: put them before its host in {variable}, as NAME:PASSWORD@."
            )
        }
    }

    fn takes_no_password(&self) -> String {
        let variable = self.variable;
        format!(
            "{self} takes no name and password: take them out of {variable}, or name another proxy there."
        )
    }
}

impl std::fmt::Display for Through {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the proxy {} of {}", self.address, self.variable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<u64>) {
        let headers = [(RETRY_AFTER, value.parse().unwrap())].into_iter().collect();
        assert_eq!(retry_after(&headers).map(|wait| wait.as_secs()), expected, "{value}");
    }

    #[test]
    fn a_wait_is_read_in_seconds_and_as_a_date() {
        check("7", Some(7));
        check(" 0.5", Some(0));
        check("Mon, 01 Jan 2024 00:00:00 GMT", Some(0));
        check("-3", None);
        check("soon", None);
        let hour = Timestamp::now() + Duration::from_hours(1);
        let hour = hour.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = [(RETRY_AFTER, hour.parse().unwrap())].into_iter().collect();
        assert!((3590..=3600).contains(&retry_after(&headers).unwrap().as_secs()), "{hour}");
    }
}

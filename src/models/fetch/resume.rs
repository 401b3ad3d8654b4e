//! Going on with an unfinished download: what is remembered of it, and what an answer means for it.
//!
//! Invariant: bytes are only ever appended to bytes of the same version of the same file: the server says
//! so (`If-Range` with a strong validator, matching `Content-Range`), or the download starts again.

use std::path::Path;

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED};
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::models::hash::{hash_bytes, write_toml};

/// What is kept beside a `.part`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// SHA-256 of the address, since an address may hold secrets.
    pub(super) address: String,
    /// Strong `ETag`, or `Last-Modified`.
    pub(super) validator: String,
    /// Bytes in all, where the server said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) total: Option<u64>,
}

/// What an answer means for the bytes that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The body goes on where the bytes end; the whole is `total` long.
    GoesOn { total: Option<u64> },
    /// The body is the whole file; whether it is of the version that the bytes are of.
    Whole { total: Option<u64>, same: bool },
    /// The bytes that are there are the whole file.
    Complete,
    /// The bytes that are there belong to another version: throw them away and ask again.
    Stale,
}

impl State {
    pub(super) fn of(url: &Url, headers: &HeaderMap, total: Option<u64>) -> Option<Self> {
        Some(Self { address: address_mark(url), validator: validator(headers)?, total })
    }

    /// What is remembered, if it is about this address.
    pub(super) fn read(file: &Path, url: &Url) -> Option<Self> {
        let state: Self = toml::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
        (state.address == address_mark(url)).then_some(state)
    }

    pub(super) fn write(&self, file: &Path) -> std::io::Result<()> {
        write_toml(file, self)
    }
}

/// Reads a successful answer, or 416, to a request that asked for the bytes from `have` on (`None`: for all).
pub(super) fn read_answer(
    status: StatusCode,
    headers: &HeaderMap,
    have: u64,
    state: Option<&State>,
) -> Answer {
    let range = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).and_then(content_range);
    let same = |total: Option<u64>| match (state, validator(headers)) {
        (Some(state), now) => {
            now.is_none_or(|now| state.validator == now)
                && state.total.zip(total).is_none_or(|(then, now)| then == now)
        }
        (None, _) => false,
    };
    match (status, range) {
        // Some servers answer 200 to what they send as the part that was asked for.
        (_, Some((Some(start), total)))
            if start == have && have > 0 && status.is_success() && same(total) =>
        {
            Answer::GoesOn { total }
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, Some((None, Some(total)))) if total == have && have > 0 => {
            Answer::Complete
        }
        (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => Answer::Stale,
        _ => {
            let total = length(headers);
            Answer::Whole { total, same: same(total) }
        }
    }
}

/// The file's length, where the answer gives it.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A validator that `If-Range` may carry: a weak `ETag` compares meaning, not bytes.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    text(ETAG).filter(|tag| tag.starts_with('"')).or_else(|| text(LAST_MODIFIED)).map(str::to_owned)
}

/// Start, if there is one, and total of `bytes 5-9/10` or `bytes */10`.
fn content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    Some((start, total.trim().parse().ok()))
}

fn address_mark(url: &Url) -> String {
    hash_bytes(url.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (reqwest::header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap())
            })
            .collect()
    }

    fn check(status: u16, pairs: &[(&str, &str)], have: u64, expected: &Answer) {
        let state = State { address: String::new(), validator: "\"v1\"".to_owned(), total: Some(10) };
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(&read_answer(status, &headers(pairs), have, Some(&state)), expected, "{status} {pairs:?}");
    }

    #[test]
    fn an_answer_goes_on_only_at_the_right_place_of_the_same_version() {
        let range = ("content-range", "bytes 5-9/10");
        check(206, &[range, ("etag", "\"v1\"")], 5, &Answer::GoesOn { total: Some(10) });
        check(206, &[range], 5, &Answer::GoesOn { total: Some(10) });
        check(206, &[("content-range", "bytes 5-9/*")], 5, &Answer::GoesOn { total: None });
        check(206, &[range, ("etag", "\"v2\"")], 5, &Answer::Stale);
        check(206, &[range, ("etag", "\"v1\"")], 4, &Answer::Stale);
        check(206, &[], 5, &Answer::Stale);
        check(200, &[("content-length", "10")], 5, &Answer::Whole { total: Some(10), same: true });
        check(200, &[("content-length", "11")], 5, &Answer::Whole { total: Some(11), same: false });
        check(200, &[range, ("content-length", "5")], 5, &Answer::GoesOn { total: Some(10) });
        check(206, &[("content-range", "bytes 5-10/11")], 5, &Answer::Stale);
        check(416, &[("content-range", "bytes */10")], 10, &Answer::Complete);
        check(416, &[("content-range", "bytes */10")], 12, &Answer::Stale);
    }

    #[test]
    fn a_weak_tag_is_no_validator() {
        assert_eq!(validator(&headers(&[("etag", "W/\"v1\"")])), None);
        let dated = headers(&[("etag", "W/\"v1\""), ("last-modified", "yesterday")]);
        assert_eq!(validator(&dated), Some("yesterday".to_owned()));
    }
}

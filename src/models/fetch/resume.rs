//! Going on with an unfinished download: what is remembered of it, and what an answer means for it.
//!
//! Invariant: bytes are only ever appended to bytes of the same version of the same file: the server says
//! so (`If-Range` with a strong validator, matching `Content-Range`), or the download starts again.

use std::path::Path;

use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
};
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::models::hash::{hash_bytes, write_toml};

/// What is kept beside a `.part`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// SHA-256 of the address, since an address may hold secrets.
    pub(super) address: String,
    /// Strong `ETag`, or `Last-Modified`; empty where the server gave neither, so that it cannot be gone on with.
    pub(super) validator: String,
    /// Bytes in all, where the server said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) total: Option<u64>,
}

/// What an answer means for the bytes that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The body goes on where the bytes end, up to `end` and not beyond; the whole is `total` long.
    GoesOn { end: u64, total: Option<u64> },
    /// The body is the whole file; whether it is of the version that the bytes are of.
    Whole { total: Option<u64>, same: bool },
    /// The bytes that are there are the whole file.
    Complete,
    /// It is neither what was asked for nor the whole: it says nothing of the bytes that are there.
    Useless,
}

/// What `Content-Range` says.
enum Range {
    /// `bytes 5-9/10`: from the first byte up to `end` and not with it.
    Slice { start: u64, end: u64, total: Option<u64> },
    /// `bytes */10`.
    Outside { total: u64 },
}

impl State {
    pub(super) fn of(url: &Url, headers: &HeaderMap, total: Option<u64>) -> Self {
        Self { address: address_mark(url), validator: validator(headers).unwrap_or_default(), total }
    }

    /// What is remembered, if it is about this address and can be gone on with.
    pub(super) fn read(file: &Path, url: &Url) -> Option<Self> {
        let state: Self = toml::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
        (state.address == address_mark(url) && !state.validator.is_empty()).then_some(state)
    }

    pub(super) fn write(&self, file: &Path) -> std::io::Result<()> {
        write_toml(file, self)
    }

    /// Whether an answer about `total` bytes is of this version, as far as it tells. A weak tag is compared, too: it
    /// changes with every change that matters.
    fn is_of(&self, headers: &HeaderMap, total: Option<u64>) -> bool {
        let now = if self.validator.starts_with('"') {
            text(headers, ETAG).map(|tag| tag.trim_start_matches("W/"))
        } else {
            text(headers, LAST_MODIFIED)
        };
        now.is_none_or(|now| now == self.validator)
            && self.total.zip(total).is_none_or(|(then, now)| then == now)
    }
}

/// Reads a successful answer, or 416, to a request that asked for the bytes from `have` on; 0 where it asked for all.
pub(super) fn read_answer(
    status: StatusCode,
    headers: &HeaderMap,
    have: u64,
    state: Option<&State>,
) -> Answer {
    let same = |total: Option<u64>| state.is_some_and(|state| state.is_of(headers, total));
    let remembered = state.and_then(|state| state.total);
    match (status, text(headers, CONTENT_RANGE).and_then(content_range)) {
        // Some servers answer 200 to what they send as the part that was asked for.
        (_, Some(Range::Slice { start, end, total }))
            if start == have
                && have > 0
                && status.is_success()
                && same(total)
                && remembered.is_none_or(|total| end <= total)
                && length(headers).is_none_or(|length| start.checked_add(length) == Some(end))
                && may_be_slice(headers, state) =>
        {
            Answer::GoesOn { end, total: total.or(remembered) }
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(Range::Outside { total }))
            if total == have && have > 0 && same(Some(total)) =>
        {
            Answer::Complete
        }
        (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => Answer::Useless,
        _ => {
            let total = length(headers);
            Answer::Whole { total, same: same(total) }
        }
    }
}

/// Whether what an answer calls itself can be bytes out of the middle of a file: not several slices in one, not compressed,
/// not a page.
fn may_be_slice(headers: &HeaderMap, state: Option<&State>) -> bool {
    let kind = text(headers, CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // What some servers call all that they do not know, so that the version has to speak for it.
    let is_named = || state.is_some_and(|state| validator(headers).as_ref() == Some(&state.validator));
    encoding(headers).is_none()
        && match kind {
            "multipart/byteranges" | "application/json" => false,
            "text/plain" => is_named(),
            kind => !kind.starts_with("text/"),
        }
}

/// How a body is compressed, where it is.
pub(super) fn encoding(headers: &HeaderMap) -> Option<&str> {
    text(headers, CONTENT_ENCODING).map(str::trim).filter(|how| !matches!(*how, "" | "identity"))
}

/// The file's length, where the answer gives it.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A validator that `If-Range` may carry: a weak `ETag` compares meaning, not bytes.
fn validator(headers: &HeaderMap) -> Option<String> {
    let tag = text(headers, ETAG).filter(|tag| tag.starts_with('"'));
    tag.or_else(|| text(headers, LAST_MODIFIED)).map(str::to_owned)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// `None` for what is no range, or one that cannot be.
fn content_range(text: &str) -> Option<Range> {
    let (unit, said) = text.split_once(' ')?;
    let (range, total) = said.trim().split_once('/').filter(|_| unit.eq_ignore_ascii_case("bytes"))?;
    let total = total.trim().parse::<u64>().ok();
    if range.trim() == "*" {
        return total.map(|total| Range::Outside { total });
    }
    let (start, last) = range.split_once('-')?;
    let (start, end) = (start.trim().parse().ok()?, last.trim().parse::<u64>().ok()?.checked_add(1)?);
    (start < end && total.is_none_or(|total| end <= total)).then_some(Range::Slice { start, end, total })
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
        let goes_on = Answer::GoesOn { end: 10, total: Some(10) };
        check(206, &[range, ("etag", "\"v1\"")], 5, &goes_on);
        check(206, &[range, ("etag", "W/\"v1\"")], 5, &goes_on);
        check(206, &[range], 5, &goes_on);
        check(206, &[("content-range", "BYTES 5-9/10")], 5, &goes_on);
        check(206, &[("content-range", "bytes 5-9/*")], 5, &goes_on);
        check(206, &[("content-range", "bytes 5-10/*")], 5, &Answer::Useless);
        check(206, &[("content-range", "bytes 5-7/10")], 5, &Answer::GoesOn { end: 8, total: Some(10) });
        check(206, &[("content-range", "bytes 5-10/10")], 5, &Answer::Useless);
        check(206, &[("content-range", "bytes 5-4/10")], 5, &Answer::Useless);
        check(206, &[range, ("content-length", "6")], 5, &Answer::Useless);
        check(206, &[range, ("etag", "W/\"v2\"")], 5, &Answer::Useless);
        check(206, &[range], 0, &Answer::Useless);
        check(206, &[range, ("etag", "\"v2\"")], 5, &Answer::Useless);
        check(206, &[range, ("etag", "\"v1\"")], 4, &Answer::Useless);
        check(206, &[], 5, &Answer::Useless);
        check(200, &[("content-length", "10")], 5, &Answer::Whole { total: Some(10), same: true });
        check(200, &[("content-length", "11")], 5, &Answer::Whole { total: Some(11), same: false });
        check(200, &[range, ("content-length", "5")], 5, &goes_on);
        check(206, &[("content-range", "bytes 5-10/11")], 5, &Answer::Useless);
        check(416, &[("content-range", "bytes */10")], 10, &Answer::Complete);
        check(416, &[("content-range", "bytes */10")], 12, &Answer::Useless);
        check(416, &[("content-range", "bytes */5")], 5, &Answer::Useless);
        check(416, &[("content-range", "bytes */10"), ("etag", "\"v2\"")], 10, &Answer::Useless);
    }

    #[test]
    fn a_slice_is_no_page_and_not_compressed() {
        let range = ("content-range", "bytes 5-9/10");
        let check = |pairs: &[(&str, &str)], is_slice| {
            let expected =
                if is_slice { Answer::GoesOn { end: 10, total: Some(10) } } else { Answer::Useless };
            check(206, &[&[range], pairs].concat(), 5, &expected);
        };
        check(&[("content-type", "application/octet-stream")], true);
        check(&[("content-encoding", "identity")], true);
        check(&[("content-encoding", "gzip")], false);
        check(&[("content-type", "text/html; charset=utf-8")], false);
        check(&[("content-type", "Multipart/byteranges; boundary=X")], false);
        check(&[("content-type", "text/plain")], false);
        check(&[("content-type", "text/plain"), ("etag", "\"v1\"")], true);
    }

    #[test]
    fn a_weak_tag_is_no_validator() {
        assert_eq!(validator(&headers(&[("etag", "W/\"v1\"")])), None);
        let dated = headers(&[("etag", "W/\"v1\""), ("last-modified", "yesterday")]);
        assert_eq!(validator(&dated), Some("yesterday".to_owned()));
    }
}

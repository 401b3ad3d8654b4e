//! Why a request over HTTP failed, for a sentence.
//!
//! Invariant: one line without control characters, and without the address, which may hold secrets.

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

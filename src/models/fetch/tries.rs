//! How the tries for one file stand, and when there is another one.
//!
//! Invariant: they end. Only what brings the file further than it ever was makes their count start again, and what begins
//! it anew only a few times.

use std::time::Duration;

use reqwest::{Response, Url};

use super::FetchError;
use super::address::shown;
use super::error::STARTS_OVER;
use crate::request_error::retry_after;

/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How often what begins anew counts as getting further.
const BEGINNINGS: u32 = 3;

/// How the tries for one file stand.
#[derive(Default)]
pub(super) struct Tries {
    /// Those since it last got further.
    pub(super) failures: u32,
    /// The most bytes that were there.
    best: u64,
    /// How often it began anew with what was there.
    beginnings: u32,
    /// Whether this one began anew.
    is_new: bool,
    /// Whether the whole is asked for, since the server does not go on with what is there.
    pub(super) whole: bool,
}

/// Why a try failed.
pub(super) struct Failure {
    /// What the network or the server said.
    pub(super) what: String,
    pub(super) how: How,
    /// How long the server asks to be left alone.
    pub(super) wait: Option<Duration>,
}

/// How far a try that failed got.
pub(super) enum How {
    /// To no answer; through which proxy, as a part of a sentence.
    Unreached { through: String },
    /// To an answer that says no for now: its status and what to do.
    Refused { status: u16, advice: &'static str },
    /// Into the file.
    Cut,
}

impl Failure {
    pub(super) fn cut(what: impl Into<String>) -> Self {
        Self { what: what.into(), how: How::Cut, wait: None }
    }

    pub(super) fn refused(what: String, response: &Response, advice: &'static str) -> Self {
        let how = How::Refused { status: response.status().as_u16(), advice };
        Self { what, how, wait: retry_after(response.headers()) }
    }
}

impl Tries {
    /// Those for a file of which so many bytes are there.
    pub(super) fn from(best: u64) -> Self {
        Self { best, ..Self::default() }
    }

    /// A try puts what is there out of the way and begins anew.
    pub(super) fn begin_anew(&mut self) {
        self.whole = false;
        self.beginnings += 1;
        self.best = if self.beginnings <= BEGINNINGS { 0 } else { self.best };
        self.is_new = true;
    }

    /// A try has ended with so many bytes there.
    pub(super) fn came_to(&mut self, have: u64) {
        let is_new = std::mem::take(&mut self.is_new);
        if have > self.best {
            self.best = have;
            if !is_new || self.beginnings <= BEGINNINGS {
                self.failures = 0;
            }
        }
    }
}

/// How long is waited after so many failures: as long as the server asks, within bounds, else ever longer.
pub(super) fn pause(first: Duration, failures: u32, asked: Option<Duration>) -> Duration {
    asked.map_or_else(|| first * 2_u32.pow(failures - 1), |asked| asked.min(LONGEST_WAIT))
}

/// What is said after the last try: `arrived` bytes are there, and whether they can be gone on with.
pub(super) fn given_up(url: &Url, arrived: u64, can_go_on: bool, failure: Failure) -> FetchError {
    let (address, Failure { what, how, .. }) = (shown(url), failure);
    match how {
        _ if arrived > 0 && can_go_on => FetchError::Interrupted { address, what, kept: arrived },
        _ if arrived > 0 => FetchError::BrokenOff { address, what, next: STARTS_OVER },
        How::Cut => FetchError::BrokenOff { address, what, next: "Nothing arrived: pull again." },
        How::Refused { status, advice } => FetchError::Status { address, status, advice },
        How::Unreached { through } => FetchError::Unreachable { address, what, through },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_the_servers_own_within_bounds() {
        let pause = |failures, asked: Option<u64>| {
            pause(Duration::from_millis(500), failures, asked.map(Duration::from_secs)).as_millis()
        };
        assert_eq!((pause(1, None), pause(3, None)), (500, 2000));
        assert_eq!((pause(1, Some(7)), pause(3, Some(0)), pause(1, Some(3600))), (7000, 0, 60_000));
    }
}

//! Whether the line to the app takes what the engine writes.
//!
//! Invariant: what is told is of the last seconds, and told seldom; a line that waits for nobody is never told of.

use std::time::Duration;

use crate::engine::protocol::Event;

/// What is weighed at once.
const WINDOW: Duration = Duration::from_secs(4);

/// The share of that time from which on a line is called slow.
const SLOW: f32 = 0.3;

/// How long nothing is told after it was told.
const QUIET: Duration = Duration::from_mins(1);

/// How long writing waited in the window, and what was written in it.
#[derive(Debug, Default)]
pub(super) struct Line {
    began: Duration,
    waited: Duration,
    bytes: usize,
    quiet_until: Duration,
}

impl Line {
    /// Something was written: so many bytes in so long, until `now`, counted from any beginning. Gives what there is to
    /// tell.
    pub(super) fn wrote(&mut self, now: Duration, took: Duration, bytes: usize) -> Option<Event> {
        self.waited += took;
        self.bytes += bytes;
        let over = now.saturating_sub(self.began);
        if over < WINDOW {
            return None;
        }
        let waited = self.waited.as_secs_f32() / over.as_secs_f32();
        let taken = self.bytes as f32 / over.as_secs_f32();
        (self.began, self.waited, self.bytes) = (now, Duration::ZERO, 0);
        if waited < SLOW || now < self.quiet_until {
            return None;
        }
        self.quiet_until = now + QUIET;
        Some(Event::SlowLine { waited: waited.min(1.0), taken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes every tenth of a second, each write taking so long; how often it was told in so many seconds.
    fn told(seconds: u64, took_ms: u64) -> usize {
        let mut line = Line::default();
        let write =
            |tenth: u64| line.wrote(Duration::from_millis(100 * tenth), Duration::from_millis(took_ms), 1000);
        (1..=10 * seconds).filter_map(write).count()
    }

    #[test]
    fn a_line_that_holds_writing_up_is_told_of_once_a_minute() {
        assert_eq!(told(300, 1), 0);
        assert_eq!(told(3, 80), 0);
        assert_eq!(told(30, 80), 1);
        assert_eq!(told(130, 80), 3);
    }

    #[test]
    fn a_pause_between_replies_is_not_held_against_the_line() {
        let mut line = Line::default();
        assert_eq!(line.wrote(Duration::from_mins(10), Duration::from_secs(1), 10), None);
    }

    #[test]
    fn what_is_told_are_the_share_and_the_bytes_a_second() {
        let mut line = Line::default();
        let told = line.wrote(Duration::from_secs(4), Duration::from_secs(2), 4000);
        assert_eq!(told, Some(Event::SlowLine { waited: 0.5, taken: 1000.0 }));
    }
}

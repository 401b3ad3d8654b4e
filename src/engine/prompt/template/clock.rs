//! `strftime_now` for templates, in UTC, from a clock value that is recorded with the run.
//!
//! Invariant: the same clock value gives the same text for ever.

use jiff::Timestamp;
use jiff::fmt::strtime::{BrokenDownTime, Config};
use jiff::tz::TimeZone;

/// `format` with C's directives filled in; those not known stay as they are.
pub(super) fn strftime(clock_ms: i64, format: &str) -> String {
    let moment = Timestamp::from_millisecond(clock_ms).unwrap_or_default().to_zoned_datetime(TimeZone::UTC);
    BrokenDownTime::from(&moment)
        .to_string_with_config(&Config::new().lenient(true), format)
        .unwrap_or_else(|_| format.to_owned())
}

#[cfg(test)]
mod tests {
    use super::strftime;

    // Expected texts are those of Python's datetime.strftime in UTC.
    #[test]
    fn directives_are_those_of_python() {
        let check = |ms: i64, format: &str, expected: &str| assert_eq!(strftime(ms, format), expected);
        check(1_721_986_200_123, "%d %b %Y", "26 Jul 2024");
        check(1_721_986_200_123, "%A, %B %-d, %Y %I:%M:%S %p %j", "Friday, July 26, 2024 09:30:00 AM 208");
        check(1_709_164_800_000, "%F %T %y %a", "2024-02-29 00:00:00 24 Thu");
        check(0, "%Y-%m-%d %H %e%%", "1970-01-01 00  1%");
        check(-1, "%F %T %j", "1969-12-31 23:59:59 365");
        check(1_735_603_200_000, "%j %! %", "366 %! %");
    }
}

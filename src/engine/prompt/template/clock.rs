//! `strftime_now` for templates, as Python's naive local time gives it, from a clock value and an offset that are
//! recorded with the run.
//!
//! Invariant: the same clock value and offset give the same text for ever.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::{BrokenDownTime, Config};
use jiff::tz::Offset;

/// When a template is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// Milliseconds since 1970, UTC.
    pub(super) ms: i64,
    /// By how many minutes local time is ahead of UTC.
    pub(super) offset_minutes: i32,
}

impl Clock {
    /// `format` with C's directives filled in; those not known stay as they are.
    pub(super) fn strftime(self, format: &str) -> String {
        let offset = Offset::from_seconds(self.offset_minutes.saturating_mul(60)).unwrap_or(Offset::UTC);
        let moment = offset.to_datetime(Timestamp::from_millisecond(self.ms).unwrap_or_default());
        let mut out = String::new();
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            let end = directive_end(&rest[at + 1..]).map_or(rest.len(), |end| at + 1 + end);
            match &rest[at..end] {
                "%s" => out.push_str(&self.ms.div_euclid(1000).to_string()),
                directive => out.push_str(&filled(moment, directive)),
            }
            rest = &rest[end..];
        }
        out + rest
    }
}

/// Where a directive ends after its `%`: flags, a width, a modifier and its letter.
fn directive_end(text: &str) -> Option<usize> {
    let flags = text.len() - text.trim_start_matches(['-', '_', '0', '^', '#', ':', 'E', 'O']).len();
    let width = text[flags..].len() - text[flags..].trim_start_matches(|c: char| c.is_ascii_digit()).len();
    text[flags + width..].chars().next().map(|letter| flags + width + letter.len_utf8())
}

fn filled(moment: DateTime, directive: &str) -> String {
    let plain = directive.replace(['E', 'O'], "");
    let whole = match directive.chars().last() {
        Some('c') => "%a %b %e %H:%M:%S %Y",
        Some('x') => "%m/%d/%y",
        Some('X') => "%H:%M:%S",
        Some('r') => "%I:%M:%S %p",
        // A naive time has no zone.
        Some('z' | 'Z') => return String::new(),
        Some('f') => return format!("{:06}", moment.subsec_nanosecond() / 1000),
        // Letters of jiff's own, and none.
        Some('E' | 'O' | 'N' | 'Q' | 'q') | None => return directive.to_owned(),
        _ => &plain,
    };
    BrokenDownTime::from(moment)
        .to_string_with_config(&Config::new().lenient(true), whole)
        .unwrap_or_else(|_| directive.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Clock;

    fn check(ms: i64, offset_minutes: i32, format: &str, expected: &str) {
        assert_eq!(Clock { ms, offset_minutes }.strftime(format), expected, "{format}");
    }

    // Expected texts are those of Python's datetime.strftime.
    #[test]
    fn directives_are_those_of_python() {
        check(1_721_986_200_123, 0, "%d %b %Y", "26 Jul 2024");
        let long = "%A, %B %-d, %Y %I:%M:%S %p %j";
        check(1_721_986_200_123, 0, long, "Friday, July 26, 2024 09:30:00 AM 208");
        check(1_709_164_800_000, 0, "%F %T %y %a", "2024-02-29 00:00:00 24 Thu");
        check(0, 0, "%Y-%m-%d %H %e%%", "1970-01-01 00  1%");
        check(-1, 0, "%F %T %j", "1969-12-31 23:59:59 365");
        check(1_735_603_200_000, 0, "%j %! %", "366 %! %");
    }

    #[test]
    fn composite_and_rare_directives_are_filled() {
        let ms = 1_721_986_205_123;
        for (format, expected) in [
            ("%c", "Fri Jul 26 09:30:05 2024"),
            ("%x", "07/26/24"),
            ("%X", "09:30:05"),
            ("%V %G %g %u %w", "30 2024 24 5 5"),
            ("%U %W", "29 30"),
            ("%f", "123000"),
            ("%h %C %D %R", "Jul 20 07/26/24 09:30"),
            ("%r", "09:30:05 AM"),
            ("[%z%Z]", "[]"),
            ("%k|%l|%P", " 9| 9|am"),
            ("%-H %_d %-m %0e", "9 26 7 26"),
            ("%s", "1721986205"),
            ("%n%t", "\n\t"),
            ("%EY %Od", "2024 26"),
            ("%^a %#Z", "FRI "),
        ] {
            check(ms, 0, format, expected);
        }
    }

    #[test]
    fn the_time_is_local() {
        check(1_721_986_200_000, -12 * 60, "%Y-%m-%d %H:%M", "2024-07-25 21:30");
        check(1_721_986_200_000, 5 * 60 + 45, "%H:%M", "15:15");
    }
}

//! `strftime_now` for templates, in UTC, from a clock value that is recorded with the run.
//!
//! Invariant: the same clock value gives the same text for ever.

use std::fmt::Write;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// `format` with C's directives filled in; those not known stay as they are.
pub(super) fn strftime(clock_ms: i64, format: &str) -> String {
    let moment = Moment::at(clock_ms);
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let directive = match characters.next() {
            Some('-') => characters.next().map(|c| (c, false)),
            other => other.map(|c| (c, true)),
        };
        match directive {
            Some((directive, padded)) => moment.write(directive, padded, &mut out),
            None => out.push('%'),
        }
    }
    out
}

struct Moment {
    year: i64,
    month: i64,
    day: i64,
    weekday: usize,
    day_of_year: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Moment {
    fn at(clock_ms: i64) -> Self {
        let seconds = clock_ms.div_euclid(1000);
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        Self {
            year,
            month,
            day,
            weekday: (days + 3).rem_euclid(7) as usize,
            day_of_year: days - days_before_year(year) + 1,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
        }
    }

    fn write(&self, directive: char, padded: bool, out: &mut String) {
        let number = |value: i64, width: usize, out: &mut String| {
            let width = if padded { width } else { 0 };
            let _ = write!(out, "{value:0width$}");
        };
        match directive {
            'Y' => number(self.year, 4, out),
            'y' => number(self.year.rem_euclid(100), 2, out),
            'm' => number(self.month, 2, out),
            'd' => number(self.day, 2, out),
            'e' => {
                let _ = if padded { write!(out, "{:2}", self.day) } else { write!(out, "{}", self.day) };
            }
            'j' => number(self.day_of_year, 3, out),
            'H' => number(self.hour, 2, out),
            'I' => number((self.hour + 11) % 12 + 1, 2, out),
            'M' => number(self.minute, 2, out),
            'S' => number(self.second, 2, out),
            'p' => out.push_str(if self.hour < 12 { "AM" } else { "PM" }),
            'B' => out.push_str(MONTHS[self.month as usize - 1]),
            'b' | 'h' => out.push_str(&MONTHS[self.month as usize - 1][..3]),
            'A' => out.push_str(DAYS[self.weekday]),
            'a' => out.push_str(&DAYS[self.weekday][..3]),
            'F' => "Y-m-d".chars().for_each(|part| self.write_or_copy(part, out)),
            'T' => "H:M:S".chars().for_each(|part| self.write_or_copy(part, out)),
            'Z' => out.push_str("UTC"),
            'z' => out.push_str("+0000"),
            '%' => out.push('%'),
            other => out.extend(['%', other]),
        }
    }

    fn write_or_copy(&self, part: char, out: &mut String) {
        if part.is_ascii_alphabetic() { self.write(part, true, out) } else { out.push(part) }
    }
}

/// Days since 1970 to year, month, day (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days from 1970 to the first of January of a year.
fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) - 719_162
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
        check(1_735_603_200_000, "%j %Q %", "366 %Q %");
    }
}

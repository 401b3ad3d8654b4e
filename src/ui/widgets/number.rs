//! Numbers as all screens write them: fixed decimals, `−`, thin groups of three, sizes in binary units.
//!
//! Invariant: a value that is there is never shown as 0; below a hundredth it is `<.01`.

use crate::token::TokenId;

/// Digits in groups of three: `49 152`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A rank; `–` where it is not known.
pub fn rank(rank: u32) -> String {
    if rank == 0 { "–".into() } else { grouped(rank.into()) }
}

/// A token's id; `–` where it is not known.
pub fn id(id: Option<TokenId>) -> String {
    id.and_then(TokenId::number).map_or_else(|| "–".into(), |id| id.to_string())
}

/// `1 token`, `8 tokens`, `49 152 tokens`.
pub fn counted(count: usize, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", grouped(count as u64))
}

/// A probability (0 to 1) in percent with two decimals, without the sign.
pub fn percent(probability: f64) -> String {
    let percent = probability * 100.0;
    if percent < 0.005 && percent > 0.0 { "<.01".into() } else { decimals(percent, 2) }
}

/// A number with so many decimals and a true minus.
pub fn decimals(number: f64, decimals: usize) -> String {
    if number.is_nan() {
        return "–".into();
    }
    let text = format!("{:.decimals$}", number.abs());
    let zero = text.chars().all(|c| c == '0' || c == '.');
    if number < 0.0 && !zero { format!("−{text}") } else { text }
}

/// A short time: hundredths of a millisecond below ten.
pub fn milliseconds(ms: f32) -> String {
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

/// A change with two decimals and its sign.
pub fn signed(change: f64) -> String {
    let shown = decimals(change, 2);
    let zero = shown.chars().all(|c| c == '0' || c == '.');
    if change > 0.0 && !zero { format!("+{shown}") } else { shown }
}

/// Bytes as `94 MiB`, `4.8 GiB`, `22.5 KiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let fraction = usize::from(unit > 0 && value < 99.95 && (unit == 1 || unit >= 3));
    format!("{value:.fraction$} {}", UNITS[unit]).replacen(".0 ", " ", 1)
}

/// Bytes as MiB with one decimal, without the unit: `62.4`.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// A number of parameters: `134.5 M`, `7.2 B`.
pub fn parameters(count: u64) -> String {
    match count {
        0..1_000_000_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.1} B", count as f64 / 1e9),
    }
}

/// A context length in short: `8k`, `512`.
pub fn short_context(tokens: u32) -> String {
    if tokens >= 1024 { format!("{}k", tokens / 1024) } else { tokens.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_three() {
        let check = |number, expected: &str| assert_eq!(grouped(number), expected);
        check(0, "0");
        check(999, "999");
        check(49_152, "49 152");
        check(1_234_567, "1 234 567");
        assert_eq!(counted(1, "token"), "1 token");
        assert_eq!(counted(1000, "token"), "1 000 tokens");
    }

    #[test]
    fn a_time_has_hundredths_where_they_say_something() {
        assert_eq!([0.062, 9.5, 234.82].map(milliseconds), ["0.06 ms", "9.50 ms", "235 ms"]);
    }

    #[test]
    fn what_is_not_known_is_no_figure() {
        assert_eq!([rank(0), rank(1), rank(12_345)], ["–", "1", "12 345"]);
        assert_eq!([id(None), id(Some(TokenId(-7))), id(Some(TokenId(7)))], ["–", "–", "7"]);
        assert_eq!([percent(f64::NAN), decimals(f64::NAN, 1), signed(f64::NAN)], ["–"; 3]);
    }

    #[test]
    fn what_is_there_is_never_zero() {
        assert_eq!(percent(0.5484), "54.84");
        assert_eq!(percent(0.000_001), "<.01");
        assert_eq!(percent(0.0), "0.00");
        assert_eq!(percent(1.0), "100.00");
    }

    #[test]
    fn minus_is_a_minus_and_never_before_zero() {
        assert_eq!(decimals(-1.25, 1), "−1.2");
        assert_eq!(decimals(-0.001, 2), "0.00");
    }

    #[test]
    fn sizes_read_as_drawn() {
        let check = |size, expected: &str| assert_eq!(bytes(size), expected);
        check(98_000_000, "93 MiB");
        check(5_153_960_755, "4.8 GiB");
        check(23_040, "22.5 KiB");
        check(180 << 20, "180 MiB");
        check(12, "12 B");
        assert_eq!(parameters(134_515_008), "134.5 M");
        assert_eq!(short_context(8192), "8k");
    }
}

//! Ranges of numbers as grammars.
//!
//! Invariant: exactly the numbers of the range are sentences, written without leading zeros, up to 16 digits.

/// How many digits a number has at most.
const MOST_DIGITS: usize = 16;
/// What may follow the digits of a whole number where the number need not be whole.
const FRACTION: &str = "(\".\" [0-9]{1,16})?";

/// Bounds of a number; both belong to the range unless they are left out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Range {
    pub least: Option<i64>,
    pub most: Option<i64>,
    /// Whether the least itself is left out, and the most.
    pub open: (bool, bool),
}

impl Range {
    /// The whole numbers of the range; `None` if there are none.
    pub(super) fn whole(self) -> Option<String> {
        let least = self.least.map(|least| least.saturating_add(i64::from(self.open.0)));
        let most = self.most.map(|most| most.saturating_sub(i64::from(self.open.1)));
        let mut alternatives = Vec::new();
        if least.is_none_or(|least| least < 0) && most.is_none_or(|most| most > i64::MIN) {
            // Below zero the digits run the other way.
            let from = most.filter(|most| *most < 0).map_or(1, i64::unsigned_abs);
            let to = least.map(i64::unsigned_abs);
            alternatives.extend(digits(from, to).map(|digits| format!("\"-\" ({digits})")));
        }
        if most.is_none_or(|most| most >= 0) {
            let from = least.filter(|least| *least > 0).map_or(0, i64::unsigned_abs);
            alternatives.extend(digits(from, most.map(i64::unsigned_abs)));
        }
        (!alternatives.is_empty()).then(|| alternatives.join(" | "))
    }

    /// All numbers of the range, with a fraction or without.
    pub(super) fn any(self) -> Option<String> {
        let mut alternatives = Vec::new();
        if self.least.is_none_or(|least| least < 0) {
            let from = self.most.filter(|most| *most < 0).map_or(0, i64::unsigned_abs);
            let open = (self.most.is_some_and(|most| most < 0) && self.open.1, self.open.0);
            // Zero itself stands on the other side, where that side has it.
            let below = fractions(from, self.least.map(i64::unsigned_abs), (open.0 || from == 0, open.1));
            alternatives.extend(below.map(|digits| format!("\"-\" ({digits})")));
        }
        if self.most.is_none_or(|most| most >= 0) {
            let from = self.least.filter(|least| *least >= 0).map_or(0, i64::unsigned_abs);
            let open = self.least.is_some_and(|least| least >= 0) && self.open.0;
            alternatives.extend(fractions(from, self.most.map(i64::unsigned_abs), (open, self.open.1)));
        }
        (!alternatives.is_empty()).then(|| alternatives.join(" | "))
    }
}

/// Numbers from `from` to `to`, none of them negative, either end left out where `open` says so.
fn fractions(from: u64, to: Option<u64>, open: (bool, bool)) -> Option<String> {
    let mut alternatives = Vec::new();
    if to.is_some_and(|to| to < from) {
        return None;
    }
    if to == Some(from) {
        return (!open.0 && !open.1).then(|| format!("\"{from}\""));
    }
    if open.0 {
        // Behind the point stands something other than zeros.
        alternatives.push(format!("\"{from}.\" [0-9]{{0,15}} [1-9]"));
    }
    let first = if open.0 { from + 1 } else { from };
    let last = to.map(|to| to - 1);
    alternatives.extend(digits(first, last).map(|digits| format!("({digits}) {FRACTION}")));
    if let Some(to) = to.filter(|_| !open.1) {
        alternatives.push(format!("\"{to}\" (\".\" \"0\"{{1,16}})?"));
    }
    Some(alternatives.join(" | "))
}

/// Whole numbers from `from` to `to`.
fn digits(from: u64, to: Option<u64>) -> Option<String> {
    let mut alternatives = Vec::new();
    let most = to.unwrap_or(u64::MAX);
    if from > most {
        return None;
    }
    let mut from = from;
    loop {
        let length = from.to_string().len();
        if length > MOST_DIGITS {
            break;
        }
        let nines = "9".repeat(length);
        let longest: u64 = nines.parse().unwrap_or(u64::MAX);
        if most <= longest {
            alternatives.push(same_length(&from.to_string(), &most.to_string()));
            break;
        }
        if to.is_none() && length < MOST_DIGITS && from == 10_u64.pow(length as u32 - 1) {
            alternatives.push(format!("[1-9] [0-9]{{{},{}}}", length - 1, MOST_DIGITS - 1));
            break;
        }
        alternatives.push(same_length(&from.to_string(), &nines));
        from = longest + 1;
    }
    Some(alternatives.join(" | "))
}

/// Numbers of one length, by their digits.
fn same_length(from: &str, to: &str) -> String {
    let (Some(first), Some(last)) = (from.chars().next(), to.chars().next()) else { return "\"\"".into() };
    let (from_rest, to_rest) = (&from[1..], &to[1..]);
    if from_rest.is_empty() {
        return class(first, last);
    }
    let length = from_rest.len();
    let (zeros, nines) = ("0".repeat(length), "9".repeat(length));
    let any = format!("[0-9]{{{length}}}");
    if first == last {
        return format!("\"{first}\" ({})", same_length(from_rest, to_rest));
    }
    let mut alternatives = Vec::new();
    let (mut low, mut high) = (first as u8, last as u8);
    if from_rest != zeros {
        alternatives.push(format!("\"{first}\" ({})", same_length(from_rest, &nines)));
        low += 1;
    }
    if to_rest != nines {
        high -= 1;
    }
    if low <= high {
        alternatives.push(format!("{} {any}", class(low as char, high as char)));
    }
    if to_rest != nines {
        alternatives.push(format!("\"{last}\" ({})", same_length(&zeros, to_rest)));
    }
    alternatives.join(" | ")
}

fn class(from: char, to: char) -> String {
    if from == to { format!("\"{from}\"") } else { format!("[{from}-{to}]") }
}

#[cfg(test)]
mod tests {
    use super::super::gbnf::tests::accepts;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn whole_numbers_of_the_range_and_no_others(
            least in proptest::option::of(-1200_i64..1200),
            size in proptest::option::of(0_i64..1500),
            open in any::<(bool, bool)>(),
            tried in proptest::collection::vec(-3000_i64..3000, 16),
        ) {
            let most = size.map(|size| least.unwrap_or(-200) + size);
            let range = Range { least, most, open };
            let inside = |n: i64| {
                least.is_none_or(|least| n > least || (n == least && !open.0))
                    && most.is_none_or(|most| n < most || (n == most && !open.1))
            };
            let ends = [least, most].into_iter().flatten().flat_map(|end| [end - 1, end, end + 1]);
            let grammar = range.whole().map(|rule| format!("root ::= {rule}"));
            for n in tried.into_iter().chain(ends).chain([0]) {
                let accepted = grammar.as_ref().is_some_and(|grammar| accepts(grammar, &n.to_string()));
                prop_assert_eq!(accepted, inside(n), "{} in {:?}: {:?}", n, range, grammar);
            }
            for bad in ["-0", "01", "", "-", "1.0"] {
                prop_assert!(!grammar.as_ref().is_some_and(|grammar| accepts(grammar, bad)), "{}", bad);
            }
        }

        #[test]
        fn numbers_with_a_fraction_stay_in_the_range(
            least in proptest::option::of(-30_i64..30),
            size in proptest::option::of(0_i64..40),
            open in any::<(bool, bool)>(),
            tried in proptest::collection::vec(-6000_i64..6000, 24),
        ) {
            let most = size.map(|size| least.unwrap_or(-20) + size);
            let range = Range { least, most, open };
            // In hundredths, which are exact.
            let inside = |n: i64| {
                least.is_none_or(|least| n > 100 * least || (n == 100 * least && !open.0))
                    && most.is_none_or(|most| n < 100 * most || (n == 100 * most && !open.1))
            };
            let grammar = range.any().map(|rule| format!("root ::= {rule}"));
            for n in tried {
                let text = (n as f64 / 100.0).to_string();
                let accepted = grammar.as_ref().is_some_and(|grammar| accepts(grammar, &text));
                prop_assert_eq!(accepted, inside(n), "{} in {:?}: {:?}", text, range, grammar);
            }
        }
    }
}

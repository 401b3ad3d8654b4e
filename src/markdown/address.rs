//! Where a link of a model's may lead.
//!
//! Invariant: what comes out is printable ASCII without blanks, has one of three schemes, and is short.

use std::fmt::Write as _;

/// Longest address, bytes; terminals take about this many.
const LONGEST: usize = 2000;
const SCHEMES: [&str; 3] = ["http://", "https://", "mailto:"];

/// The address as a terminal may have it; none where it leads elsewhere than to a page or a mailbox.
pub(super) fn safe(address: &str) -> Option<String> {
    let address = address.trim();
    let begins = |scheme: &&str| {
        address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && address.len() > scheme.len()
    };
    SCHEMES.iter().find(|scheme| begins(scheme))?;
    let mut safe = String::with_capacity(address.len());
    for byte in address.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                let _ = write!(safe, "%{byte:02X}"); // a string takes all
            }
            b'!'..=b'~' => safe.push(char::from(byte)),
            _ => {
                let _ = write!(safe, "%{byte:02X}"); // a string takes all
            }
        }
    }
    (safe.len() <= LONGEST).then_some(safe)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_lead_to_pages_and_mailboxes_and_nothing_in_them_acts() {
        let check = |address: &str, expected: Option<&str>| {
            assert_eq!(safe(address).as_deref(), expected, "{address:?}");
        };
        check("https://example.com/a?b=c;d#e", Some("https://example.com/a?b=c;d#e"));
        check(" HTTP://example.com ", Some("HTTP://example.com"));
        check("mailto:ada@example.com", Some("mailto:ada@example.com"));
        check("https://example.com/ä b\u{1b}]8;;\u{7}", Some("https://example.com/%C3%A4%20b%1B]8;;%07"));
        check("https://example.com/\u{202e}\u{9c}", Some("https://example.com/%E2%80%AE%C2%9C"));
        for other in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "ftp://a",
            "//a",
            "a",
            "",
            "https://",
            "xhttps://a",
            "ｈttps://a",
        ] {
            check(other, None);
        }
        check(&format!("https://{}", "a".repeat(2000)), None);
    }

    proptest! {
        #[test]
        fn nothing_but_printable_ascii_comes_out(rest in any::<String>()) {
            if let Some(address) = safe(&format!("https://{rest}")) {
                prop_assert!(address.bytes().all(|byte| byte.is_ascii_graphic()), "{address:?}");
            }
        }
    }
}

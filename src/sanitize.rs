//! Text from a model made harmless where it leaves the app.

/// Text for the clipboard: no control characters but line breaks and tabs, no bidirectional overrides.
#[must_use]
pub fn for_copy(text: &str) -> String {
    let bidi = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || bidi(*c))).collect()
}

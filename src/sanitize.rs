//! Placeholder until the transcript's part is merged: one safe line of a text.

/// One line without control characters.
#[must_use]
pub fn for_display(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

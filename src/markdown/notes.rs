//! Footnotes whose mark and text stand in different units: the parser takes `[^1]` for a mark only where it has seen the
//! definition.
//!
//! Invariant: what is put behind a text changes nothing of the text's own but marks of notes.

use std::borrow::Cow;

use pulldown_cmark::{Event, Parser, Tag};

use super::{Labels, OPTIONS, label_key};

/// What a reference to a footnote of another unit is resolved to.
pub(super) const FOOTNOTE: &str = "\u{1}footnote";

/// A text with definitions behind it of those notes that other units define, and the labels that it may refer to.
pub(super) fn with_known<'t>(text: Cow<'t, str>, labels: &Labels) -> (Cow<'t, str>, Vec<String>) {
    let named = named(&text);
    let asked: Vec<String> = named.iter().map(|label| format!("^{}", label_key(label))).collect();
    let is_known = |key: &String| labels.get(key).is_some_and(|address| address.as_str() == FOOTNOTE);
    let defines = |label: &str| {
        let mut lines = text.lines().map(|line| line.trim_start_matches([' ', '\t', '>']));
        lines.any(|line| {
            let behind = line.strip_prefix("[^").and_then(|rest| rest.strip_prefix(label));
            behind.is_some_and(|rest| rest.starts_with("]:"))
        })
    };
    let known = named.iter().zip(&asked).filter(|(label, key)| is_known(key) && !defines(label));
    let known = known.map(|(label, _)| label);
    let definitions = known.fold(String::new(), |all, label| all + "\n\n[^" + label + "]: x");
    if definitions.is_empty() {
        return (text, asked);
    }
    let whole = format!("{text}{definitions}");
    // Behind an open fence or raw HTML they would be its text.
    let begins = text.len() + 2;
    let mut starts = Parser::new_ext(&whole, OPTIONS).into_offset_iter();
    let is_read = starts.any(|(event, range)| {
        range.start >= begins && matches!(event, Event::Start(Tag::FootnoteDefinition(_)))
    });
    if is_read { (Cow::Owned(whole), asked) } else { (text, asked) }
}

/// The labels in `[^…]`, wherever they stand.
fn named(text: &str) -> Vec<String> {
    let mut named = Vec::new();
    for part in text.split("[^").skip(1) {
        let label = part.find([']', '[', '\n']).filter(|end| part[*end..].starts_with(']'));
        let label = label.map(|end| &part[..end]).filter(|label| !label.trim().is_empty());
        named.extend(label.filter(|label| !named.iter().any(|other| other == label)).map(str::to_owned));
    }
    named
}

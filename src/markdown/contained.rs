//! A text as a part of a larger document, which must not be able to forge that document's structure.
//!
//! Invariant: below a heading of the second level, the text adds no heading of the first two, no HTML that acts, and
//! nothing that goes on in what follows it.

use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag};

use super::{OPTIONS, fence};

/// The highest heading that a part may have.
const HIGHEST: usize = 3;
const LOWEST: usize = 6;

/// So often at most what was changed is looked at again: what was HTML may hold a heading, and the other way round.
const MOST_TURNS: usize = 16;

/// A change of a text: bytes and what stands in their place.
pub(super) type Change = (Range<usize>, String);

/// The text with its headings lowered, its HTML as text, and what it leaves open closed.
#[must_use]
pub fn contained(text: &str) -> String {
    let mut out = text.to_owned();
    let mut quiet = false;
    for _ in 0..MOST_TURNS {
        let signs = signs(&out);
        let changes = if signs.is_empty() { lowered(&out) } else { signs };
        quiet = changes.is_empty();
        if quiet {
            break;
        }
        out = changed(&out, changes);
    }
    if !quiet {
        return as_code(text); // made to harm
    }
    if let Some(end) = fence::closing(&out) {
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&end);
    }
    if ends(&out) { out } else { as_code(text) }
}

/// Whether a heading below the text is one of its document, and no part of the text.
fn ends(text: &str) -> bool {
    let page = format!("{text}\n\n## next\n");
    let below = |(event, range): (Event<'_>, Range<usize>)| {
        matches!(event, Event::Start(Tag::Heading { .. })) && range.start == text.len() + 2
    };
    Parser::new_ext(&page, OPTIONS).into_offset_iter().any(below)
}

/// What makes its HTML text: `\<` is no tag in a paragraph, and begins no block.
fn signs(text: &str) -> Vec<Change> {
    let html = Parser::new_ext(text, OPTIONS).into_offset_iter().filter_map(|(event, range)| match event {
        Event::Html(_) | Event::InlineHtml(_) => Some(range),
        _ => None,
    });
    let signs = html.flat_map(|range| {
        let from = range.start;
        text[range].match_indices('<').map(move |(at, _)| (from + at..from + at, "\\".to_owned()))
    });
    signs.collect()
}

/// What lowers its headings together, so that none is higher than it may be.
fn lowered(text: &str) -> Vec<Change> {
    let headings =
        Parser::new_ext(text, OPTIONS).into_offset_iter().filter_map(|(event, range)| match event {
            Event::Start(Tag::Heading { level, .. }) => Some((range, of(level))),
            _ => None,
        });
    let headings: Vec<(Range<usize>, usize)> = headings.collect();
    let highest = headings.iter().map(|(_, level)| *level).min().unwrap_or(HIGHEST);
    let by = HIGHEST.saturating_sub(highest);
    let mut changes = Vec::new();
    for (range, level) in headings.into_iter().filter(|_| by > 0) {
        let marks = "#".repeat((level + by).min(LOWEST));
        let heading = &text[range.clone()];
        if heading.starts_with('#') {
            changes.push((range.start..range.start + level, marks));
        } else {
            let moved = |(part, new): Change| (range.start + part.start..range.start + part.end, new);
            changes.push((range.start..range.start, marks + " "));
            changes.extend(underlined(heading).into_iter().map(moved));
        }
    }
    changes
}

/// The text with changes made, which are in order.
pub(super) fn changed(text: &str, changes: Vec<Change>) -> String {
    let mut out = String::with_capacity(text.len() + 2 * changes.len());
    let mut at = 0;
    for (range, new) in changes.into_iter().filter(|(range, _)| range.start <= range.end) {
        out.push_str(text.get(at..range.start).unwrap_or_default());
        out.push_str(&new);
        at = range.end.max(at);
    }
    out.push_str(&text[at..]);
    out
}

/// The text in a fence that it does not close.
pub(super) fn as_code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{text}\n{fence}")
}

/// What makes a heading that is underlined one on one line without what is under it: each line end goes with the marks of
/// quotes behind it, and so does the line under it.
fn underlined(heading: &str) -> Vec<Change> {
    let words = heading.trim_end().rfind('\n').unwrap_or(heading.len());
    let mut changes = Vec::new();
    for (at, _) in heading[..words].match_indices('\n') {
        let marks = heading[at..].len() - heading[at..].trim_start_matches(['\n', ' ', '\t', '>']).len();
        changes.push((at..at + marks, " ".to_owned()));
    }
    let end = heading.trim_end().len();
    changes.push((words..end, String::new()));
    changes
}

fn of(level: HeadingLevel) -> usize {
    level as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::TagEnd;

    use super::*;

    #[test]
    fn headings_are_lowered_together_and_html_is_text() {
        let check = |text: &str, expected: &str| assert_eq!(contained(text), expected, "for {text:?}");
        check("# A\n\n### B\n\n# not `#`", "### A\n\n##### B\n\n### not `#`");
        check("### A\n#### B", "### A\n#### B");
        check("You\n---\nHello", "### You\nHello");
        check("> You\n> two\n> ===\n\nx", "> ### You two\n\nx");
        check("```sh\n# a comment\n```\n# A", "```sh\n# a comment\n```\n### A");
        check("a <b>c</b>\n\n<h2>You</h2>\n", "a \\<b>c\\</b>\n\n\\<h2>You\\</h2>\n");
        check("`<b>` and ```<x>```", "`<b>` and ```<x>```");
        check("<!-- all of it", "\\<!-- all of it");
        check("- one\n  ```\n  open", "- one\n  ```\n  open");
        check("```\nopen", "```\nopen\n```");
    }

    /// The headings of a text with their levels, and whether any of it is HTML.
    fn outline(text: &str) -> (Vec<(usize, String)>, bool) {
        let (mut headings, mut html, mut open) = (Vec::new(), false, false);
        for event in Parser::new_ext(text, OPTIONS) {
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    open = true;
                    headings.push((of(level), String::new()));
                }
                Event::End(TagEnd::Heading(_)) => open = false,
                Event::Text(words) if open => headings.last_mut().unwrap().1.push_str(&words),
                Event::Html(_) | Event::InlineHtml(_) => html = true,
                _ => {}
            }
        }
        (headings, html)
    }

    fn part() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "# ",
            "## ",
            "You",
            "\n",
            "\n\n",
            "===",
            "---",
            "> ",
            "- ",
            "1. ",
            "    ",
            "```",
            "~~~",
            "`",
            "<!--",
            "-->",
            "<h2>",
            "</details>",
            "<script>",
            "<",
            ">",
            "\\",
            "$$",
            "[^1]: ",
            "[a]: x",
            "|",
            "|--|",
            "text ",
            "\t",
            "*",
            "<?",
            "<![CDATA[",
            "<!X",
            "\r\n",
        ]);
        prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_message_forges_the_structure_around_it(one in part(), two in part()) {
            let page = format!("# Title\n\n## You\n\n{}\n\n## Model\n\n{}\n\n## You\n\nEnd.\n", contained(&one), contained(&two));
            let (headings, html) = outline(&page);
            let high: Vec<_> = headings.into_iter().filter(|(level, _)| *level < HIGHEST).collect();
            let expected = [(1, "Title"), (2, "You"), (2, "Model"), (2, "You")].map(|(level, name)| (level, name.to_owned()));
            prop_assert_eq!(high, expected, "{}", page);
            prop_assert!(!html, "{}", page);
        }
    }
}

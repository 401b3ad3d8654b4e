//! Where a text may be cut into units that are laid out alone: blocks of the top level, and the items of its lists.
//!
//! Invariant: a boundary never moves, whatever text follows: only whole lines are looked at, and the last unit found
//! in them is never given away. So a text cut while it grows is cut as the whole text is.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};

use super::OPTIONS;

/// A unit may be this long; more is cut where a line ends, whatever it holds.
pub(super) const MOST: usize = 32 * 1024;

/// A place to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boundary {
    /// Where the next unit begins.
    pub at: usize,
    /// The number of the item of a numbered list that begins there.
    pub number: Option<u64>,
}

/// Where the units of a text begin, but for the first, which begins at 0. `number` is that of the item of a
/// numbered list with which the text begins.
pub(super) fn boundaries(text: &str, number: Option<u64>) -> Vec<Boundary> {
    let window = window(text);
    let found = starts(window, number);
    if found.is_empty() && text.len() > MOST {
        return vec![Boundary { at: window.len(), number: None }];
    }
    found
}

/// The whole lines of a text, as many as a unit may hold; of a line that is longer than that, as much.
fn window(text: &str) -> &str {
    let most = text.floor_char_boundary(text.len().min(MOST));
    match text[..most].rfind('\n') {
        Some(end) => &text[..=end],
        None if text.len() > MOST => &text[..most],
        None => "",
    }
}

fn starts(window: &str, mut number: Option<u64>) -> Vec<Boundary> {
    let mut found: Vec<Boundary> = Vec::new();
    let mut depth = 0_usize;
    let (mut list, mut next) = (false, None);
    let mut first = true;
    let mut end = 0;
    for (event, range) in Parser::new_ext(window, OPTIONS).into_offset_iter() {
        let starts_unit = match &event {
            Event::Start(Tag::List(start)) if depth == 0 => {
                (list, next) = (true, *start);
                if first && start.is_some() && number.is_some() {
                    next = number.take();
                }
                false
            }
            Event::Start(Tag::Item) if depth == 1 && list => true,
            Event::Start(_) | Event::Rule => depth == 0,
            _ => false,
        };
        if starts_unit {
            let at = window[..range.start].rfind(['\n', '\r']).map_or(0, |end| end + 1);
            let number = if depth == 1 { next } else { None };
            // What stands between may be a definition that the next line still belongs to.
            let settled = window[end.min(at)..at].lines().last().is_none_or(|line| line.trim().is_empty());
            // What begins in the middle of a line would be something else alone.
            let before = &window[at..range.start];
            let indented = matches!(event, Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)));
            let alone = indented || (before.len() < 4 && before.trim_matches(' ').is_empty());
            let at = before_blanks(window, at);
            if !first && settled && alone && at > 0 && found.last().is_none_or(|last| last.at < at) {
                found.push(Boundary { at, number });
            }
            first = false;
            next = next.filter(|_| depth == 1).map(|number| number + 1);
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => {
                depth -= 1;
                list &= depth > 0;
            }
            _ => {}
        }
        if depth <= 1 {
            end = end.max(range.end);
        }
    }
    found
}

/// Blank lines belong to what stands below them.
fn before_blanks(text: &str, mut at: usize) -> usize {
    while let Some(line) =
        text[..at].strip_suffix('\n').map(|text| &text[text.rfind('\n').map_or(0, |end| end + 1)..])
    {
        if !line.trim_matches([' ', '\t', '\r']).is_empty() {
            break;
        }
        at -= line.len() + 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_items_are_units_of_their_own() {
        let check = |text: &str, expected: &[(&str, Option<u64>)]| {
            let found = boundaries(text, None);
            let found: Vec<_> = found
                .iter()
                .map(|b| (text[b.at..].trim_start().lines().next().unwrap_or(""), b.number))
                .collect();
            assert_eq!(found, expected, "{text:?}");
        };
        check("one\n", &[]);
        check("one\n\ntwo", &[]);
        check("one\n\ntwo\n", &[("two", None)]);
        check("# one\ntwo\n- a\n- b\n  more\n", &[("two", None), ("- a", None), ("- b", None)]);
        check("3. a\n1. b\n\n1. c\n", &[("1. b", Some(4)), ("1. c", Some(5))]);
        check("a\n\n[x]: /y\n\"title\n", &[]);
    }

    #[test]
    fn a_unit_that_does_not_end_is_cut_at_a_line() {
        let text = "word word word\n".repeat(4000);
        let found = boundaries(&text, None);
        assert_eq!(found.len(), 1);
        assert!(found[0].at <= MOST && text[..found[0].at].ends_with('\n'));
    }
}

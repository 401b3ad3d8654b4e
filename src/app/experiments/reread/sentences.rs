//! The sentences of a message, a file in it as one, and a message without one of them.
//!
//! Invariant: the cuts of a text lie in order, and each holds exactly one sentence with the white space that would
//! otherwise be left over; neighbours share nothing but white space.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::attachment;

/// Sentences of a text (Unicode's rules, UAX #29; a line end ends one), each with what is cut out to leave it out:
/// with the white space before it, so that a reply's own tokens can stay what they are; the first with that after it.
/// A stretch without a letter (a list's number, a rule) belongs to what follows it.
pub fn sentences(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut open: Option<usize> = None;
    for (start, piece) in pieces(text) {
        let end = start + piece.len();
        if piece.trim().is_empty() {
            continue;
        }
        let from = open.take().unwrap_or(start);
        if piece.chars().any(char::is_alphabetic) {
            found.push(from..end);
        } else {
            open = Some(from);
        }
    }
    match (open, found.last_mut()) {
        (Some(_), Some(last)) => last.end = text.len(),
        (Some(from), None) => found.push(from..text.len()),
        (None, _) => {}
    }
    let bare = found.iter().map(|range| {
        let inside = &text[range.clone()];
        let start = range.start + (inside.len() - inside.trim_start().len());
        start..start + inside.trim().len()
    });
    let bare: Vec<Range<usize>> = bare.collect();
    let cut = |at: usize| match (at, bare.get(at + 1)) {
        (0, Some(next)) => bare[0].start..next.start,
        (0, None) => bare[0].clone(),
        _ => bare[at - 1].end..bare[at].end,
    };
    (0..bare.len()).map(|at| (cut(at), &text[bare[at].clone()])).collect()
}

/// A text in sentences as Unicode cuts it, and files whole.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let mut all = Vec::new();
    let mut from = 0;
    let sentences_of = |range: Range<usize>| {
        let pieces = text[range.clone()].split_sentence_bound_indices();
        pieces.map(move |(at, piece)| (range.start + at, piece))
    };
    for file in attachment::blocks(text) {
        all.extend(sentences_of(from..file.start));
        all.push((file.start, &text[file.clone()]));
        from = file.end;
    }
    all.extend(sentences_of(from..text.len()));
    all
}

/// A text without a stretch.
pub fn without(text: &str, cut: &Range<usize>) -> String {
    format!("{}{}", &text[..cut.start], &text[cut.end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let found: Vec<(String, &str)> =
            sentences(text).into_iter().map(|(cut, sentence)| (without(text, &cut), sentence)).collect();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(rest, sentence)| (*sentence, rest.as_str())).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_sentence_goes_with_the_white_space_that_it_would_leave_behind() {
        check(
            "I live here. You do not!  Why?",
            &[
                ("I live here.", "You do not!  Why?"),
                ("You do not!", "I live here.  Why?"),
                ("Why?", "I live here. You do not!"),
            ],
        );
        check("one line\nanother\n", &[("one line", "another\n"), ("another", "one line\n")]);
        check("Only this.", &[("Only this.", "")]);
        check("", &[]);
        check(" \n ", &[]);
    }

    #[test]
    fn a_file_is_one_part_whatever_is_in_it() {
        check(
            "Read this. Now.\na.txt:\n```\nOne. Two.\n\nThree.\n```\nWhat is it?",
            &[
                ("Read this.", "Now.\na.txt:\n```\nOne. Two.\n\nThree.\n```\nWhat is it?"),
                ("Now.", "Read this.\na.txt:\n```\nOne. Two.\n\nThree.\n```\nWhat is it?"),
                ("a.txt:\n```\nOne. Two.\n\nThree.\n```", "Read this. Now.\nWhat is it?"),
                ("What is it?", "Read this. Now.\na.txt:\n```\nOne. Two.\n\nThree.\n```"),
            ],
        );
    }

    #[test]
    fn a_number_or_a_rule_belongs_to_what_follows_it() {
        check("1. Mix it. 2. Bake it.", &[("1. Mix it.", "2. Bake it."), ("2. Bake it.", "1. Mix it.")]);
        check("Title\n---\nText", &[("Title", "---\nText"), ("---\nText", "Title")]);
        check("Yes. 42", &[("Yes. 42", "")]);
        check("42", &[("42", "")]);
    }
}

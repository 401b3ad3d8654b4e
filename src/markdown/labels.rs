//! Texts that are to stand in one document, each with labels of its own.
//!
//! Invariant: a link leads where it led in its text alone, and a footnote belongs to its own text; a label that stands in
//! one text only stays as it was written.

use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Parser, Tag};

use super::OPTIONS;
use super::contained::{Change, as_code, changed};

/// So often at most is looked again for what was defined twice.
const MOST_TURNS: usize = 8;

/// The texts with those labels changed that stand in another of them too, or in what stands around them.
#[must_use]
pub fn apart(texts: Vec<String>, around: &str) -> Vec<String> {
    if !texts.iter().any(|text| text.contains("]:")) {
        return texts; // nothing is defined
    }
    let mut bare: Vec<String> = texts.iter().map(|text| self::bare(text)).collect();
    bare.push(self::bare(around));
    let mut mark = "-m".to_owned();
    while bare.iter().any(|text| text.contains(&mark)) {
        mark.push('m');
    }
    let renamed = texts.iter().enumerate().map(|(number, text)| {
        let elsewhere = |label: &str| {
            let label = self::bare(&format!("[{label}]"));
            bare.iter().enumerate().any(|(other, text)| other != number && text.contains(&label))
        };
        renamed(text, &format!("{mark}{}", number + 1), &elsewhere)
    });
    renamed.collect()
}

/// A text with whatever labels compare as equal spelt alike: without case, blanks as one, without the marks of quotes.
fn bare(text: &str) -> String {
    // Both ways, since some letters are alike only in capitals.
    let words = text.to_uppercase().to_lowercase();
    let words: Vec<&str> =
        words.split(|c: char| c.is_whitespace() || c == '>').filter(|word| !word.is_empty()).collect();
    words.join(" ").replace("[ ", "[").replace(" ]", "]").replace("[^ ", "[^")
}

/// A text whose labels end with a suffix where they stand elsewhere as well.
fn renamed(text: &str, suffix: &str, elsewhere: &dyn Fn(&str) -> bool) -> String {
    let mut out = text.to_owned();
    for _ in 0..MOST_TURNS {
        let changes = changes(&out, suffix, elsewhere);
        if changes.is_empty() {
            let same = leads(&out) == leads(text) && shown(&out) == shown(text);
            return if same { out } else { as_code(text) };
        }
        out = changed(&out, changes);
    }
    as_code(text) // made to harm
}

/// Where a suffix is missing. Of what is defined twice the first counts; the second is found once that has its suffix.
fn changes(text: &str, suffix: &str, elsewhere: &dyn Fn(&str) -> bool) -> Vec<Change> {
    let wanted = |label: &str| !label.ends_with(suffix) && elsewhere(label);
    let parser = Parser::new_ext(text, OPTIONS);
    let insert = |at: usize| (at..at, suffix.to_owned());
    let mut changes = Vec::new();
    for (label, definition) in parser.reference_definitions().iter() {
        if wanted(label) {
            changes.extend(end_of_label(text, &definition.span).map(insert));
        }
    }
    for (event, range) in parser.into_offset_iter() {
        match event {
            Event::Start(Tag::Link { link_type, id, .. } | Tag::Image { link_type, id, .. })
                if wanted(&id) =>
            {
                let label = id.split_whitespace().collect::<Vec<_>>().join(" ");
                match link_type {
                    LinkType::Reference => changes.push(insert(range.end - 1)),
                    LinkType::Collapsed => {
                        // The parser's range is that of its words.
                        let brackets =
                            if text[range.end..].starts_with("[]") { range.end } else { range.end - 2 };
                        changes.push((brackets..brackets + 2, format!("[{label}{suffix}]")));
                    }
                    LinkType::Shortcut => changes.push((range.end..range.end, format!("[{label}{suffix}]"))),
                    _ => {}
                }
            }
            Event::FootnoteReference(name) if wanted(&format!("^{name}")) => {
                changes.push(insert(range.end - 1));
            }
            Event::Start(Tag::FootnoteDefinition(name)) if wanted(&format!("^{name}")) => {
                changes.extend(end_of_label(text, &range).map(insert));
            }
            _ => {}
        }
    }
    changes.sort_by_key(|(range, _)| (range.start, range.end));
    changes
}

/// Where the bracket is that closes the label of a definition.
fn end_of_label(text: &str, definition: &Range<usize>) -> Option<usize> {
    let bytes = text.get(definition.clone())?.as_bytes();
    let open = bytes.iter().position(|byte| *byte == b'[')?;
    let mut escaped = false;
    let close = bytes[open + 1..].iter().position(|byte| {
        let closes = *byte == b']' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })?;
    Some(definition.start + open + 1 + close)
}

/// What is read of a text.
fn shown(text: &str) -> String {
    let words = Parser::new_ext(text, OPTIONS).map(|event| match event {
        Event::Text(words) | Event::Code(words) | Event::InlineMath(words) | Event::DisplayMath(words) => {
            words.into_string()
        }
        _ => String::new(),
    });
    words.collect()
}

/// Where its links lead, in order, and which of its footnotes are referred to and defined.
fn leads(text: &str) -> (Vec<String>, usize, usize) {
    let (mut links, mut referred, mut defined) = (Vec::new(), 0, 0);
    for event in Parser::new_ext(text, OPTIONS) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.into_string());
            }
            Event::FootnoteReference(_) => referred += 1,
            Event::Start(Tag::FootnoteDefinition(_)) => defined += 1,
            _ => {}
        }
    }
    (links, referred, defined)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::contained;
    use super::*;

    fn check(texts: &[&str], expected: &[&str]) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(apart(texts, ""), expected);
    }

    #[test]
    fn labels_that_stand_in_two_texts_are_told_apart() {
        check(
            &["see [a] and [b][A]\n\n[a]: /one", "a plain [a]", "[x][a]\n\n[A]: /two"],
            &["see [a][a-m1] and [b][A-m1]\n\n[a-m1]: /one", "a plain [a]", "[x][a-m3]\n\n[A-m3]: /two"],
        );
        check(
            &["one[^1]\n\n[^1]: first", "two[^1]\n\n[^1]: second"],
            &["one[^1-m1]\n\n[^1-m1]: first", "two[^1-m2]\n\n[^1-m2]: second"],
        );
        check(&["[a][]\n\n[a]: /x", "[a]"], &["[a][a-m1]\n\n[a-m1]: /x", "[a]"]);
        check(&["![a]\n\n[a]: /x", "[ A\n]"], &["![a][a-m1]\n\n[a-m1]: /x", "[ A\n]"]);
        // What is defined twice in one text is no clash, but would be one for another text.
        check(&["[a]\n\n[a]: /x\n[a]: /y", "[a]"], &["[a][a-m1]\n\n[a-m1]: /x\n[a-m1]: /y", "[a]"]);
    }

    #[test]
    fn labels_of_one_text_alone_stay_as_they_were_written() {
        check(&["[a]\n\n[a]: /x", "b[^1]\n\n[^1]: n"], &["[a]\n\n[a]: /x", "b[^1]\n\n[^1]: n"]);
        check(&["```\n[a]: /x\n```", "[a]"], &["```\n[a]: /x\n```", "[a]"]);
        let titled = apart(vec!["[a]\n\n[a]: /x".to_owned()], "About [A]");
        assert_eq!(titled, ["[a][a-m1]\n\n[a-m1]: /x"]);
        // A suffix that somebody could have written is not used.
        check(&["[a]\n\n[a]: /x", "[a] [a-m1]"], &["[a][a-mm1]\n\n[a-mm1]: /x", "[a] [a-m1]"]);
    }

    fn part() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "[a]",
            "[A]",
            "[b]",
            "[a][b]",
            "[a][]",
            "![a]",
            "[^a]",
            "[^1]",
            "[",
            "]",
            "^",
            "a",
            "\n",
            "\n\n",
            "> ",
            "- ",
            "[a]: /x\n",
            "[b]: /y\n",
            "[A]: /z\n",
            "[^a]: note\n",
            "[^1]: other\n",
            "    ",
            "`",
            "\\",
            "(",
            ")",
            " text ",
            "|",
            "```\n",
            "<b>",
        ]);
        prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_text_acts_on_another(one in part(), two in part(), three in part()) {
            let texts: Vec<String> = [one, two, three].iter().map(|text| contained(text)).collect();
            let alone: Vec<_> = texts.iter().map(|text| leads(text)).collect();
            let told = apart(texts, "You");
            for (text, alone) in told.iter().zip(&alone) {
                // One that could not be told apart is shown as it was written.
                prop_assert!(leads(text) == *alone || text.starts_with("```"), "{}", text);
            }
            let alone: Vec<_> = told.iter().map(|text| leads(text)).collect();
            let page = told.join("\n\n## You\n\n");
            let (mut links, mut referred, mut defined) = (Vec::new(), 0, 0);
            for (of, more, notes) in alone {
                links.extend(of);
                referred += more;
                defined += notes;
            }
            prop_assert_eq!(leads(&page), (links, referred, defined), "{}", page);
        }
    }
}

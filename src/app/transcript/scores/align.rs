//! Where the texts of a chat stand among the tokens of a prompt.
//!
//! Invariant: texts are found in order and never overlap, never across a control token; a text that the
//! template left out or changed is not found, and costs none of the others its place.

use std::ops::Range;

use crate::token::{TokenId, TokenKind, Vocabulary, with_blanks};

/// A token of a text: its first byte there, the byte after its last, its index in the prompt.
pub(crate) type Place = (usize, usize, usize);

/// Largest table of the exact search, cells; beyond it the plain one does.
const TABLE: usize = 4_000_000;

/// A prompt as bytes.
struct Prompt {
    bytes: Vec<u8>,
    /// Where each token ends in `bytes`.
    ends: Vec<usize>,
    /// Stretches between control tokens; only those that one follows.
    closed: Vec<Range<usize>>,
}

impl Prompt {
    fn of(ids: &[TokenId], vocabulary: &Vocabulary) -> Self {
        let mut prompt = Self { bytes: Vec::new(), ends: Vec::with_capacity(ids.len()), closed: Vec::new() };
        let mut open = 0;
        for id in ids {
            let before = prompt.bytes.len();
            prompt.bytes.extend_from_slice(vocabulary.bytes(*id).unwrap_or_default());
            if vocabulary.kind(*id) == TokenKind::Control {
                if before > open {
                    prompt.closed.push(open..before);
                }
                open = prompt.bytes.len();
            }
            prompt.ends.push(prompt.bytes.len());
        }
        prompt
    }

    /// The tokens that share bytes with a stretch; those without bytes of their own only inside it.
    fn places(&self, found: &Found) -> Vec<Place> {
        let range = &found.range;
        let first = self.ends.partition_point(|end| *end <= range.start);
        let mut places = Vec::new();
        let mut start = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        for (index, &end) in self.ends.iter().enumerate().skip(first) {
            if start >= range.end {
                break;
            }
            let inside = |at: usize| at.clamp(range.start, range.end) - range.start + found.skipped;
            places.push((inside(start), inside(end), index));
            start = end;
        }
        places
    }
}

/// A text that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// Where in the prompt's bytes.
    range: Range<usize>,
    /// Bytes at the text's beginning that the template left out.
    skipped: usize,
}

/// The tokens of each text, empty for one that is not there.
pub(crate) fn align(ids: &[TokenId], vocabulary: &Vocabulary, texts: &[Vec<u8>]) -> Vec<Vec<Place>> {
    let prompt = Prompt::of(ids, vocabulary);
    let found = find(&prompt, texts);
    let (spelt, places): (Vec<_>, Vec<_>) = texts.iter().map(|text| with_blanks(text)).unzip();
    if spelt != texts {
        // The vocabulary may have made blanks of the text's own signs for them.
        let again = find(&prompt, &spelt);
        if again.iter().flatten().count() > found.iter().flatten().count() {
            let in_text = again.iter().zip(&places).map(|(found, at)| {
                let tokens = found.as_ref().map_or_else(Vec::new, |found| prompt.places(found));
                tokens.into_iter().map(|(from, to, index)| (at[from], at[to], index)).collect()
            });
            return in_text.collect();
        }
    }
    found.iter().map(|found| found.as_ref().map_or_else(Vec::new, |found| prompt.places(found))).collect()
}

fn find(prompt: &Prompt, texts: &[Vec<u8>]) -> Vec<Option<Found>> {
    let between_marks = between_marks(prompt, texts);
    let all = texts.iter().filter(|text| !text.trim_ascii().is_empty()).count();
    if between_marks.iter().flatten().count() == all {
        return between_marks;
    }
    let anywhere = anywhere(prompt, texts);
    if covered(&anywhere) > covered(&between_marks) { anywhere } else { between_marks }
}

fn covered(found: &[Option<Found>]) -> usize {
    found.iter().flatten().map(|found| found.range.len()).sum()
}

/// Most templates end a message with a mark: each text is the end of a stretch before one. Of all ways to
/// lay the texts on stretches in order the one that covers most bytes is taken, and of equal ones the latest,
/// since what stands before a text (a role's name, a template's own system prompt) may end like it.
fn between_marks(prompt: &Prompt, texts: &[Vec<u8>]) -> Vec<Option<Found>> {
    let (rows, columns) = (texts.len(), prompt.closed.len());
    let mut places = vec![None; rows];
    if rows.saturating_mul(columns) > TABLE {
        return places;
    }
    let fits = |row: usize, column: usize| {
        let text = texts[row].trim_ascii();
        let stretch = prompt.bytes[prompt.closed[column].clone()].trim_ascii_end();
        (!text.is_empty() && stretch.ends_with(text)).then_some(text.len() as u32)
    };
    let wide = columns + 1;
    let mut best = vec![0_u32; (rows + 1) * wide];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let with = fits(row, column).map_or(0, |bytes| bytes + best[(row + 1) * wide + column + 1]);
            best[row * wide + column] =
                with.max(best[(row + 1) * wide + column]).max(best[row * wide + column + 1]);
        }
    }
    let (mut row, mut column) = (0, 0);
    while row < rows && column < columns {
        let here = best[row * wide + column];
        if best[row * wide + column + 1] == here {
            column += 1;
        } else if best[(row + 1) * wide + column] == here {
            row += 1;
        } else {
            let stretch = prompt.closed[column].clone();
            let end = stretch.start + prompt.bytes[stretch.clone()].trim_ascii_end().len();
            places[row] = Some(widen(prompt, &texts[row], end, stretch));
            row += 1;
            column += 1;
        }
    }
    places
}

/// Templates without marks: each text where it stands last before the one after it.
fn anywhere(prompt: &Prompt, texts: &[Vec<u8>]) -> Vec<Option<Found>> {
    let mut limit = prompt.bytes.len();
    let mut places = vec![None; texts.len()];
    for (place, text) in places.iter_mut().zip(texts).rev() {
        let bare = text.trim_ascii();
        if bare.is_empty() {
            continue;
        }
        if let Some(start) = last_occurrence(&prompt.bytes[..limit], bare) {
            let found = widen(prompt, text, start + bare.len(), 0..limit);
            limit = found.range.start;
            *place = Some(found);
        }
    }
    places
}

fn last_occurrence(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    (0..=bytes.len().checked_sub(wanted.len())?).rev().find(|at| bytes[*at..].starts_with(wanted))
}

/// Takes the blanks around a text along where the template kept them. `end` is where the text without blanks
/// ends in the prompt.
fn widen(prompt: &Prompt, text: &[u8], end: usize, bounds: Range<usize>) -> Found {
    let leading = text.len() - text.trim_ascii_start().len();
    let bare = text.trim_ascii().len();
    let start = end - bare;
    let before = text[..leading].iter().rev().zip(prompt.bytes[bounds.start..start].iter().rev());
    let before = before.take_while(|(own, there)| own == there).count();
    let after = text[leading + bare..].iter().zip(&prompt.bytes[end..bounds.end.max(end)]);
    let after = after.take_while(|(own, there)| own == there).count();
    Found { range: start - before..end + after, skipped: leading - before }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ids 0 to 255 are single bytes, then marks and a few longer pieces.
    fn vocabulary() -> Vocabulary {
        let mut vocabulary = Vocabulary { hash: "v".into(), ..Vocabulary::default() };
        for byte in 0..=255_u8 {
            vocabulary.push(&[byte], TokenKind::Normal);
        }
        vocabulary.push(b"<|im_start|>", TokenKind::Control);
        vocabulary.push(b"<|im_end|>", TokenKind::Control);
        for piece in ["user\n", "assistant\n", " the", "er", "\n\n", "ab", ".\n", "us"] {
            vocabulary.push(piece.as_bytes(), TokenKind::Normal);
        }
        vocabulary
    }

    /// A text as ids, with long pieces where `long` says so.
    fn tokens(text: &[u8], long: &mut impl FnMut() -> bool, vocabulary: &Vocabulary) -> Vec<TokenId> {
        let mut ids = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let piece = (258..266)
                .map(TokenId)
                .find(|id| text[at..].starts_with(vocabulary.bytes(*id).unwrap()))
                .filter(|_| long());
            let id = piece.unwrap_or(TokenId(i32::from(text[at])));
            at += vocabulary.bytes(id).unwrap().len();
            ids.push(id);
        }
        ids
    }

    fn chatml(messages: &[(&str, String)], mut long: impl FnMut() -> bool) -> Vec<TokenId> {
        let vocabulary = vocabulary();
        let mut ids = Vec::new();
        for (role, text) in messages {
            ids.push(TokenId(256));
            ids.extend(tokens(format!("{role}\n{text}").as_bytes(), &mut long, &vocabulary));
            ids.push(TokenId(257));
            ids.extend(tokens(b"\n", &mut long, &vocabulary));
        }
        ids.push(TokenId(256));
        ids.extend(tokens(b"assistant\n", &mut long, &vocabulary));
        ids
    }

    fn check_covers(ids: &[TokenId], texts: &[Vec<u8>], found: &[Vec<Place>]) -> Result<(), TestCaseError> {
        let vocabulary = vocabulary();
        let mut last = None;
        for (text, places) in texts.iter().zip(found) {
            prop_assert_eq!(text.trim_ascii().is_empty(), places.is_empty());
            let mut at = places.first().map_or(0, |place| place.0);
            prop_assert!(text[..at].trim_ascii().is_empty());
            for (start, end, index) in places {
                prop_assert_eq!(*start, at);
                prop_assert!(last.is_none_or(|last| *index > last) || *start == 0);
                let bytes = vocabulary.bytes(ids[*index]).unwrap();
                let shown = &text[*start..*end];
                prop_assert!(bytes.windows(shown.len().max(1)).any(|part| part == shown), "{:?}", shown);
                (at, last) = (*end, Some(*index));
            }
            prop_assert!(text[at..].trim_ascii().is_empty());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_message_is_found_at_its_own_tokens(
            texts in proptest::collection::vec(
                "(user|assistant|the|er|ab|\\.|\n| |é|🦀|<\\|im_end\\|>){0,4}[a.é🦀](user| |\n){0,3}", 0..6),
            splits in proptest::collection::vec(any::<bool>(), 64),
        ) {
            let messages: Vec<(&str, String)> = texts
                .iter()
                .enumerate()
                .map(|(at, text)| (if at % 2 == 0 { "user" } else { "assistant" }, text.clone()))
                .collect();
            let mut turn = 0;
            let long = || { turn += 1; splits[turn % splits.len()] };
            let ids = chatml(&messages, long);
            let texts: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
            let found = align(&ids, &vocabulary(), &texts);
            check_covers(&ids, &texts, &found)?;
            // Each message lies between its own two marks.
            let opened: Vec<usize> = (0..ids.len()).filter(|at| ids[*at] == TokenId(256)).collect();
            for (message, places) in found.iter().enumerate() {
                for (_, _, index) in places {
                    prop_assert!(opened[message] < *index && *index < opened[message + 1]);
                }
            }
        }
    }

    #[test]
    fn a_text_that_was_left_out_or_changed_costs_no_other_its_place() {
        let sent = [("system", "Be brief."), ("user", "first."), ("assistant", "cut"), ("user", ".")];
        let sent: Vec<(&str, String)> = sent.iter().map(|(role, text)| (*role, (*text).to_owned())).collect();
        let ids = chatml(&sent, || false);
        let texts: Vec<Vec<u8>> = ["gone", "first.", "reasoning, then cut!", "."]
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
        let found = align(&ids, &vocabulary(), &texts);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [0, 6, 0, 1]);
        assert_eq!(vocabulary().kind(ids[found[3][0].2 + 1]), TokenKind::Control);
    }

    #[test]
    fn a_text_whose_signs_for_blanks_became_blanks_is_found() {
        let messages = |text: &str| [("user", "first".to_owned()), ("user", text.to_owned())];
        let texts = |text: &str| vec![b"first".to_vec(), text.as_bytes().to_vec()];
        let text = "so ▁▂▃ and▁so▁";
        let spelt = text.replace('▁', " ");
        for (prompt, kept) in [(spelt.as_str(), false), (text, true)] {
            let ids = chatml(&messages(prompt), || false);
            let found = align(&ids, &vocabulary(), &texts(text));
            assert_eq!(found[0].len(), 5);
            // Each byte of the text belongs to a token, a sign's three to the blank it became.
            let mut at = 0;
            for (from, to, index) in &found[1] {
                let bytes = vocabulary().bytes(ids[*index]).unwrap().to_vec();
                let part = &text.as_bytes()[*from..*to];
                assert!(*from == at && (part == bytes || !kept && part == "▁".as_bytes() && bytes == b" "));
                at = *to;
            }
            // Blanks at the end are the template's to keep.
            assert!(at >= text.len() - "▁".len(), "{at}");
        }
    }

    #[test]
    fn a_template_without_marks_is_searched_from_its_end() {
        let vocabulary = vocabulary();
        let prompt = "User: hi\nAssistant: hello\nUser: hi\nAssistant:";
        let ids = tokens(prompt.as_bytes(), &mut || false, &vocabulary);
        let texts: Vec<Vec<u8>> =
            ["hi", "hello", " hi "].iter().map(|text| text.as_bytes().to_vec()).collect();
        let found = align(&ids, &vocabulary, &texts);
        assert_eq!(found[0], [(0, 1, 6), (1, 2, 7)]);
        assert_eq!(found[2], [(0, 1, 31), (1, 2, 32), (2, 3, 33)]);
    }
}

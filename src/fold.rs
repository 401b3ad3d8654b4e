//! Text as search sees it: without case, accents and characters that have no shape, composed and decomposed alike.
//!
//! Invariant: folding a folded text changes nothing; what a script needs to tell words apart (the vowels and tones of
//! Thai, the voicing of kana, the signs of Devanagari) stays.

use std::ops::Range;

use unicode_normalization::char::{canonical_combining_class, decompose_compatible};

/// A text folded.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return fold_ascii(text);
    }
    let mut folded = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut folded, c));
    folded
}

/// A folded text that knows where each part of it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The folded text.
    pub text: String,
    /// For each character that is seen: where it begins there, where it begins and ends in the source.
    places: Vec<(usize, Range<usize>)>,
}

impl Folded {
    /// A text folded.
    #[must_use]
    pub fn new(source: &str) -> Self {
        let mut text = String::with_capacity(source.len());
        let mut places: Vec<(usize, Range<usize>)> = Vec::new();
        for (at, c) in source.char_indices() {
            let before = text.len();
            push(&mut text, c);
            let end = at + c.len_utf8();
            match places.last_mut() {
                // A mark that was left out belongs to the letter before it.
                Some((_, range)) if text.len() <= before => range.end = end,
                _ => places.push((before, at..end)),
            }
        }
        Self { text, places }
    }

    /// Where a stretch of the folded text stands in the source, whole characters.
    #[must_use]
    pub fn source(&self, range: &Range<usize>) -> Range<usize> {
        let holding = |at: usize| self.places.partition_point(|(begins, _)| *begins <= at).saturating_sub(1);
        let part = |at: usize| self.places.get(holding(at)).map_or(0..0, |(_, source)| source.clone());
        let start = part(range.start).start;
        if range.is_empty() { start..start } else { start..part(range.end - 1).end.max(start) }
    }

    /// Where a folded text occurs, in the source, first to last, none inside another.
    pub fn find<'a>(&'a self, folded: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let found = self.text.match_indices(folded).filter(|_| !folded.is_empty());
        found.map(|(at, matched)| self.source(&(at..at + matched.len())))
    }
}

fn fold_ascii(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        push_plain(&mut folded, c.to_ascii_lowercase());
    }
    folded
}

/// Appends what a character is folded to.
fn push(folded: &mut String, c: char) {
    if c.is_ascii() {
        return push_plain(folded, c.to_ascii_lowercase());
    }
    if is_formless(c) {
        return;
    }
    decompose_compatible(c, |part| {
        // Upper and then lower case makes one of the forms that a letter has in small: ς and σ, ß and ss, ı and i.
        for small in part.to_uppercase().flat_map(char::to_lowercase) {
            decompose_compatible(small, |part| push_part(folded, part));
        }
    });
}

fn push_part(folded: &mut String, c: char) {
    let class = canonical_combining_class(c);
    if is_accent(class) || is_formless(c) {
        return;
    }
    if class == 0 {
        match plain_letters(c) {
            Some(letters) => folded.push_str(letters),
            None => push_plain(folded, c),
        }
        return;
    }
    // Marks of one letter have one order, however they were typed.
    let mut later = Vec::new();
    while let Some(last) = folded.chars().next_back().filter(|last| canonical_combining_class(*last) > class)
    {
        folded.pop();
        later.push(last);
    }
    folded.push(c);
    folded.extend(later.into_iter().rev());
}

/// Blanks and line ends become one blank; what acts is left out.
fn push_plain(folded: &mut String, c: char) {
    if c.is_whitespace() {
        if !folded.ends_with(' ') {
            folded.push(' ');
        }
    } else if !c.is_control() {
        folded.push(c);
    }
}

/// Marks over and under letters, points and vowel signs of Hebrew, Arabic and Syriac. Those of other scripts have other
/// classes and stay.
fn is_accent(class: u8) -> bool {
    matches!(class, 1 | 10..=36 | 200..=255)
}

/// Letters that people take for an accented one, though no decomposition says so.
fn plain_letters(c: char) -> Option<&'static str> {
    Some(match c {
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'ħ' => "h",
        'ŧ' => "t",
        'þ' => "th",
        'æ' => "ae",
        'œ' => "oe",
        _ => return None,
    })
}

fn is_formless(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{640}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(all: &[&str]) {
        for other in all {
            assert_eq!(fold(other), fold(all[0]), "{other:?} and {:?}", all[0]);
        }
    }

    #[test]
    fn case_and_accents_fold_in_every_script() {
        same(&["Да", "да", "ДА"]);
        same(&["café", "cafe\u{301}", "CAFÉ", "cafe"]);
        same(&["Straße", "STRASSE", "strasse"]);
        same(&["Ὀδυσσεύς", "ΟΔΥΣΣΕΥΣ", "οδυσσευσ"]);
        same(&["İstanbul", "istanbul", "ISTANBUL", "ıstanbul"]);
        same(&["Ёлка", "елка", "ЕЛКА"]);
        same(&["שָׁלוֹם", "שלום"]);
        same(&["مُحَمَّد", "محمد", "مـحـمـد"]);
        same(&["Việt", "Viê\u{323}t", "viet"]);
        same(&["Łódź", "lodz"]);
        same(&["ｆｕｌｌ", "full"]);
        same(&["ｶﾞ", "ガ", "カ\u{3099}"]);
        same(&[
            "한국",
            "한국"
                .chars()
                .flat_map(|c| {
                    let mut parts = Vec::new();
                    decompose_compatible(c, |part| parts.push(part));
                    parts
                })
                .collect::<String>()
                .as_str(),
        ]);
        same(&["ភាសា\u{200b}ខ្មែរ", "ភាសាខ្មែរ"]);
        same(&["a\u{300}\u{323}", "a\u{323}\u{300}"]);
        same(&["น\u{e49}\u{e39}", "น\u{e39}\u{e49}"]);
    }

    #[test]
    fn what_tells_words_apart_stays() {
        for (one, other) in [("か", "が"), ("ดี", "ดู"), ("ไม่", "ไม้"), ("की", "का"), ("ร", "ร้")]
        {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn a_match_is_whole_characters_of_the_source() {
        let check = |text: &str, query: &str, expected: &[&str]| {
            let folded = Folded::new(text);
            let wanted = fold(query);
            let found: Vec<&str> = folded.find(&wanted).map(|range| &text[range]).collect();
            assert_eq!(found, expected, "{query:?} in {text:?}");
        };
        check("Große GROSSE", "grosse", &["Große", "GROSSE"]);
        check("Gro\u{df}e", "s", &["\u{df}", "\u{df}"]);
        check("un cafe\u{301} noir", "café", &["cafe\u{301}"]);
        check("İstanbul ÄPFEL äpfel", "äpfel", &["ÄPFEL", "äpfel"]);
        check("one\n\ttwo", "one two", &["one\n\ttwo"]);
        check("今天东京天气", "东京", &["东京"]);
        check("", "x", &[]);
        check("x", "", &[]);
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            let once = fold(&text);
            prop_assert_eq!(&fold(&once), &once);
            prop_assert_eq!(&Folded::new(&text).text, &once);
        }

        #[test]
        fn every_stretch_has_a_place(text in any::<String>(), from in 0_usize..40, long in 0_usize..20) {
            let folded = Folded::new(&text);
            let edge = |at: usize| (at..=folded.text.len()).find(|at| folded.text.is_char_boundary(*at));
            if let (Some(from), Some(to)) = (edge(from), edge(from + long)) {
                prop_assert!(text.get(folded.source(&(from..to))).is_some());
            }
        }
    }
}

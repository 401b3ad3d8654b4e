//! Matching what was typed against names: best first, and the nearest one when nothing matches.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

pub(crate) use crate::config::document::{begins, nearest_or_begun as nearest};

/// Indices of the texts that match, best first; all in their order for an empty query.
pub fn rank<T: AsRef<str>>(query: &str, texts: &[T]) -> Vec<usize> {
    if query.trim().is_empty() {
        return (0..texts.len()).collect();
    }
    let pattern = Pattern::new(query, CaseMatching::Ignore, Normalization::Smart, AtomKind::Fuzzy);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut scored: Vec<(usize, u32)> = texts
        .iter()
        .enumerate()
        .filter_map(|(index, text)| {
            let score = pattern.score(Utf32Str::new(text.as_ref(), &mut buffer), &mut matcher)?;
            Some((index, score))
        })
        .collect();
    scored.sort_by_key(|&(index, score)| (std::cmp::Reverse(score), texts[index].as_ref().len(), index));
    scored.into_iter().map(|(index, _)| index).collect()
}

/// The same, those that the query begins before all others, and a text that it is the whole of first.
pub fn begun_first<T: AsRef<str>>(query: &str, texts: &[T]) -> Vec<usize> {
    let mut ranked = rank(query, texts);
    ranked.sort_by_key(|&at| (texts[at].as_ref() != query, !begins(texts[at].as_ref(), query)));
    ranked
}

/// Whether every word of a query begins a word of a text, which no match of scattered letters does.
pub fn names_words(query: &str, text: &str) -> bool {
    let words = || text.split(|c: char| !c.is_alphanumeric());
    query.split(|c: char| !c.is_alphanumeric()).all(|wanted| words().any(|word| begins(word, wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_matches_come_first() {
        assert_eq!(rank("mod", &["mouse", "models", "model", "new"]), [2, 1]);
        assert_eq!(rank("", &["b", "a"]), [0, 1]);
    }

    #[test]
    fn what_a_query_begins_comes_first_and_scattered_letters_name_nothing() {
        assert_eq!(begun_first("se", &["reset", "settings", "se", "set"]), [2, 3, 1, 0]);
        assert!(begins("Steer", "ste") && !begins("set", "sett"));
        assert!(names_words("del ch", "Delete the chat delete-chat"));
        assert!(!names_words("etc", "Delete the chat delete-chat"));
    }

    #[test]
    fn a_typo_finds_its_name_and_nonsense_finds_none() {
        let names = || ["model", "theme", "quit"].into_iter();
        assert_eq!(nearest("modle", names()), Some("model"));
        assert_eq!(nearest("th", names()), Some("theme"));
        assert_eq!(nearest("xyzzy", names()), None);
    }
}

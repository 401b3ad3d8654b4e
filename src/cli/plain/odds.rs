//! The odds of a reply, in lines: how likely each word was, and what else it could have been.
//!
//! Invariant: probabilities are over the whole vocabulary and before the samplers; a word of several tokens has the product
//! of theirs.

use std::fmt::Write as _;
use std::ops::Range;

use crate::sanitize;
use crate::token::{Step, Vocabulary};

/// So many other candidates of a word are listed.
const OTHERS: usize = 5;

/// What is said of a reply's words, or of the word of that number.
pub(super) fn said(steps: &[Step], number: &str, vocabulary: &Vocabulary) -> String {
    let words = words(steps);
    if words.is_empty() {
        return "There is no reply yet.\n".to_owned();
    }
    if number.is_empty() {
        let line = |(at, word): (usize, &Range<usize>)| {
            format!(
                "{}. {}: {}\n",
                at + 1,
                shown(&steps[word.clone()]),
                percent(chance(&steps[word.clone()]))
            )
        };
        return words.iter().enumerate().map(line).collect();
    }
    let chosen = number.parse().ok().and_then(|number: usize| words.get(number.checked_sub(1)?));
    match chosen {
        Some(word) => of_word(&steps[word.clone()], vocabulary),
        None => format!("The last reply has words 1 to {}.\n", words.len()),
    }
}

fn of_word(steps: &[Step], vocabulary: &Vocabulary) -> String {
    let mut said = format!("{}: {}\n", shown(steps), percent(chance(steps)));
    for step in steps {
        let piece = String::from_utf8_lossy(&step.bytes).into_owned();
        let of = (steps.len() > 1).then(|| format!(" of the piece “{}”", sanitize::for_display(&piece)));
        let _ = writeln!(said, "Likeliest in place{}:", of.unwrap_or_default()); // a string takes all
        for candidate in step.candidates.iter().take(OTHERS) {
            let bytes = vocabulary.bytes(candidate.id).unwrap_or_default();
            let piece = String::from_utf8_lossy(bytes).into_owned();
            let mark = if Some(candidate.id) == step.id { ", chosen" } else { "" };
            let chance = percent(f64::from(candidate.logprob.exp()));
            let _ = writeln!(said, "  “{}”: {chance}{mark}", sanitize::for_display(&piece));
        }
    }
    said
}

/// The tokens of each word: one begins with white space, or first of all.
fn words(steps: &[Step]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| !step.bytes.is_empty()) {
        let begins = step.bytes.first().is_some_and(u8::is_ascii_whitespace);
        match words.last_mut() {
            Some(word) if !begins => word.end = at + 1,
            _ => words.push(at..at + 1),
        }
    }
    words.retain(|word| steps[word.clone()].iter().any(|step| !step.bytes.trim_ascii().is_empty()));
    words
}

fn chance(steps: &[Step]) -> f64 {
    steps.iter().map(|step| f64::from(step.logprob)).sum::<f64>().exp()
}

fn percent(chance: f64) -> String {
    match chance * 100.0 {
        percent if percent.is_nan() => "not told by this server".to_owned(),
        percent if percent < 0.01 => "below 0.01 %".to_owned(),
        percent if percent < 9.995 => format!("{percent:.2} %"),
        percent => format!("{percent:.1} %"),
    }
}

fn shown(steps: &[Step]) -> String {
    let bytes: Vec<u8> = steps.iter().flat_map(|step| step.bytes.iter().copied()).collect();
    sanitize::for_display(String::from_utf8_lossy(&bytes).trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Candidate, TokenId, TokenKind};

    #[test]
    fn words_have_the_product_of_their_tokens_and_can_be_opened() {
        let mut vocabulary = Vocabulary::default();
        for piece in [&b"The"[..], b" cap", b"ital"] {
            vocabulary.push(piece, TokenKind::Normal);
        }
        let step = |id: i32, bytes: &[u8], chance: f32| Step {
            id: Some(TokenId(id)),
            bytes: bytes.to_vec(),
            logprob: chance.ln(),
            candidates: vec![Candidate { id: TokenId(id), logprob: chance.ln() }],
            ..Step::default()
        };
        let steps = [step(0, b"The", 0.5), step(1, b" cap", 0.5), step(2, b"ital", 0.1)];
        assert_eq!(said(&steps, "", &vocabulary), "1. The: 50.0 %\n2. capital: 5.00 %\n");
        let opened = said(&steps, "2", &vocabulary);
        assert!(opened.starts_with("capital: 5.00 %\nLikeliest in place of the piece “ cap”:\n"), "{opened}");
        assert!(opened.contains("“ital”: 10.0 %, chosen"), "{opened}");
        assert_eq!(said(&steps, "9", &vocabulary), "The last reply has words 1 to 2.\n");
        assert_eq!(said(&[], "", &vocabulary), "There is no reply yet.\n");
    }
}

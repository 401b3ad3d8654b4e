//! Merging neighbours, the best pair first, until no rule joins any two: what a BPE tokenizer does to a word.
//!
//! Source: Sennrich, Haddow and Birch 2016; the order among equals is llama.cpp's, from the left.
//! Invariant: spans stay adjacent and in order; what is joined is always two neighbours.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A stretch of the text, and what the rules know it as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Symbol<T> {
    /// First byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
    /// What the rules know it as.
    pub value: T,
}

/// One merge: how good its rule is, and where the left piece began, where they met, where the right one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined<P> {
    /// The rule's priority; the largest goes first.
    pub priority: P,
    /// Left start, meeting point, right end, bytes.
    pub span: (u32, u32, u32),
}

/// A score as a priority: the largest number first, the two zeros equal.
#[derive(Clone, Copy, Debug)]
pub struct Score(pub f32);

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0 + 0.0).total_cmp(&(other.0 + 0.0))
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Score {}

/// Symbols as a chain: each knows its neighbours that are still there.
struct Chain<T> {
    symbols: Vec<Symbol<T>>,
    before: Vec<Option<usize>>,
    after: Vec<Option<usize>>,
    there: Vec<bool>,
}

/// Largest priority first, then the leftmost; the right symbol, and where the pair ended when it was found.
type Pairs<P> = BinaryHeap<(P, Reverse<usize>, usize, u32)>;

/// Joins neighbours while `join` knows a rule for any two; gives the merges in their order, and what is left.
pub fn merge<T: Copy, P: Ord + Copy>(
    symbols: Vec<Symbol<T>>,
    join: impl Fn(&Symbol<T>, &Symbol<T>) -> Option<(P, T)>,
) -> (Vec<Joined<P>>, Vec<Symbol<T>>) {
    let count = symbols.len();
    let mut chain = Chain {
        symbols,
        before: (0..count).map(|at| at.checked_sub(1)).collect(),
        after: (1..=count).map(|at| (at < count).then_some(at)).collect(),
        there: vec![true; count],
    };
    let mut pairs = Pairs::new();
    (1..count).for_each(|at| chain.propose(Some(at - 1), Some(at), &join, &mut pairs));
    let mut joined = Vec::new();
    while let Some((priority, Reverse(left), right, end)) = pairs.pop() {
        let neighbours = chain.there[left] && chain.there[right] && chain.after[left] == Some(right);
        if !neighbours || chain.symbols[right].end != end {
            continue;
        }
        // A pair whose left side has grown since is another pair, with its own entry.
        let Some((rule, value)) = join(&chain.symbols[left], &chain.symbols[right]) else { continue };
        if rule != priority {
            continue;
        }
        let meet = chain.symbols[right].start;
        joined.push(Joined { priority, span: (chain.symbols[left].start, meet, end) });
        chain.join(left, right, value);
        chain.propose(chain.before[left], Some(left), &join, &mut pairs);
        chain.propose(Some(left), chain.after[left], &join, &mut pairs);
    }
    let kept =
        chain.symbols.into_iter().zip(chain.there).filter_map(|(symbol, there)| there.then_some(symbol));
    (joined, kept.collect())
}

impl<T: Copy> Chain<T> {
    fn propose<P: Ord>(
        &self,
        left: Option<usize>,
        right: Option<usize>,
        join: &impl Fn(&Symbol<T>, &Symbol<T>) -> Option<(P, T)>,
        pairs: &mut Pairs<P>,
    ) {
        let (Some(left), Some(right)) = (left, right) else { return };
        if let Some((priority, _)) = join(&self.symbols[left], &self.symbols[right]) {
            pairs.push((priority, Reverse(left), right, self.symbols[right].end));
        }
    }

    fn join(&mut self, left: usize, right: usize, value: T) {
        self.symbols[left].end = self.symbols[right].end;
        self.symbols[left].value = value;
        self.there[right] = false;
        self.after[left] = self.after[right];
        if let Some(after) = self.after[left] {
            self.before[after] = Some(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn letters(text: &str) -> Vec<Symbol<(u32, u32)>> {
        (0..text.len() as u32).map(|at| Symbol { start: at, end: at + 1, value: (at, at + 1) }).collect()
    }

    /// Merges by a list of pieces, the first the best; gives the joined pieces in order and what is left.
    fn check(text: &str, rules: &[&str]) -> (Vec<String>, Vec<String>) {
        let piece = |from: u32, to: u32| text[from as usize..to as usize].to_owned();
        let (joined, left) = merge(letters(text), |a, b| {
            let rank = rules.iter().position(|rule| **rule == text[a.start as usize..b.end as usize])?;
            Some((Reverse(rank), (a.start, b.end)))
        });
        let joined = joined.into_iter().map(|joined| piece(joined.span.0, joined.span.2)).collect();
        (joined, left.into_iter().map(|symbol| piece(symbol.start, symbol.end)).collect())
    }

    #[test]
    fn the_best_rule_goes_first_and_among_equals_the_leftmost() {
        let (joined, left) = check("lowlower", &["er", "lo", "low", "lower"]);
        assert_eq!(joined, ["er", "lo", "lo", "low", "low", "lower"]);
        assert_eq!(left, ["low", "lower"]);
        assert_eq!(
            check("aaaaa", &["aa", "aaaa"]),
            (vec!["aa".into(), "aa".into(), "aaaa".into()], vec!["aaaa".into(), "a".into()],)
        );
    }

    #[test]
    fn nothing_is_joined_without_a_rule() {
        assert_eq!(check("abc", &[]), (vec![], vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(check("", &["a"]), (vec![], vec![]));
        assert_eq!(check("a", &["a"]), (vec![], vec!["a".into()]));
    }

    #[test]
    fn scores_are_in_the_order_of_numbers() {
        assert!(Score(-1.0) > Score(-2.0));
        assert_eq!(Score(0.0), Score(-0.0));
    }

    /// The plain way: look at all neighbours again after each merge.
    fn slow(text: &str, rules: &[String]) -> Vec<String> {
        let mut parts: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let pairs = parts.windows(2).enumerate();
            let ranks = pairs.filter_map(|(at, pair)| {
                Some((rules.iter().position(|rule| *rule == format!("{}{}", pair[0], pair[1]))?, at))
            });
            let Some((_, at)) = ranks.min() else { return parts };
            let right = parts.remove(at + 1);
            parts[at].push_str(&right);
        }
    }

    proptest! {
        #[test]
        fn the_result_is_that_of_looking_at_all_neighbours_each_time(
            text in "[ab]{0,24}",
            rules in proptest::collection::vec("[ab]{2,4}", 0..8),
        ) {
            let named: Vec<&str> = rules.iter().map(String::as_str).collect();
            prop_assert_eq!(check(&text, &named).1, slow(&text, &rules));
        }
    }
}

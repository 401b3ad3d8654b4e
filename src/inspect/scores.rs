//! What each head of a model does on random text, so that what it does in a chat can be held against it.
//!
//! Invariant: scores are means over positions where the sort of reading is possible, each 0 to 1; they are of one model
//! file and of [`probe`]'s tokens, and of nothing else.

use serde::{Deserialize, Serialize};

use super::trace::HeadClass;
use crate::token::{TokenId, TokenKind, Vocabulary};

/// Random tokens of the probe, which are read twice.
pub const HALF: usize = 64;
/// A head rests on token 0 where that has more weight than this on average (Gu et al. 2024); the same is asked of the
/// other sorts.
const LEAST: f32 = 0.3;

/// Scores of all heads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadScores {
    /// Of each block its heads' scores.
    pub layers: Vec<Vec<HeadScore>>,
    /// How long the calibration took, ms.
    pub ms: f32,
}

/// Mean weights of one head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadScore {
    /// On the token before.
    pub previous: f32,
    /// On the token itself.
    pub own: f32,
    /// On token 0.
    pub sink: f32,
    /// On the earlier copy of the token.
    pub duplicate: f32,
    /// On the token after the earlier copy (Olsson et al. 2022).
    pub induction: f32,
}

impl HeadScore {
    /// Means over a head's rows, row `i` of position `i`, where the last `2 · half` tokens are a text said twice.
    #[must_use]
    pub fn of(rows: &[Vec<f32>], half: usize) -> Self {
        let second = rows.len().saturating_sub(half);
        let at = |row: usize, back: usize| row.checked_sub(back).and_then(|place| rows[row].get(place));
        let mean = |from: usize, back: usize| {
            let weights: Vec<f32> = (from..rows.len()).filter_map(|row| at(row, back).copied()).collect();
            weights.iter().sum::<f32>() / weights.len().max(1) as f32
        };
        let first = rows.iter().skip(1).filter_map(|row| row.first());
        let sink = first.sum::<f32>() / rows.len().saturating_sub(1).max(1) as f32;
        Self {
            previous: mean(1, 1),
            own: mean(1, 0),
            sink,
            duplicate: mean(second, half),
            induction: mean(second, half.saturating_sub(1)),
        }
    }

    /// What the head does most, and its score; [`HeadClass::Other`] where nothing scores enough.
    #[must_use]
    pub fn class(&self) -> (HeadClass, f32) {
        let sorts = [
            (HeadClass::Sink, self.sink),
            (HeadClass::Previous, self.previous),
            (HeadClass::Induction, self.induction),
            (HeadClass::Duplicate, self.duplicate),
            (HeadClass::Own, self.own),
        ];
        let best = sorts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).filter(|best| best.1 > LEAST);
        best.unwrap_or((HeadClass::Other, 0.0))
    }
}

impl HeadScores {
    /// The scores of a head.
    #[must_use]
    pub fn head(&self, layer: u32, head: u32) -> Option<&HeadScore> {
        self.layers.get(layer as usize)?.get(head as usize)
    }

    /// Whether they can be of a model of this shape; a damaged or foreign record cannot.
    #[must_use]
    pub fn fits(&self, layers: u32, heads: u32) -> bool {
        let sound = |score: &HeadScore| {
            let all = [score.previous, score.own, score.sink, score.duplicate, score.induction];
            all.iter().all(|share| (0.0..=1.01).contains(share))
        };
        let whole = |layer: &Vec<HeadScore>| {
            (layer.is_empty() || layer.len() == heads as usize) && layer.iter().all(sound)
        };
        self.layers.len() == layers as usize && self.layers.iter().all(whole)
    }
}

/// The text that heads are scored on: [`HALF`] different plain tokens, drawn from a fixed seed, read twice, after
/// the token that begins a text where the model has one. Empty where the vocabulary has too few plain tokens.
pub fn probe(vocabulary: &Vocabulary, begin: Option<TokenId>) -> Vec<TokenId> {
    let plain: Vec<TokenId> = (0..)
        .map(TokenId)
        .take(vocabulary.len())
        .filter(|id| {
            vocabulary.kind(*id) == TokenKind::Normal
                && vocabulary.bytes(*id).is_some_and(|bytes| !bytes.is_empty())
        })
        .collect();
    if plain.len() < 2 * HALF {
        return Vec::new();
    }
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut drawn: Vec<TokenId> = Vec::with_capacity(HALF);
    while drawn.len() < HALF {
        // Knuth's multiplier; the high bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let id = plain[(state >> 33) as usize % plain.len()];
        if !drawn.contains(&id) {
            drawn.push(id);
        }
    }
    begin.into_iter().chain(drawn.iter().copied()).chain(drawn.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of `count` positions whose whole weight lies where `place` says.
    fn rows(count: usize, place: impl Fn(usize) -> usize) -> Vec<Vec<f32>> {
        let row = |at: usize| {
            let mut row = vec![0.0; at + 1];
            row[place(at)] = 1.0;
            row
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn a_head_that_does_one_thing_scores_one_in_it_alone() {
        let check = |place: &dyn Fn(usize) -> usize, class: HeadClass, least: f32| {
            let (found, score) = HeadScore::of(&rows(41, place), 20).class();
            assert!(found == class && score >= least, "{found:?} {score}, not {class:?}");
        };
        check(&|_| 0, HeadClass::Sink, 1.0);
        check(&|at| at.saturating_sub(1), HeadClass::Previous, 1.0);
        check(&|at| at, HeadClass::Own, 1.0);
        check(&|at| if at > 20 { at - 20 } else { at / 2 }, HeadClass::Duplicate, 1.0);
        check(&|at| if at > 20 { at - 19 } else { at / 2 }, HeadClass::Induction, 1.0);
    }

    #[test]
    fn a_head_that_spreads_its_weight_is_of_no_sort() {
        let even: Vec<Vec<f32>> = (0..41).map(|at| vec![1.0 / (at + 1) as f32; at + 1]).collect();
        assert_eq!(HeadScore::of(&even, 20).class().0, HeadClass::Other);
        assert_eq!(HeadScore::of(&[], 20).class().0, HeadClass::Other);
    }

    #[test]
    fn the_probe_is_the_same_each_time_and_says_its_tokens_twice() {
        let mut vocabulary = Vocabulary::default();
        for number in 0..400 {
            vocabulary.push(number.to_string().as_bytes(), TokenKind::Normal);
        }
        let begin = Some(TokenId(7));
        let ids = probe(&vocabulary, begin);
        assert_eq!(ids, probe(&vocabulary, begin));
        assert_eq!((ids.len(), ids[0]), (1 + 2 * HALF, TokenId(7)));
        assert_eq!(ids[1..=HALF], ids[1 + HALF..]);
        let different: std::collections::BTreeSet<TokenId> = ids[1..=HALF].iter().copied().collect();
        assert_eq!(different.len(), HALF);
        assert_eq!(probe(&Vocabulary::default(), None), Vec::new());
    }

    #[test]
    fn a_record_of_another_shape_or_with_odd_numbers_does_not_fit() {
        let scores = |share: f32| HeadScores {
            layers: vec![vec![HeadScore { own: share, ..HeadScore::default() }; 3]; 2],
            ms: 1.0,
        };
        assert!(scores(0.5).fits(2, 3));
        assert!(!scores(0.5).fits(2, 4) && !scores(0.5).fits(3, 3));
        assert!(!scores(f32::NAN).fits(2, 3) && !scores(7.0).fits(2, 3));
    }
}

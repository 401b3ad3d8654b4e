//! What attention heads do, worked out from a row of weights.
//!
//! Invariant: weights are by position from 0 to the reading one; sorts of reading overlap, and the class is the one
//! with the most weight.

use super::trace::{HeadClass, HeadReading};
use crate::token::TokenId;

/// Weights listed of a head.
const LISTED: usize = 8;
/// Tokens before that count as near.
const NEAR: usize = 8;
/// Weight that a sort of reading must have to name the head.
const LEAST: f32 = 0.3;

/// What a head does at the last of these positions; `ids` are the tokens read, as many as weights.
#[must_use]
pub fn reading(weights: &[f32], ids: &[TokenId]) -> HeadReading {
    let Some(here) = weights.len().checked_sub(1) else { return HeadReading::default() };
    let mut order: Vec<u32> = (0..weights.len() as u32).collect();
    let by_weight = |a: &u32, b: &u32| weights[*b as usize].total_cmp(&weights[*a as usize]).then(a.cmp(b));
    if order.len() > LISTED {
        order.select_nth_unstable_by(LISTED, by_weight);
        order.truncate(LISTED);
    }
    order.sort_unstable_by(by_weight);
    let top: Vec<(u32, f32)> = order.into_iter().map(|at| (at, weights[at as usize])).collect();
    let (class, strength) = class(weights, ids, here);
    HeadReading { class, strength, top, written: None }
}

fn class(weights: &[f32], ids: &[TokenId], here: usize) -> (HeadClass, f32) {
    let previous = if here > 0 { weights[here - 1] } else { 0.0 };
    let sorts = [
        (HeadClass::Induction, copied(ids, here, 1).map(|at| weights[at]).sum::<f32>()),
        (HeadClass::Duplicate, copied(ids, here, 0).map(|at| weights[at]).sum()),
        (HeadClass::Previous, previous),
        (HeadClass::Own, weights[here]),
        (HeadClass::Sink, if here > 0 { weights[0] } else { 0.0 }),
    ];
    let best = sorts
        .into_iter()
        .fold((HeadClass::Other, 0.0), |best, sort| if sort.1 > best.1 { sort } else { best });
    if best.1 >= LEAST {
        return best;
    }
    let near: f32 = weights[here.saturating_sub(NEAR)..here].iter().sum();
    if here > NEAR && near >= 0.5 {
        return (HeadClass::Local, near);
    }
    let strongest = weights.iter().skip(1).copied().fold(0.0, f32::max);
    (HeadClass::Other, strongest)
}

/// Positions `after` tokens after earlier copies of the token at `here`.
fn copied(ids: &[TokenId], here: usize, after: usize) -> impl Iterator<Item = usize> + '_ {
    let own = ids.get(here).copied();
    (0..here)
        .filter(move |at| ids.get(*at).copied() == own)
        .map(move |at| at + after)
        .filter(move |at| *at < here)
}

/// The mean weight that rows of a doubled text give to the token after the earlier copy: near 1 for an induction
/// head (Olsson et al. 2022). Row `i` of `rows` is of position `i`; the text is `half` tokens, twice.
#[must_use]
pub fn induction_score(rows: &[Vec<f32>], half: usize) -> f32 {
    let scored = rows.iter().enumerate().skip(half).filter(|(at, row)| row.len() > at - half + 1);
    let (sum, count) =
        scored.fold((0.0_f32, 0_u32), |(sum, count), (at, row)| (sum + row[at - half + 1], count + 1));
    if count == 0 { 0.0 } else { sum / count as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(weights: &[f32], ids: &[i32]) -> HeadReading {
        let ids: Vec<TokenId> = ids.iter().copied().map(TokenId).collect();
        reading(weights, &ids)
    }

    #[test]
    fn heads_are_named_by_what_they_read() {
        let check = |weights: &[f32], ids: &[i32], class: HeadClass| {
            assert_eq!(of(weights, ids).class, class, "{weights:?}");
        };
        check(&[0.8, 0.1, 0.1], &[1, 2, 3], HeadClass::Sink);
        check(&[0.1, 0.8, 0.1], &[1, 2, 3], HeadClass::Previous);
        check(&[0.1, 0.1, 0.8], &[1, 2, 3], HeadClass::Own);
        check(&[0.1, 0.7, 0.0, 0.1, 0.1], &[1, 2, 3, 4, 2], HeadClass::Duplicate);
        check(&[0.1, 0.1, 0.6, 0.1, 0.1], &[1, 2, 3, 4, 2], HeadClass::Induction);
        check(&[0.1, 0.2, 0.25, 0.2, 0.05, 0.2], &[1, 2, 3, 4, 5, 6], HeadClass::Other);
    }

    #[test]
    fn the_largest_weights_come_first() {
        let read = of(&[0.1, 0.5, 0.15, 0.25], &[1, 2, 3, 4]);
        assert_eq!(read.top, vec![(1, 0.5), (3, 0.25), (2, 0.15), (0, 0.1)]);
        let many: Vec<f32> = (0..40).map(|at| at as f32 / 780.0).collect();
        let read = of(&many, &(0..40).collect::<Vec<_>>());
        assert_eq!(
            read.top.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            vec![39, 38, 37, 36, 35, 34, 33, 32]
        );
    }

    #[test]
    fn the_first_token_reads_only_itself() {
        let read = of(&[1.0], &[7]);
        assert_eq!((read.class, read.strength), (HeadClass::Own, 1.0));
        assert_eq!(of(&[], &[]), HeadReading::default());
    }

    #[test]
    fn a_perfect_induction_head_scores_one() {
        let row = |at: usize| {
            let mut row = vec![0.0; at + 1];
            if at >= 4 {
                row[at - 4 + 1] = 1.0;
            } else {
                row[0] = 1.0;
            }
            row
        };
        let rows: Vec<Vec<f32>> = (0..8).map(row).collect();
        assert!((induction_score(&rows, 4) - 1.0).abs() < 1e-6);
    }
}

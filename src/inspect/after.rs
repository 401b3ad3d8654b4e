//! What the samplers make of a step's candidates: top-k, top-p, min-p and temperature, in llama.cpp's order.
//!
//! Invariant: nothing is guessed. A step keeps only its likeliest tokens; where the answer depends on those
//! it does not keep, or on a stage that needs more than the odds, the answer is `None`.

use crate::sampling::{Sampling, Stage};
use crate::token::Step;

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum After {
    /// It could be drawn, with this probability (0 to 1, over the survivors).
    Kept(f64),
    /// It was cut, by this stage; `None` where either of two stages may have done it.
    Cut(Option<Stage>),
}

/// The stages this arithmetic knows, in the order it needs them in.
const KNOWN: [Stage; 4] = [Stage::TopK, Stage::TopP, Stage::MinP, Stage::Temperature];

/// Each candidate after the samplers, in the step's order; `None` where it cannot be known from the step.
#[must_use]
pub fn after(step: &Step, sampling: &Sampling) -> Option<Vec<After>> {
    if step.candidates.is_empty() || !is_simple(sampling) {
        return None;
    }
    let odds: Vec<f64> = step.candidates.iter().map(|c| f64::from(c.logprob).exp()).collect();
    let (least, most) = mass_bounds(&odds, step.rest().into(), sampling);
    let (first, second) = (cuts(&odds, least, sampling), cuts(&odds, most, sampling));
    let computed = |cuts: &[Option<Stage>]| cuts.iter().take_while(|cut| cut.is_none()).count();
    let alive = match step.survivors as usize {
        0 if computed(&first) == computed(&second) => computed(&first),
        0 => return None,
        recorded => recorded,
    };
    if alive > odds.len() || (alive == odds.len() && !list_is_whole(step, sampling)) {
        return None;
    }
    let weights = weights(&odds[..alive], sampling.temperature);
    let total: f64 = weights.iter().sum();
    let kept = weights.iter().map(|weight| After::Kept(weight / total));
    let cut = (alive..odds.len()).map(|i| After::Cut(first[i].filter(|_| first[i] == second[i])));
    Some(kept.chain(cut).collect())
}

/// Whether only the four known stages do anything, and in the order llama.cpp has by default.
fn is_simple(sampling: &Sampling) -> bool {
    let mut known = KNOWN.iter();
    let in_order =
        sampling.order.iter().filter(|stage| KNOWN.contains(stage)).all(|stage| known.any(|k| k == stage));
    let others_are_off =
        Stage::DEFAULT_ORDER.iter().all(|stage| KNOWN.contains(stage) || !stage.is_on(sampling));
    in_order && others_are_off && sampling.mirostat == 0 && sampling.dynatemp_range <= 0.0
}

/// Tokens that top-k leaves, if it is on.
fn top_k(sampling: &Sampling) -> Option<usize> {
    (sampling.top_k > 0 && sampling.order.contains(&Stage::TopK)).then_some(sampling.top_k as usize)
}

/// Least and largest probability that top-k can have left, given that unlisted tokens are no likelier than
/// the last listed one.
fn mass_bounds(odds: &[f64], rest: f64, sampling: &Sampling) -> (f64, f64) {
    match top_k(sampling) {
        None => (1.0, 1.0),
        Some(k) if k <= odds.len() => {
            let exact = odds[..k].iter().sum();
            (exact, exact)
        }
        Some(k) => {
            let listed: f64 = odds.iter().sum();
            let last = odds.last().copied().unwrap_or(0.0);
            (listed, listed + rest.min(last * (k - odds.len()) as f64))
        }
    }
}

/// The stage that cuts each candidate if top-k left this much probability.
fn cuts(odds: &[f64], mass: f64, sampling: &Sampling) -> Vec<Option<Stage>> {
    let keep = sampling.min_keep as usize;
    let has = |stage: Stage| sampling.order.contains(&stage);
    let mut cut = vec![None; odds.len()];
    let mut mark = |from: usize, stage: Stage| {
        for slot in cut.iter_mut().skip(from).filter(|slot| slot.is_none()) {
            *slot = Some(stage);
        }
    };
    mark(top_k(sampling).unwrap_or(usize::MAX), Stage::TopK);
    if sampling.top_p < 1.0 && has(Stage::TopP) {
        let mut sum = 0.0;
        let reached = odds.iter().position(|p| {
            sum += p / mass;
            sum >= f64::from(sampling.top_p)
        });
        mark(reached.map_or(usize::MAX, |i| (i + 1).max(keep)), Stage::TopP);
    }
    if sampling.min_p > 0.0 && has(Stage::MinP) {
        let least = odds[0] * f64::from(sampling.min_p);
        mark(odds.iter().take_while(|p| **p >= least).count().max(keep), Stage::MinP);
    }
    if sampling.temperature <= 0.0 && has(Stage::Temperature) {
        mark(1, Stage::Temperature);
    }
    cut
}

/// Whether no unlisted token can have survived when all listed ones did.
fn list_is_whole(step: &Step, sampling: &Sampling) -> bool {
    step.survivors as usize == step.candidates.len()
        || top_k(sampling).is_some_and(|k| k <= step.candidates.len())
}

/// Unnormalised weights after the temperature.
fn weights(odds: &[f64], temperature: f32) -> Vec<f64> {
    let power = if temperature > 0.0 { 1.0 / f64::from(temperature) } else { 1.0 };
    odds.iter().map(|p| (p / odds[0]).powf(power)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Candidate, TokenId};

    fn step(percent: &[f32]) -> Step {
        let candidates = percent
            .iter()
            .zip(1..)
            .map(|(p, id)| Candidate { id: TokenId(id), logprob: (p / 100.0).ln() })
            .collect();
        Step { candidates, ..Step::default() }
    }

    fn percent(after: &[After]) -> Vec<String> {
        after
            .iter()
            .map(|a| match a {
                After::Kept(p) => format!("{:.2}", p * 100.0),
                After::Cut(Some(stage)) => format!("{stage:?}"),
                After::Cut(None) => "?".into(),
            })
            .collect()
    }

    const TOWER: [f32; 12] = [54.84, 25.26, 14.99, 0.55, 0.54, 0.32, 0.22, 0.22, 0.18, 0.16, 0.15, 0.15];
    const PARIS: [f32; 12] = [77.25, 6.45, 1.25, 0.99, 0.93, 0.89, 0.73, 0.72, 0.64, 0.41, 0.40, 0.33];

    #[test]
    fn default_settings_give_the_figures_of_the_tower_sentence() {
        let shown = percent(&after(&step(&TOWER), &Sampling::default()).unwrap());
        assert_eq!(shown[..4], ["63.41", "24.06", "12.53", "TopP"]);
        assert!(shown[4..].iter().all(|s| s == "TopP"));
    }

    #[test]
    fn a_recorded_count_settles_the_capital_of_france() {
        let recorded = Step { survivors: 2, ..step(&PARIS) };
        let shown = percent(&after(&recorded, &Sampling::default()).unwrap());
        assert_eq!(shown[..3], ["95.70", "4.30", "MinP"]);
    }

    #[test]
    fn a_cut_that_depends_on_unlisted_tokens_names_no_stage() {
        let shown = percent(&after(&step(&PARIS), &Sampling::default()).unwrap());
        assert_eq!(shown[..2], ["95.70", "4.30"]);
        assert_eq!(shown[2], "MinP");
        assert_eq!(shown[11], "?");
    }

    #[test]
    fn a_flat_list_whose_survivors_are_not_all_listed_has_no_answer() {
        assert_eq!(after(&step(&[2.0; 20]), &Sampling::default()), None);
    }

    #[test]
    fn greedy_leaves_one() {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        let shown = percent(&after(&step(&TOWER), &greedy).unwrap());
        assert_eq!(shown[..3], ["100.00", "Temperature", "Temperature"]);
    }

    #[test]
    fn top_k_cuts_by_count_and_renormalises() {
        let two = Sampling { top_k: 2, top_p: 1.0, min_p: 0.0, temperature: 1.0, ..Sampling::default() };
        let shown = percent(&after(&step(&[60.0, 20.0, 10.0]), &two).unwrap());
        assert_eq!(shown, ["75.00", "25.00", "TopK"]);
    }

    #[test]
    fn other_stages_and_other_orders_have_no_answer() {
        let refused = [
            Sampling { dry_multiplier: 0.8, ..Sampling::default() },
            Sampling { repeat_penalty: 1.1, ..Sampling::default() },
            Sampling { mirostat: 2, ..Sampling::default() },
            Sampling { xtc_probability: 0.5, ..Sampling::default() },
            Sampling { order: vec![Stage::Temperature, Stage::TopP], ..Sampling::default() },
        ];
        for sampling in refused {
            assert_eq!(after(&step(&TOWER), &sampling), None, "{sampling:?}");
        }
        assert_eq!(after(&Step::default(), &Sampling::default()), None);
    }
}

//! What became of the candidates that a step keeps: by the chain, and by how many tokens it was recorded to leave.
//!
//! Invariant: nothing is guessed. Where the answer depends on tokens that the step does not keep, or on more than the
//! odds, there is none.

use super::{Fate, Input, active, last};
use crate::inspect::stages::StageName;
use crate::sampling::{Sampling, Stage};
use crate::token::{Step, TokenId};

/// Each candidate after the samplers, in the step's order; `None` where it cannot be known from the step. `vocabulary`
/// is how many tokens there are, 0 where that is not known; `suppressed` are those that the model's makers never want drawn.
pub fn fates(
    step: &Step,
    sampling: &Sampling,
    vocabulary: usize,
    suppressed: &[TokenId],
) -> Option<Vec<Fate>> {
    let has_place = sampling.order.contains(&Stage::LogitBias);
    let stages = active(sampling, has_place && !sampling.logit_bias.is_empty());
    let looks_elsewhere = [Stage::LogitBias, Stage::Penalties, Stage::Dry].map(StageName::Chain);
    if stages.iter().any(|stage| looks_elsewhere.contains(stage) || *stage == StageName::Grammar) {
        return None;
    }
    // More tokens only widen the bounds.
    let vocabulary = if vocabulary == 0 { u32::MAX as usize } else { vocabulary };
    let biases: Vec<_> = suppressed.iter().map(|id| (*id, f32::NEG_INFINITY)).collect();
    let input = Input { biases: &biases, ..Input::kept(step, vocabulary, &[])? };
    let count = step.candidates.len();
    let lists_suppressed = step.candidates.iter().any(|candidate| suppressed.contains(&candidate.id));
    let computed = last(&input, sampling).ok().filter(|last| last.left as usize <= count);
    let computed: Option<Vec<Fate>> =
        computed.map(|last| last.fates.into_iter().take(count).map(|(_, fate)| fate).collect());
    let left = |fates: &[Fate]| fates.iter().filter(|fate| matches!(fate, Fate::Kept(_))).count();
    match step.survivors as usize {
        0 => computed,
        survivors if computed.as_deref().is_some_and(|fates| left(fates) == survivors) => computed,
        survivors
            if survivors <= count
                && !lists_suppressed
                && stages.iter().all(|stage| keeps_the_likeliest(*stage, sampling)) =>
        {
            Some(by_count(step, sampling, survivors, &computed.unwrap_or_default()))
        }
        _ => None,
    }
}

/// Whether a stage leaves the likeliest tokens, in their order and with their odds, but for a power.
fn keeps_the_likeliest(stage: StageName, sampling: &Sampling) -> bool {
    match stage {
        StageName::Greedy => true,
        StageName::Chain(Stage::Temperature) => sampling.dynatemp_range <= 0.0,
        StageName::Chain(stage) => {
            matches!(stage, Stage::TopK | Stage::TopP | Stage::MinP | Stage::TopNSigma)
        }
        StageName::Mirostat | StageName::Grammar => false,
    }
}

/// The likeliest so many were left; what was cut names its stage where the chain settles it.
fn by_count(step: &Step, sampling: &Sampling, survivors: usize, computed: &[Fate]) -> Vec<Fate> {
    let heated = sampling.temperature > 0.0 && sampling.order.contains(&Stage::Temperature);
    let power = if heated { 1.0 / f64::from(sampling.temperature) } else { 1.0 };
    let most = step.candidates.first().map_or(0.0, |best| best.logprob);
    let weights = step.candidates.iter().map(|c| (f64::from(c.logprob - most) * power).exp());
    let total: f64 = weights.clone().take(survivors).sum();
    let fate = |(at, weight): (usize, f64)| match computed.get(at) {
        _ if at < survivors => Fate::Kept(weight / total),
        Some(Fate::Cut(stage)) => Fate::Cut(*stage),
        _ => Fate::Cut(None),
    };
    weights.enumerate().map(fate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Candidate, TokenId};

    fn step(percent: &[f32]) -> Step {
        let candidates: Vec<Candidate> = percent
            .iter()
            .zip(1..)
            .map(|(p, id)| Candidate { id: TokenId(id), logprob: (p / 100.0).ln() })
            .collect();
        Step { id: Some(TokenId(1)), rank: 1, logprob: candidates[0].logprob, candidates, ..Step::default() }
    }

    fn shown(step: &Step, sampling: &Sampling) -> Vec<String> {
        let fates = fates(step, sampling, 49_152, &[]).unwrap();
        let shown = |fate: &Fate| match fate {
            Fate::Kept(p) => format!("{:.2}", p * 100.0),
            Fate::Cut(Some(stage)) => stage.label().into(),
            Fate::Cut(None) => "?".into(),
        };
        fates.iter().map(shown).collect()
    }

    const TOWER: [f32; 12] = [54.84, 25.26, 14.99, 0.55, 0.54, 0.32, 0.22, 0.22, 0.18, 0.16, 0.15, 0.15];
    const PARIS: [f32; 12] = [77.25, 6.45, 1.25, 0.99, 0.93, 0.89, 0.73, 0.72, 0.64, 0.41, 0.40, 0.33];

    #[test]
    fn default_settings_give_the_figures_of_the_tower_sentence() {
        let shown = shown(&step(&TOWER), &Sampling::default());
        assert_eq!(shown[..4], ["63.41", "24.06", "12.53", "top-p"]);
        assert!(shown[4..].iter().all(|s| s == "top-p"));
    }

    #[test]
    fn a_recorded_count_settles_the_capital_of_france() {
        let shown = shown(&Step { survivors: 2, ..step(&PARIS) }, &Sampling::default());
        assert_eq!(shown[..3], ["95.70", "4.30", "min-p"]);
    }

    #[test]
    fn a_cut_that_depends_on_unlisted_tokens_names_no_stage() {
        let shown = shown(&step(&PARIS), &Sampling::default());
        assert_eq!(shown[..3], ["95.70", "4.30", "min-p"]);
        assert_eq!(shown[11], "?");
    }

    #[test]
    fn a_flat_list_has_an_answer_only_where_the_count_of_the_rest_was_recorded() {
        let flat = step(&[2.0; 20]);
        assert_eq!(fates(&flat, &Sampling::default(), 49_152, &[]), None);
        let recorded = shown(&Step { survivors: 10, ..flat }, &Sampling::default());
        assert_eq!((&recorded[0][..], &recorded[10][..]), ("10.00", "?"));
    }

    #[test]
    fn a_recorded_count_gives_odds_under_the_temperature_and_only_where_the_likeliest_are_left() {
        let mut percent = [2.0; 20];
        percent[0] = 3.0;
        let counted = |survivors| Step { survivors, ..step(&percent) };
        let at = |temperature| shown(&counted(2), &Sampling { temperature, ..Sampling::default() });
        // 3 : 2, and its square.
        assert_eq!(at(1.0)[..3], ["60.00", "40.00", "?"]);
        assert_eq!(at(0.5)[..3], ["69.23", "30.77", "?"]);
        let others = [
            Sampling { typical_p: 0.9, ..Sampling::default() },
            Sampling { xtc_probability: 0.5, ..Sampling::default() },
            Sampling { dynatemp_range: 0.3, ..Sampling::default() },
        ];
        for sampling in others {
            assert_eq!(fates(&counted(2), &sampling, 49_152, &[]), None, "{sampling:?}");
        }
        // More were left than are known.
        assert_eq!(fates(&counted(21), &Sampling::default(), 49_152, &[]), None);
        assert!(fates(&counted(20), &Sampling::default(), 49_152, &[]).is_some());
    }

    #[test]
    fn a_temperature_that_follows_the_entropy_needs_all_that_is_left() {
        let dynamic = Sampling { dynatemp_range: 0.3, ..Sampling::default() };
        let kept = shown(&step(&TOWER), &dynamic);
        assert!(kept[..3].iter().all(|odds| odds.parse::<f32>().is_ok()), "{kept:?}");
        let open = Sampling { top_k: 0, top_p: 1.0, min_p: 0.0, ..dynamic };
        assert_eq!(fates(&step(&TOWER), &open, 49_152, &[]), None);
    }

    #[test]
    fn greedy_leaves_one() {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        assert_eq!(shown(&step(&TOWER), &greedy)[..3], ["100.00", "greedy", "greedy"]);
    }

    #[test]
    fn an_unknown_number_of_tokens_settles_no_more_and_nothing_else() {
        let step = step(&TOWER);
        assert_eq!(
            fates(&step, &Sampling::default(), 0, &[]),
            fates(&step, &Sampling::default(), 49_152, &[])
        );
    }

    #[test]
    fn stages_that_need_more_than_the_odds_have_no_answer() {
        let refused = [
            Sampling { dry_multiplier: 0.8, ..Sampling::default() },
            Sampling { repeat_penalty: 1.1, ..Sampling::default() },
            Sampling { mirostat: 2, ..Sampling::default() },
            Sampling { xtc_probability: 0.5, ..Sampling::default() },
        ];
        for sampling in refused {
            assert_eq!(fates(&step(&TOWER), &sampling, 49_152, &[]), None, "{sampling:?}");
        }
        assert_eq!(fates(&Step::default(), &Sampling::default(), 49_152, &[]), None);
    }
}

//! What a list that is cut short says of the rest, against the whole vocabulary: after every stage each token that is left
//! is listed with its logit or lies within the tail's bounds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::settings;
use super::*;

/// The chain over all tokens, written a second time: llama.cpp's list, on which each stage acts in place.
struct Whole(Vec<(TokenId, f64)>);

impl Whole {
    fn sort(&mut self) {
        self.0.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    }

    fn odds(&self) -> Vec<f64> {
        let largest = self.largest();
        let weights: Vec<f64> = self.0.iter().map(|(_, logit)| (logit - largest).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    fn largest(&self) -> f64 {
        self.0.iter().map(|(_, logit)| *logit).fold(f64::NEG_INFINITY, f64::max)
    }

    fn entropy(&self) -> f64 {
        self.odds().into_iter().filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum()
    }

    /// Where a token lies on the line along which is drawn.
    fn interval(&self, id: TokenId) -> Option<(f64, f64)> {
        let at = self.0.iter().position(|token| token.0 == id && token.1 > f64::NEG_INFINITY)?;
        let odds = self.odds();
        Some((odds[..at].iter().sum(), odds[..=at].iter().sum()))
    }

    fn apply(&mut self, name: StageName, input: &Input<'_>, sampling: &Sampling) {
        let min_keep = sampling.min_keep as usize;
        match name {
            StageName::Chain(Stage::LogitBias) => {
                for (id, bias) in input.biases {
                    self.0.iter_mut().filter(|token| token.0 == *id).for_each(|t| t.1 += f64::from(*bias));
                }
            }
            StageName::Chain(Stage::Penalties) => self.penalise(input, sampling),
            StageName::Chain(Stage::TopNSigma) => {
                let alive: Vec<f64> = self.0.iter().map(|t| t.1).filter(|logit| logit.is_finite()).collect();
                let mean = alive.iter().sum::<f64>() / alive.len() as f64;
                let squares: f64 = alive.iter().map(|logit| (logit - mean).powi(2)).sum();
                let deviation = (squares / alive.len() as f64).sqrt();
                let least = self.largest() - f64::from(sampling.top_n_sigma) * deviation;
                if self.0.len() > 1 {
                    self.0.iter_mut().filter(|t| t.1 < least).for_each(|t| t.1 = f64::NEG_INFINITY);
                }
            }
            StageName::Chain(Stage::TopK) => {
                self.sort();
                self.0.truncate((sampling.top_k as usize).max(min_keep));
            }
            StageName::Chain(Stage::TopP) => {
                self.sort();
                self.cut_at(f64::from(sampling.top_p), min_keep, |sum, p| sum >= p);
            }
            StageName::Chain(Stage::TypicalP) => {
                self.sort();
                let (entropy, odds) = (self.entropy(), self.odds());
                let far: BTreeMap<TokenId, f64> =
                    self.0.iter().zip(odds).map(|(t, p)| (t.0, (-p.ln() - entropy).abs())).collect();
                self.0.sort_by(|a, b| far[&a.0].total_cmp(&far[&b.0]));
                self.cut_at(f64::from(sampling.typical_p), min_keep, |sum, p| sum > p);
            }
            StageName::Chain(Stage::MinP) => {
                let least = self.largest() + f64::from(sampling.min_p).ln();
                if self.0.iter().filter(|t| t.1 >= least).count() < min_keep {
                    self.sort();
                    self.0.truncate(min_keep);
                } else {
                    self.0.retain(|t| t.1 >= least);
                }
            }
            StageName::Chain(Stage::Xtc) => self.leave_out_the_top(sampling, min_keep),
            StageName::Chain(Stage::Temperature) if sampling.dynatemp_range > 0.0 => self.heat(sampling),
            StageName::Chain(Stage::Temperature) => self.divide(sampling.temperature.into()),
            StageName::Greedy => {
                let largest = self.largest();
                let first = self.0.iter().filter(|t| t.1 >= largest).map(|t| t.0).min();
                self.0.retain(|t| Some(t.0) == first);
            }
            other => panic!("{other:?} is not told apart here"),
        }
    }

    fn penalise(&mut self, input: &Input<'_>, sampling: &Sampling) {
        let window = input.recent.len().min(sampling.penalty_last_n as usize);
        let window = &input.recent[input.recent.len() - window..];
        for (id, logit) in &mut self.0 {
            let count = window.iter().filter(|seen| *seen == id).count();
            if count > 0 {
                let repeat = f64::from(sampling.repeat_penalty);
                *logit = if *logit > 0.0 { *logit / repeat } else { *logit * repeat };
                *logit -= count as f64 * f64::from(sampling.frequency_penalty);
                *logit -= f64::from(sampling.presence_penalty);
            }
        }
    }

    /// Keeps the first tokens up to the one with which their sum is enough.
    fn cut_at(&mut self, p: f64, min_keep: usize, enough: fn(f64, f64) -> bool) {
        let mut sum = 0.0;
        let mut keep = self.0.len();
        for (place, odds) in self.odds().into_iter().enumerate() {
            sum += odds;
            if enough(sum, p) && place + 1 >= min_keep {
                keep = place + 1;
                break;
            }
        }
        self.0.truncate(keep);
    }

    fn leave_out_the_top(&mut self, sampling: &Sampling, min_keep: usize) {
        if sampling.xtc_threshold > 0.5 || self.0.len() < 2 {
            return;
        }
        self.sort();
        let above = self.odds().iter().filter(|p| **p >= f64::from(sampling.xtc_threshold)).count();
        let drops = above.saturating_sub(1);
        if self.0.len() - drops >= min_keep {
            self.0.drain(..drops);
        }
    }

    fn heat(&mut self, sampling: &Sampling) {
        if self.0.len() < 2 {
            return;
        }
        self.sort();
        let flatness = self.entropy() / (self.0.len() as f64).ln();
        let least = f64::from((sampling.temperature - sampling.dynatemp_range).max(0.0));
        let most = f64::from(sampling.temperature + sampling.dynatemp_range);
        let temperature = least + (most - least) * flatness.powf(sampling.dynatemp_exponent.into());
        if temperature > 0.0 {
            self.divide(temperature);
        } else {
            self.0.iter_mut().skip(1).for_each(|token| token.1 = f64::NEG_INFINITY);
        }
    }

    fn divide(&mut self, temperature: f64) {
        self.0.iter_mut().for_each(|token| token.1 /= temperature);
    }
}

/// Whether all that the line says is true of these tokens.
fn holds(line: &Line, whole: &Whole) -> Result<(), TestCaseError> {
    let alive: BTreeMap<TokenId, f64> =
        whole.0.iter().copied().filter(|(_, logit)| *logit > f64::NEG_INFINITY).collect();
    for entry in line.alive() {
        let logit = alive.get(&entry.id);
        prop_assert!(logit.is_some(), "{:?} is listed and was cut", entry.id);
        let apart = (entry.logit - logit.unwrap()).abs();
        prop_assert!(
            apart <= 1e-5 * (1.0 + entry.logit.abs()),
            "{:?}: {} and {:?}",
            entry.id,
            entry.logit,
            logit
        );
    }
    let listed: Vec<TokenId> = line.alive().map(|entry| entry.id).collect();
    let others: Vec<f64> = alive
        .iter()
        .filter(|(id, _)| !listed.contains(id))
        .map(|(_, logit)| (logit - line.zero).exp())
        .collect();
    let weight: f64 = others.iter().sum();
    let whole: f64 = weight + line.listed();
    let slack = 1e-5 * whole;
    let (least, most) = line.totals();
    prop_assert!(least - slack <= whole && whole <= most + slack, "{whole} is not in {least}..{most}");
    if let Some(total) = line.total() {
        prop_assert!((total - whole).abs() <= slack, "{total} is {whole}");
    }
    let Some(tail) = &line.tail else {
        prop_assert!(others.is_empty(), "{} tokens are left that are not listed", others.len());
        return Ok(());
    };
    let (fewest, most) = tail.count;
    prop_assert!(
        fewest <= others.len() && others.len() <= most,
        "{} is not in {fewest}..={most}",
        others.len()
    );
    let heaviest = others.iter().copied().fold(0.0, f64::max);
    prop_assert!(heaviest <= tail.bound * (1.0 + 1e-5), "{heaviest} is above {}", tail.bound);
    if let Some(spread) = tail.spread {
        let truth: f64 = others.iter().filter(|w| **w > 0.0).map(|w| w * w.ln()).sum();
        prop_assert!((spread - truth).abs() <= 1e-4 * whole, "{spread} is {truth}");
    }
    Ok(())
}

/// Logits of some shape: flat, steep, or so that many are equal.
fn logits() -> impl Strategy<Value = Vec<f32>> {
    let plain = (prop::collection::vec(-5.0_f32..5.0, 2..300), 0.1_f32..3.0, prop::option::of(0.0_f32..20.0));
    let plain = plain.prop_map(|(logits, scale, first)| {
        let mut logits: Vec<f32> = logits.into_iter().map(|logit| logit * scale).collect();
        logits[0] += first.unwrap_or(0.0);
        logits
    });
    let equal = prop::collection::vec(-3_i16..3, 2..300)
        .prop_map(|logits| logits.into_iter().map(f32::from).collect());
    prop_oneof![3 => plain, 1 => equal]
}

/// What has been read, and biases, of the first 300 tokens.
fn context() -> impl Strategy<Value = (Vec<TokenId>, Vec<(TokenId, f32)>)> {
    let bias = prop_oneof![Just(f32::NEG_INFINITY), -3.0_f32..3.0];
    (
        prop::collection::vec((0_i32..300).prop_map(TokenId), 0..12),
        prop::collection::vec(((0_i32..300).prop_map(TokenId), bias), 0..3),
    )
}

/// Takes both through the chain, as far as the line knows its way; gives whether that was all of it.
fn follow(
    line: &mut Line,
    whole: &mut Whole,
    input: &Input<'_>,
    sampling: &Sampling,
) -> Result<bool, TestCaseError> {
    holds(line, whole)?;
    for name in active(sampling, !input.biases.is_empty()) {
        if stages::apply(line, name, input, sampling).is_err() {
            return Ok(false);
        }
        whole.apply(name, input, sampling);
        if let Err(TestCaseError::Fail(why)) = holds(line, whole) {
            return Err(TestCaseError::fail(format!("after {name:?}: {why}")));
        }
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_token_is_listed_or_within_the_bounds_of_the_tail_after_every_stage(
        logits in logits(),
        listed in 1_usize..40,
        drawn in any::<prop::sample::Index>(),
        sampling in settings(),
        (mut recent, mut biases) in context(),
    ) {
        let all = Distribution::new(logits).unwrap();
        recent.retain(|id| all.logit(*id).is_some());
        biases.retain(|(id, _)| all.logit(*id).is_some());
        let step = all.step(all.order()[drawn.index(all.len())], b"", listed).unwrap();
        let input = Input { biases: &biases, ..Input::kept(&step, all.len(), &recent).unwrap() };
        let ids = (0..).map(TokenId).take(all.len());
        let mut whole = Whole(ids.map(|id| (id, f64::from(all.logprob(id).unwrap()))).collect());
        follow(&mut input.line(), &mut whole, &input, &sampling)?;
    }

    #[test]
    fn a_whole_list_goes_through_the_chain_as_llama_cpps_does(
        logits in logits(),
        drawn in any::<prop::sample::Index>(),
        sampling in settings(),
        (recent, biases) in context(),
        (repeat_penalty, frequency_penalty) in (0.5_f32..2.0, -1.0_f32..1.0),
    ) {
        let sampling = Sampling { repeat_penalty, frequency_penalty, ..sampling };
        let all = Distribution::new(logits).unwrap();
        let drawn = all.order()[drawn.index(all.len())];
        let input = Input { recent: &recent, biases: &biases, ..Input::whole(&all, drawn) };
        let ids = (0..).map(TokenId);
        let mut whole = Whole(ids.zip(all.logits().iter().map(|logit| f64::from(*logit))).collect());
        if !follow(&mut input.line(), &mut whole, &input, &sampling)? {
            prop_assert!(whole.largest() == f64::NEG_INFINITY, "only where nothing is left it ends before the last stage");
            prop_assert_eq!(run(&input, &sampling), Outcome::NotDetermined(Why::Empty));
            return Ok(());
        }
        let Outcome::Exact(trace) = run(&input, &sampling) else { return Ok(()) };
        if sampling.temperature > 0.0 {
            let truth = whole.interval(drawn);
            prop_assert_eq!(trace.interval.is_some(), truth.is_some());
            for ((a, b), (from, to)) in trace.interval.into_iter().zip(truth) {
                prop_assert!((a - from).abs() < 1e-6 && (b - to).abs() < 1e-6, "{a}..{b} is {from}..{to}");
            }
        }
    }
}

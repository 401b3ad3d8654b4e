//! Each stage of the chain as llama.cpp does it, on a [`Line`] that may be known only in part.
//!
//! Invariant: a stage either does to the known tokens exactly what it would do with all tokens known, or
//! moves those it is not sure of into the tail, or says that it cannot tell.

use std::collections::BTreeMap;

use super::line::{Line, ROUNDING};
use super::{Input, Why};
use crate::inspect::stages::StageName;
use crate::sampling::{Sampling, Stage};
use crate::token::TokenId;

/// Applies one stage.
pub(super) fn apply(
    line: &mut Line,
    name: StageName,
    input: &Input<'_>,
    sampling: &Sampling,
) -> Result<(), Why> {
    if line.tail.is_none() && line.alive().next().is_none() {
        return Err(Why::Empty);
    }
    let min_keep = sampling.min_keep as usize;
    let unknown = Why::Unlisted(name);
    let StageName::Chain(stage) = name else {
        return match name {
            StageName::Greedy => greedy(line).ok_or(unknown),
            _ => Err(Why::State(name)),
        };
    };
    let needs_all = stage.about().needs_all || (stage == Stage::Temperature && sampling.dynatemp_range > 0.0);
    if needs_all && line.tail.is_some() {
        return Err(unknown);
    }
    match stage {
        Stage::LogitBias => bias(line, input.biases).ok_or(unknown)?,
        Stage::Penalties => penalties(line, input, sampling)?,
        Stage::Dry => return Err(Why::State(name)),
        Stage::TopNSigma => top_n_sigma(line, sampling.top_n_sigma.into()),
        Stage::TopK => top_k(line, sampling.top_k.max(sampling.min_keep) as usize),
        Stage::TypicalP => typical(line, sampling.typical_p.into(), min_keep),
        Stage::TopP => top_p(line, sampling.top_p.into(), min_keep),
        Stage::MinP => min_p(line, sampling.min_p.into(), min_keep).ok_or(unknown)?,
        Stage::Xtc => xtc(line, input, sampling)?,
        Stage::Temperature if sampling.dynatemp_range > 0.0 => dynamic_temperature(line, sampling),
        Stage::Temperature => line.divide(sampling.temperature.into()),
    }
    if line.entries.is_empty() { Err(unknown) } else { Ok(()) }
}

fn bias(line: &mut Line, biases: &[(TokenId, f32)]) -> Option<()> {
    let biases: BTreeMap<TokenId, f32> = biases.iter().fold(BTreeMap::new(), |mut sums, (id, bias)| {
        *sums.entry(*id).or_insert(0.0) += bias;
        sums
    });
    let mut listed = 0;
    for entry in &mut line.entries {
        if let Some(bias) = biases.get(&entry.id) {
            entry.move_to(entry.logit + f64::from(bias.clamp(f32::NEG_INFINITY, f32::MAX)));
            listed += 1;
        }
    }
    if let Some(tail) = &mut line.tail
        && listed < biases.len()
    {
        let ids: Vec<TokenId> = line.entries.iter().map(|entry| entry.id).collect();
        let outside = biases.iter().filter(|(id, _)| !ids.contains(id));
        if outside.clone().any(|(_, bias)| *bias > 0.0) {
            return None;
        }
        tail.lower(outside.filter(|(_, bias)| **bias < 0.0).count());
    }
    line.ranked = false;
    line.recentre();
    Some(())
}

fn penalties(line: &mut Line, input: &Input<'_>, sampling: &Sampling) -> Result<(), Why> {
    let window = usize::try_from(sampling.penalty_last_n).unwrap_or(usize::MAX);
    let mut counts: BTreeMap<TokenId, u32> = BTreeMap::new();
    for id in input.recent.iter().rev().take(window) {
        *counts.entry(*id).or_default() += 1;
    }
    let name = StageName::Chain(Stage::Penalties);
    let repeat = f64::from(sampling.repeat_penalty);
    let (frequency, presence) = (f64::from(sampling.frequency_penalty), f64::from(sampling.presence_penalty));
    let divides = (repeat - 1.0).abs() > f64::from(f32::EPSILON);
    let mut listed = 0;
    for entry in &mut line.entries {
        let Some(count) = counts.get(&entry.id) else { continue };
        listed += 1;
        if divides && !input.logits {
            return Err(Why::Logits(name));
        }
        let repeated = if entry.logit <= 0.0 { entry.logit * repeat } else { entry.logit / repeat };
        entry.move_to(repeated - (f64::from(*count) * frequency + presence));
    }
    if let Some(tail) = &mut line.tail
        && listed < counts.len()
    {
        if repeat < 1.0 || frequency < 0.0 || presence < 0.0 {
            return Err(Why::Unlisted(name));
        }
        tail.lower(counts.len() - listed);
    }
    line.ranked = false;
    line.recentre();
    Ok(())
}

fn top_n_sigma(line: &mut Line, n: f64) {
    if line.entries.len() <= 1 {
        return;
    }
    let count = line.alive().count().max(1) as f64;
    let mean = line.alive().map(|entry| entry.logit).sum::<f64>() / count;
    let variance = line.alive().map(|entry| (entry.logit - mean).powi(2)).sum::<f64>() / count;
    let largest = line.alive().map(|entry| entry.logit).fold(f64::NEG_INFINITY, f64::max);
    let least = largest - n * variance.sqrt();
    for entry in line.entries.iter_mut().filter(|entry| entry.logit < least) {
        entry.logit = f64::NEG_INFINITY;
    }
}

fn top_k(line: &mut Line, k: usize) {
    line.sort();
    let sure = line.sure();
    if k <= sure {
        line.entries.truncate(k);
        line.tail = None;
        return;
    }
    if line.tail.as_ref().is_none_or(|tail| k >= line.entries.len() + tail.count.1) {
        return;
    }
    line.absorb(sure);
    if let Some(tail) = &mut line.tail {
        let left = k - line.entries.len();
        // The likeliest of them hold at least their share by number.
        let share = (left as f64 / tail.count.1.max(1) as f64).min(1.0);
        tail.weight = (tail.weight.0 * share, tail.weight.1.min(left as f64 * tail.bound));
        tail.count = (tail.count.0.min(left), tail.count.1.min(left));
        tail.spread = None;
    }
}

fn typical(line: &mut Line, p: f64, min_keep: usize) {
    line.sort();
    let (_, total) = line.totals();
    let odds: Vec<f64> = line.entries.iter().map(|entry| line.weight(entry) / total).collect();
    let entropy: f64 = odds.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
    let mut order: Vec<usize> = (0..odds.len()).collect();
    let far = |index: &usize| (-odds[*index].ln() - entropy).abs();
    order.sort_by(|a, b| far(a).total_cmp(&far(b)));
    let mut sum = 0.0;
    let reached = order.iter().enumerate().position(|(place, index)| {
        sum += odds[*index];
        sum > p && place + 1 >= min_keep
    });
    order.truncate(reached.map_or(order.len(), |place| place + 1));
    line.entries = order.into_iter().map(|index| line.entries[index].clone()).collect();
    line.ranked = false;
}

fn top_p(line: &mut Line, p: f64, min_keep: usize) {
    line.sort();
    let sure = line.sure();
    let (lightest, heaviest) = line.totals();
    let crossed = |total: f64, p: f64| {
        let mut sum = 0.0;
        let place = line.entries[..sure].iter().enumerate().position(|(place, entry)| {
            sum += line.weight(entry) / total;
            sum >= p && place + 1 >= min_keep
        });
        place.map(|place| place + 1)
    };
    if line.tail.is_none() {
        let keep = crossed(heaviest, p).unwrap_or(sure);
        line.entries.truncate(keep);
        return;
    }
    let (earliest, latest) = (crossed(lightest, p - ROUNDING), crossed(heaviest, p + ROUNDING));
    match (earliest, latest) {
        (Some(first), Some(last)) if first == last => {
            line.entries.truncate(first);
            line.tail = None;
        }
        _ => {
            line.absorb(earliest.unwrap_or(sure));
            line.tail.iter_mut().for_each(super::line::Tail::doubt);
        }
    }
}

fn min_p(line: &mut Line, p: f64, min_keep: usize) -> Option<()> {
    let least = line.largest()? + p.ln();
    let cut_tail = line.tail.as_ref().is_none_or(|tail| tail.bound.ln() + line.zero < least - ROUNDING);
    let kept = line.entries.iter().filter(|entry| entry.logit >= least).count();
    if kept >= min_keep {
        line.entries.retain(|entry| entry.logit >= least);
    } else {
        line.sort();
        if kept < line.entries.len() && line.tail.is_some() && line.sure() < min_keep {
            return None;
        }
        line.entries.truncate(min_keep);
    }
    match &mut line.tail {
        Some(_) if cut_tail && line.entries.len() >= min_keep => line.tail = None,
        Some(tail) => tail.doubt(),
        None => {}
    }
    Some(())
}

/// How many of the likeliest tokens XTC would drop now; `None` where that depends on unknown tokens.
fn xtc_drops(line: &mut Line, sampling: &Sampling) -> Option<usize> {
    let threshold = f64::from(sampling.xtc_threshold);
    let more = line.tail.as_ref().map_or((0, 0), |tail| tail.count);
    let size = line.entries.len() + more.0;
    if line.entries.len() + more.1 < 2 {
        return Some(0);
    }
    let sure = {
        let mut sorted = line.clone();
        sorted.sort();
        let (least, most) = sorted.totals();
        let above = |total: f64, threshold: f64| {
            sorted.entries.iter().take_while(|entry| sorted.weight(entry) / total >= threshold).count()
        };
        let slack = if sorted.tail.is_some() { ROUNDING } else { 0.0 };
        let (many, few) = (above(least, threshold - slack), above(most, threshold + slack));
        let unknown_above = sorted.tail.as_ref().is_some_and(|tail| tail.bound / least >= threshold - slack);
        (many == few && !unknown_above).then_some(many)?
    };
    let drops = sure.saturating_sub(1);
    let enough = |size: usize| size.saturating_sub(drops) >= sampling.min_keep as usize;
    if enough(size) != enough(line.entries.len() + more.1) {
        return None;
    }
    Some(if enough(size) { drops } else { 0 })
}

fn xtc(line: &mut Line, input: &Input<'_>, sampling: &Sampling) -> Result<(), Why> {
    let name = StageName::Chain(Stage::Xtc);
    let acts = if sampling.xtc_probability >= 1.0 { Some(true) } else { input.xtc_acts };
    if acts == Some(false) || sampling.xtc_threshold > 0.5 {
        return Ok(());
    }
    let drops = xtc_drops(line, sampling).ok_or(Why::Unlisted(name))?;
    match acts {
        Some(_) => {
            line.sort();
            line.entries.drain(..drops);
        }
        None if drops == 0 => line.sort_by_chance(),
        None => return Err(Why::Chance(name)),
    }
    Ok(())
}

fn dynamic_temperature(line: &mut Line, sampling: &Sampling) {
    let size = line.entries.len();
    if size <= 1 {
        return;
    }
    line.sort();
    let least = f64::from((sampling.temperature - sampling.dynatemp_range).max(0.0));
    let most = f64::from(sampling.temperature + sampling.dynatemp_range);
    let flatness = line.entropy().unwrap_or(0.0) / (size as f64).ln();
    let temperature = least + (most - least) * flatness.powf(sampling.dynatemp_exponent.into());
    if temperature > 0.0 {
        line.divide(temperature);
    } else {
        line.entries.iter_mut().skip(1).for_each(|entry| entry.logit = f64::NEG_INFINITY);
    }
}

fn greedy(line: &mut Line) -> Option<()> {
    let first = line.first()?;
    line.entries.retain(|entry| entry.id == first);
    line.tail = None;
    Some(())
}

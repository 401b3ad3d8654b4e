//! What vectors that are added to the stream do to the vocabulary: which tokens each raises most, and which it lowers.
//!
//! Invariant: a vector is read through the final norm, whose divisor is frozen, and `W_U`, with the factor on the logits
//! where the model has one; changes are beyond the mean of all tokens, since what raises all alike changes no
//! probability.

use super::Inside;
use crate::engine::compute::numbers::Scored;
use crate::engine::compute::parallel;
use crate::engine::probe::{Captured, Operands};
use crate::token::TokenId;

/// Tokens listed as raised, and as lowered.
const TOKENS: usize = 8;
/// Logits that are summed and bounded together.
const BLOCK: usize = 256;
/// Independent accumulators, so that the compiler uses vector instructions.
const LANES: usize = 16;

/// What one vector does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Raised {
    /// The tokens raised most and by how much, the most first.
    pub promotes: Vec<(TokenId, f32)>,
    /// The tokens lowered most, the most first.
    pub suppresses: Vec<(TokenId, f32)>,
    /// What it does to the tokens that are followed.
    pub followed: Vec<(TokenId, f32)>,
}

/// What each of these vectors does. Fails where the way to the logits is not known, in words.
pub(crate) fn token_effects(
    inside: &mut Inside,
    operands: Operands,
    captured: &Captured,
    added: &[Vec<f32>],
    follow: &[TokenId],
) -> Result<Vec<Raised>, String> {
    let output = operands.output.ok_or("the output matrix was not seen")?;
    let norm = inside.facts.norm.as_ref().ok_or("the final norm is not known")?;
    let last = captured.layers.last().ok_or("nothing was captured")?;
    let divisor = norm.divisor(&last.resid_post);
    let columns: Vec<f32> = added.iter().flat_map(|added| norm.frozen(added, divisor)).collect();
    let logits = inside.multiplied(inside.weights.output_name(), output, &columns)?;
    let scale = operands.tail.unwrap_or_default().scale;
    let vocabulary = logits.len() / added.len().max(1);
    Ok(parallel::each(added.len(), |at| {
        let logits = &logits[at * vocabulary..(at + 1) * vocabulary];
        of_logits(logits, scale, follow)
    }))
}

fn of_logits(logits: &[f32], scale: f32, follow: &[TokenId]) -> Raised {
    let (mut high, mut low) = (Outermost::new(1.0), Outermost::new(-1.0));
    let mut sum = 0.0_f64;
    for (block, first) in logits.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
        let (least, most, total) = extent(block);
        sum += total;
        high.offer(block, first, most);
        low.offer(block, first, least);
    }
    let mean = (sum / logits.len().max(1) as f64) as f32;
    let beyond = |value: f32| scale * (value - mean);
    let told = |side: Outermost| side.kept.into_iter().map(|it| (it.id, beyond(it.logit))).collect();
    let known = |id: &TokenId| Some((*id, beyond(*logits.get(usize::try_from(id.0).ok()?)?)));
    Raised {
        promotes: told(high),
        suppresses: told(low),
        followed: follow.iter().filter_map(known).collect(),
    }
}

/// The least, the largest and the sum of some values.
fn extent(block: &[f32]) -> (f32, f32, f64) {
    let (mut least, mut most, mut sum) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES], [0.0; LANES]);
    let mut add = |lane: usize, value: f32| {
        least[lane] = if value < least[lane] { value } else { least[lane] };
        most[lane] = if value > most[lane] { value } else { most[lane] };
        sum[lane] += value;
    };
    let (chunks, rest) = block.as_chunks::<LANES>();
    for chunk in chunks {
        (0..LANES).for_each(|lane| add(lane, chunk[lane]));
    }
    rest.iter().enumerate().for_each(|(lane, value)| add(lane, *value));
    let least = least.into_iter().fold(f32::INFINITY, f32::min);
    let most = most.into_iter().fold(f32::NEG_INFINITY, f32::max);
    (least, most, sum.into_iter().map(f64::from).sum())
}

/// The values furthest out on one side, the outermost first; among equals the smaller id.
struct Outermost {
    sign: f32,
    kept: Vec<Scored>,
}

impl Outermost {
    fn new(sign: f32) -> Self {
        Self { sign, kept: Vec::with_capacity(TOKENS + 1) }
    }

    /// Whether a value comes before all that are kept, or there is room.
    fn takes(&self, value: f32) -> bool {
        let last = self.kept.get(TOKENS - 1);
        last.is_none_or(|last| self.sign * value > self.sign * last.logit)
    }

    /// Looks through a block of which `outermost` lies furthest out; its first token is `first`.
    fn offer(&mut self, block: &[f32], first: i32, outermost: f32) {
        if !self.takes(outermost) {
            return;
        }
        for (id, logit) in (first..).map(TokenId).zip(block.iter().copied()) {
            if self.takes(logit) {
                let before = |kept: &Scored| self.sign * kept.logit >= self.sign * logit;
                let place = self.kept.partition_point(before);
                self.kept.insert(place, Scored { id, logit });
                self.kept.truncate(TOKENS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, by sorting everything.
    fn sorted(logits: &[f32], sign: f32) -> Vec<i32> {
        let mut ids: Vec<i32> = (0..).take(logits.len()).collect();
        ids.sort_by(|a, b| {
            let key = |id: i32| sign * logits[usize::try_from(id).unwrap()];
            key(*b).total_cmp(&key(*a)).then(a.cmp(b))
        });
        ids.truncate(TOKENS);
        ids
    }

    proptest! {
        #[test]
        fn both_ends_and_the_mean_are_those_of_all(
            logits in prop::collection::vec(-50_i16..50, 1..2000),
            scale in 0.1_f32..4.0,
        ) {
            let logits: Vec<f32> = logits.into_iter().map(f32::from).collect();
            let told = of_logits(&logits, scale, &[TokenId(0), TokenId(1 << 20), TokenId(-1)]);
            let ids = |side: &[(TokenId, f32)]| side.iter().map(|(id, _)| id.0).collect::<Vec<_>>();
            prop_assert_eq!(ids(&told.promotes), sorted(&logits, 1.0));
            prop_assert_eq!(ids(&told.suppresses), sorted(&logits, -1.0));
            let mean = logits.iter().sum::<f32>() / logits.len() as f32;
            for (id, change) in told.promotes.iter().chain(&told.suppresses).chain(&told.followed) {
                let whole = scale * (logits[usize::try_from(id.0).unwrap()] - mean);
                prop_assert!((change - whole).abs() < 1e-3, "{id:?}: {change} for {whole}");
            }
            prop_assert_eq!(told.followed.len(), 1);
        }
    }
}

//! What runs were conditioned on, each kept as what is new after a run before it.
//!
//! Invariant: a run shares only ids of another's prompt, never those it wrote, so that its own can be found from
//! runs alone; a run of version 0.1 shares nothing and holds its whole prompt.

use std::collections::BTreeMap;

use super::{Run, RunId};
use crate::token::TokenId;

impl Run {
    /// How many ids its whole prompt has; 0 while that is not known.
    #[must_use]
    pub fn prompt_len(&self) -> usize {
        self.prefix.map_or(0, |(_, count)| count as usize) + self.prompt_ids.len()
    }
}

/// All ids that a run was conditioned on; `None` while they are not known, or a run that it shares with is gone.
#[must_use]
pub fn prompt_of(runs: &BTreeMap<RunId, Run>, id: RunId) -> Option<Vec<TokenId>> {
    let run = runs.get(&id).filter(|run| run.prompt_len() > 0)?;
    let mut ids = vec![TokenId(0); run.prompt_len()];
    let (mut run, mut most) = (run, ids.len());
    // A chain is no longer than the runs are many; a damaged one ends.
    for _ in 0..runs.len() {
        let shared = run.prefix.map_or(0, |(_, count)| count as usize);
        if shared < most {
            ids[shared..most].copy_from_slice(run.prompt_ids.get(..most - shared)?);
            most = shared;
        }
        match run.prefix.filter(|_| most > 0) {
            Some((before, _)) => run = runs.get(&before)?,
            None => return Some(ids),
        }
    }
    None
}

/// Makes a run hold `ids` as its prompt, as what follows the longest stretch that it shares with one of `others`.
pub fn condition(
    run: &mut Run,
    ids: &[TokenId],
    runs: &BTreeMap<RunId, Run>,
    others: impl IntoIterator<Item = RunId>,
) {
    let id = run.id;
    let shared = others.into_iter().filter(|other| *other != id).filter_map(|other| {
        let theirs = prompt_of(runs, other)?;
        let count = theirs.iter().zip(ids).take_while(|(one, other)| one == other).count();
        (count > 0).then_some((other, count))
    });
    let longest =
        shared.max_by_key(|(_, count)| *count).map(|(other, count)| (owner(runs, other, count), count));
    run.prompt_ids = ids[longest.map_or(0, |(_, count)| count)..].to_vec();
    run.prefix = longest.map(|(other, count)| (other, u32::try_from(count).unwrap_or(u32::MAX)));
}

/// The oldest run that holds so many of a run's ids, so that chains stay short.
fn owner(runs: &BTreeMap<RunId, Run>, mut run: RunId, count: usize) -> RunId {
    for _ in 0..runs.len() {
        match runs.get(&run).and_then(|run| run.prefix).filter(|(_, shared)| *shared as usize >= count) {
            Some((before, _)) => run = before,
            None => break,
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(id: i64) -> Run {
        let data = serde_json::json!({
            "id": id, "model": "", "model_hash": null, "vocabulary": null, "template_hash": null, "sampling": {},
            "seed": 0, "interventions": [], "template_clock_ms": null, "prefix": null, "prompt_ids": [],
            "stop": null, "usage": { "prompt_tokens": 0, "completion_tokens": 0, "reused_tokens": 0 },
            "timings": { "load_ms": 0.0, "prompt_ms": 0.0, "decode_ms": 0.0, "tokens_per_second": 0.0 },
        });
        serde_json::from_value(data).unwrap()
    }

    fn tokens(ids: &[i32]) -> Vec<TokenId> {
        ids.iter().copied().map(TokenId).collect()
    }

    #[test]
    fn a_version_shares_with_the_oldest_that_has_what_it_needs() {
        let mut runs = BTreeMap::new();
        for (id, ids) in [(1, &[1, 2, 3][..]), (2, &[1, 2, 3, 4]), (3, &[1, 2, 3, 5]), (4, &[9])] {
            let mut made = run(id);
            condition(&mut made, &tokens(ids), &runs, runs.keys().copied().collect::<Vec<_>>());
            runs.insert(made.id, made);
        }
        let held: Vec<_> = runs.values().map(|run| (run.prefix, run.prompt_ids.len())).collect();
        assert_eq!(held, [(None, 3), (Some((RunId(1), 3)), 1), (Some((RunId(1), 3)), 1), (None, 1)]);
    }

    #[test]
    fn a_chain_with_a_gap_or_a_circle_has_no_prompt() {
        let mut runs = BTreeMap::from([(RunId(2), Run { prefix: Some((RunId(1), 2)), ..run(2) })]);
        assert_eq!(prompt_of(&runs, RunId(2)), None);
        runs.insert(RunId(1), Run { prefix: Some((RunId(2), 2)), ..run(1) });
        assert_eq!(prompt_of(&runs, RunId(2)), None);
    }

    proptest! {
        #[test]
        fn every_run_gives_back_the_ids_it_was_made_with(
            prompts in prop::collection::vec(prop::collection::vec(0..2_i32, 0..6), 1..12),
        ) {
            let mut runs = BTreeMap::new();
            for (number, ids) in (0_i64..).zip(&prompts) {
                let mut made = run(number);
                condition(&mut made, &tokens(ids), &runs, runs.keys().copied().collect::<Vec<_>>());
                runs.insert(made.id, made);
            }
            for (number, ids) in (0_i64..).zip(&prompts) {
                let whole = prompt_of(&runs, RunId(number));
                prop_assert_eq!(whole, (!ids.is_empty()).then(|| tokens(ids)));
            }
        }
    }
}

//! How much of what was read again is kept: passes that were opened, and distributions that were looked at.
//!
//! Invariant: both together stay below one bound in bytes, whatever the length of the text and the size of the model;
//! the newest of each is kept whatever it takes.

use super::Inspector;
use crate::engine::protocol::Inspected;
use crate::inspect::trace::{Attention, AttributionPart, HeadReading, HeadRow, LensRow, Neuron};

/// What is kept at most, bytes.
const KEPT: usize = 64 << 20;

impl Inspector {
    /// Lets the oldest go, of what takes more, until the rest is within the bound.
    pub(crate) fn trim_kept(&mut self) {
        loop {
            let (passes, looks) = (self.opened_bytes(), self.looks.bytes());
            let (more_passes, more_looks) = (self.inside.passes.len() > 1, self.looks.count() > 1);
            if passes + looks <= KEPT || !(more_passes || more_looks) {
                return;
            }
            if more_passes && (passes >= looks || !more_looks) {
                self.inside.passes.remove(0);
            } else {
                self.looks.drop_oldest();
            }
        }
    }

    /// What the opened passes take, with what was tried on them.
    fn opened_bytes(&self) -> usize {
        let passes = self.inside.passes.iter();
        passes
            .map(|pass| bytes(&pass.seen) + pass.cards.iter().map(|(_, seen)| bytes(seen)).sum::<usize>())
            .sum()
    }
}

/// What a pass takes, about: its long lists; a few bytes more or less do not matter.
fn bytes(seen: &Inspected) -> usize {
    let trace = &seen.trace;
    let lens = trace.lens.as_ref().map_or(0, |lens| lens.rows.len() * size_of::<LensRow>());
    let attention = trace.attention.as_ref().map_or(0, attention_bytes);
    let neurons: usize = seen.ffns.iter().map(|ffn| ffn.neurons.len() * size_of::<Neuron>()).sum();
    let parts = trace.attribution.as_ref().map_or(0, |attribution| {
        let count = attribution.parts.len() + attribution.heads.len() + attribution.neurons.len();
        count * size_of::<AttributionPart>()
    });
    let rotation = trace.rotation.as_ref().map_or(0, |rotation| {
        let floats = rotation.by_distance.len() + rotation.pairs.len() + rotation.unrotated.len();
        floats * size_of::<f32>()
    });
    size_of::<Inspected>() + lens + attention + neurons + parts + rotation
}

fn attention_bytes(attention: &Attention) -> usize {
    let readings: usize = attention.overview.iter().map(Vec::len).sum();
    let rows = attention.layers.iter().flat_map(|layer| &layer.heads);
    let row = |row: &HeadRow| row.weights.len() + row.scores.len() + row.value_norms.len();
    readings * size_of::<HeadReading>() + rows.map(row).sum::<usize>() * size_of::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::Bench;
    use crate::app::{LookedAt, TokenCursor};
    use crate::chat::TurnId;
    use crate::inspect::distribution::Distribution;
    use crate::inspect::trace::{AttentionLayer, ForwardTrace};

    /// A pass over a text of that many tokens, one block's heads of which are known whole.
    fn opened(tokens: usize) -> Inspected {
        let row = HeadRow { weights: vec![0.0; tokens], ..HeadRow::default() };
        let layer = AttentionLayer { heads: vec![row; 16], ..AttentionLayer::default() };
        let attention = Attention { layers: vec![layer], ..Attention::default() };
        Inspected {
            trace: ForwardTrace { attention: Some(attention), ..ForwardTrace::default() },
            ..Inspected::default()
        }
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_not_in_passes() {
        let mut bench = Bench::ready();
        let at = |index| TokenCursor { turn: TurnId(1), index };
        for index in 0..20 {
            let whole = Distribution::new(vec![0.0; 100_000]).map(Into::into);
            bench
                .app
                .inspector
                .looks
                .keep_pass(at(index), LookedAt { distribution: whole, ..LookedAt::default() });
            // 5 MB each: 64 of them would be 320 MB.
            bench.app.inspector.keep_seen(view!(bench.app), at(index), false, opened(80_000));
        }
        let inspector = &bench.app.inspector;
        let all = inspector.opened_bytes() + inspector.looks.bytes();
        assert!(all <= KEPT, "{all}");
        assert_eq!(inspector.inside.passes.last().map(|pass| pass.at), Some(at(19)));
        assert!(inspector.looks.pass(at(19)).is_some() && inspector.inside.passes.len() > 5);
    }

    #[test]
    fn one_that_is_larger_than_the_bound_is_kept_alone() {
        let mut bench = Bench::ready();
        for index in 0..2 {
            bench.app.inspector.keep_seen(
                view!(bench.app),
                TokenCursor { turn: TurnId(1), index },
                false,
                opened(1_200_000),
            );
        }
        assert_eq!(bench.app.inspector.inside.passes.len(), 1);
    }
}

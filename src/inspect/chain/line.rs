//! What is left to draw from at a point of the chain: the known tokens, and what is known of the others.
//!
//! Invariant: no token of the tail is likelier than `Tail::bound`, and the tail's true weight and count lie
//! within their bounds; so a cut that both ends agree on is the cut.

use crate::token::TokenId;

/// How far rounding can move a share of the whole, where a part of it is known only as "the rest".
pub(super) const ROUNDING: f64 = 1e-5;

/// A known token.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: TokenId,
    /// Its logit, or ln p, as the stages so far made it; −∞ once it cannot be drawn.
    pub(super) logit: f64,
    /// Its probability before the samplers.
    pub(super) model: f64,
    /// Its probability in the column before.
    pub(super) before: f64,
    /// Whether it comes before every unlisted token that is exactly as likely.
    pub(super) leads: bool,
}

impl Entry {
    /// Gives it a logit of its own. Where that makes it as likely as unlisted tokens, it is not known which comes first.
    pub(super) fn move_to(&mut self, logit: f64) {
        self.leads &= logit.total_cmp(&self.logit).is_eq();
        self.logit = logit;
    }
}

/// All that is known of tokens that may be left besides the entries. Weights are e^(logit − `Line::zero`).
#[derive(Clone, Debug)]
pub(super) struct Tail {
    /// How many can be drawn, at least; how many are in llama.cpp's list, at most.
    pub(super) count: (usize, usize),
    /// Their weight together, at least and at most.
    pub(super) weight: (f64, f64),
    /// No one weighs more.
    pub(super) bound: f64,
    /// Σ w ln w while the tail is whole; `None` once that is unknown.
    pub(super) spread: Option<f64>,
    /// Their probability before the samplers, while the tail is whole.
    pub(super) model: f64,
    /// Their probability in the column before, while the tail is whole.
    pub(super) before: f64,
    /// Listed tokens whose fate is unknown, and which are counted here since.
    pub(super) absorbed: Vec<TokenId>,
}

impl Tail {
    /// Some of them may be gone, or lighter.
    pub(super) fn doubt(&mut self) {
        self.count.0 = 0;
        self.weight.0 = 0.0;
        self.spread = None;
    }

    /// So many of them became lighter, by how much is unknown.
    pub(super) fn lower(&mut self, tokens: usize) {
        if tokens > 0 {
            self.count.0 = self.count.0.saturating_sub(tokens);
            self.weight.0 = (self.weight.0 - tokens as f64 * self.bound).max(0.0);
            self.spread = None;
        }
    }

    /// Raises all weights to a power, where `rounding` is how far the weight may be off.
    fn power(&mut self, power: f64, rounding: f64) {
        let count = self.count.1.max(1) as f64;
        let even = |weight: f64| count * (weight / count).powf(power);
        let steep = |weight: f64| weight * self.bound.powf(power - 1.0);
        let (least, most) = self.weight;
        // By the power mean: even weights are the least for a power above 1, the most for one below. A power below 1 makes
        // much of a weight that is next to nothing, so there rounding counts.
        self.weight = if power >= 1.0 {
            (even(least), steep(most))
        } else {
            (steep((least - rounding).max(0.0)), even((most + rounding).min(count * self.bound)))
        };
        self.bound = self.bound.powf(power);
        self.spread = None;
    }
}

/// How llama.cpp's list lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As the vocabulary does; no stage has sorted it.
    ById,
    /// As `Line::entries` do.
    AsIs,
    /// As it did, or sorted: that depends on a chance which is not known.
    ByChance,
}

/// What is left to draw from.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) entries: Vec<Entry>,
    /// Whether `entries` are by falling logit, the smaller id first among equals.
    pub(super) ranked: bool,
    /// How llama.cpp's list would lie; the draw runs along it.
    pub(super) order: Order,
    /// The others; `None` where every token is known or cut.
    pub(super) tail: Option<Tail>,
    /// The logit whose weight is 1.
    pub(super) zero: f64,
}

impl Line {
    /// The weight of an entry.
    pub(super) fn weight(&self, entry: &Entry) -> f64 {
        (entry.logit - self.zero).exp()
    }

    /// The entries' weight together.
    pub(super) fn listed(&self) -> f64 {
        self.entries.iter().map(|entry| self.weight(entry)).sum()
    }

    /// Everything's weight, at least and at most.
    pub(super) fn totals(&self) -> (f64, f64) {
        let listed = self.listed();
        self.tail.as_ref().map_or((listed, listed), |tail| (listed + tail.weight.0, listed + tail.weight.1))
    }

    /// Everything's weight where it is known.
    pub(super) fn total(&self) -> Option<f64> {
        let (least, most) = self.totals();
        (most - least <= f64::EPSILON * most).then_some(most)
    }

    /// Everything's weight where it is known of each token whether it is left.
    pub(super) fn settled(&self) -> Option<f64> {
        let open = |tail: &Tail| !tail.absorbed.is_empty() || tail.count.0 != tail.count.1;
        self.total().filter(|_| !self.tail.as_ref().is_some_and(open))
    }

    /// Entries that can be drawn.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.logit > f64::NEG_INFINITY)
    }

    /// The largest logit, if it is certain that no unknown token has a larger one.
    pub(super) fn largest(&self) -> Option<f64> {
        let largest = self.entries.iter().map(|entry| entry.logit).fold(f64::NEG_INFINITY, f64::max);
        let sure = self.tail.as_ref().is_none_or(|tail| largest - self.zero >= tail.bound.ln());
        (sure && largest > f64::NEG_INFINITY).then_some(largest)
    }

    /// As [`Line::sort`], if it comes to that, and otherwise not.
    pub(super) fn sort_by_chance(&mut self) {
        if !self.ranked || self.order == Order::ById {
            self.order = Order::ByChance;
        }
    }

    /// By falling logit, the smaller id first among equals.
    pub(super) fn sort(&mut self) {
        if !self.ranked {
            self.entries.sort_by(|a, b| b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id)));
            self.ranked = true;
        }
        self.order = Order::AsIs;
    }

    /// Puts the entries as llama.cpp's list would have them.
    pub(super) fn lay_out(&mut self) {
        if self.order == Order::ById {
            self.entries.sort_unstable_by_key(|entry| entry.id);
            (self.ranked, self.order) = (false, Order::AsIs);
        }
    }

    /// How many of the sorted entries certainly come before every unknown token.
    pub(super) fn sure(&self) -> usize {
        self.entries.iter().take_while(|entry| self.is_before_tail(entry)).count()
    }

    /// Whether an entry certainly comes before every unknown token.
    fn is_before_tail(&self, entry: &Entry) -> bool {
        let Some(tail) = &self.tail else { return true };
        // The bound is an entry's own weight, so only rounding can tell them apart.
        let least = tail.bound * if entry.leads { 1.0 - 1e-12 } else { 1.0 + ROUNDING };
        self.weight(entry) >= least
    }

    /// The likeliest entry, the smallest id among equals, if no unknown token comes before it.
    pub(super) fn first(&self) -> Option<TokenId> {
        let largest = self.largest()?;
        let first = self.entries.iter().filter(|entry| entry.logit >= largest);
        let is_sure = first.clone().any(|entry| self.is_before_tail(entry));
        first.map(|entry| entry.id).min().filter(|_| is_sure)
    }

    /// Entries from there on may be cut or not: they join the tail, if there is one.
    pub(super) fn absorb(&mut self, from: usize) {
        let Some(mut tail) = self.tail.take() else { return };
        let joining = self.entries.split_off(from);
        // What cannot be drawn any more is still in llama.cpp's list, and counts only there.
        tail.count.1 += joining.len();
        for entry in joining.iter().filter(|entry| entry.logit > f64::NEG_INFINITY) {
            let weight = self.weight(entry);
            tail.bound = tail.bound.max(weight);
            tail.weight = (tail.weight.0 + weight, tail.weight.1 + weight);
            tail.count.0 += 1;
            tail.absorbed.push(entry.id);
        }
        tail.spread = None;
        self.tail = Some(tail);
    }

    /// Divides all logits.
    pub(super) fn divide(&mut self, temperature: f64) {
        let rounding = ROUNDING * self.totals().1;
        self.entries.iter_mut().for_each(|entry| entry.logit /= temperature);
        self.zero /= temperature;
        if let Some(tail) = &mut self.tail {
            tail.power(1.0 / temperature, rounding);
        }
    }

    /// Makes the largest logit the one that weighs 1, so that no weight is too large for a float.
    pub(super) fn recentre(&mut self) {
        let largest = self.entries.iter().map(|entry| entry.logit).fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            return;
        }
        let shift = self.zero - largest;
        let factor = shift.exp();
        if let Some(tail) = &mut self.tail {
            tail.spread = tail.spread.map(|spread| factor * (spread + shift * tail.weight.1));
            tail.weight = (tail.weight.0 * factor, tail.weight.1 * factor);
            tail.bound *= factor;
        }
        self.zero = largest;
    }

    /// −Σ p ln p of what is left, nats, where it is known.
    pub(super) fn entropy(&self) -> Option<f64> {
        let total = self.total()?;
        let spread = self.tail.as_ref().map_or(Some(0.0), |tail| tail.spread)?;
        let listed: f64 = self.alive().map(|e| self.weight(e) * (e.logit - self.zero)).sum();
        Some((total.ln() - (listed + spread) / total).max(0.0))
    }
}

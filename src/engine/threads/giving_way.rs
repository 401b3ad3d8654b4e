//! The decision itself: from what was measured to how the next passes are computed.
//!
//! Invariant: no clock and no system; the same samples give the same decisions. Time is what the samples add up to.

/// How a pass is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// How many threads.
    pub threads: u32,
    /// What they do while they wait for each other.
    pub waiting: Waiting,
}

/// What threads do while they wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Look again and again: the quickest while each has a processor for itself.
    Spinning,
    /// Leave the processor to others.
    Sleeping,
}

/// What was measured over some passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// How long they took together, ms.
    pub span_ms: f32,
    /// How long one token took, ms; `None` where no pass was of one token.
    pub step_ms: Option<f32>,
    /// What the system says of this time; `None` where it says nothing.
    pub share: Option<Share>,
}

/// What a process had of the machine's processors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The part of its time that the worst thread was ready and did not run, 0 to 1.
    pub waited: f32,
    /// Processors that it had.
    pub got: f32,
    /// Processors that nobody used; `None` where it was not asked.
    pub idle: Option<f32>,
}

/// A thread that waits for this part of its time has to share its processor.
const WAITED: f32 = 0.25;
/// A thread that waits for less has nobody beside it that has the same right to its processor.
const ALONE: f32 = 0.12;
/// A step is disturbed that takes this many times the best one, where the system says that a thread waits; and where it
/// says nothing.
const SLOWER: (f32, f32) = (1.2, 1.6);
/// Disturbed for this long before anything is done, ms.
const STRAIN_MS: f32 = 150.0;
/// How long a way is tried, and at least how many samples, ms.
const TRIAL_MS: f32 = 250.0;
/// A way is preferred to the one in use if its steps take this part of the time.
const BETTER: f32 = 0.92;
/// A trial ends at once with a step this many times the least.
const HOPELESS: f32 = 2.5;
/// Between trials, ms; twice as long after each, up to the second.
const PAUSE_MS: (f32, f32) = (2_000.0, 32_000.0);
/// There has been room for this long before all threads are used again, ms; longer if that was too early.
const PATIENCE_MS: (f32, f32) = (250.0, 8_000.0);
/// Processors that may be missing for all threads to have room.
const NEARLY: f32 = 0.4;
/// Calm for this long: what was learnt of a busy time is forgotten, ms.
const CALM_MS: f32 = 4_000.0;

/// The ways to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// All threads, spinning.
    Full,
    /// As many as there is room for, spinning.
    Fewer,
    /// All threads, sleeping.
    Asleep,
}

const KINDS: [Kind; 3] = [Kind::Full, Kind::Fewer, Kind::Asleep];

/// Ways that are tried one after the other.
#[derive(Clone, Debug)]
struct Trial {
    /// Which come after the one being tried; the next is last.
    left: Vec<Kind>,
    /// For how long the one in use has been tried, ms.
    tried_ms: f32,
}

/// What decides.
#[derive(Clone, Debug)]
pub struct GivingWay {
    most: u32,
    /// Which ways there are beside the full one.
    others: Vec<Kind>,
    using: Kind,
    fewer: u32,
    /// What a step of each kind took when it was last in use, ms.
    costs: [Option<f32>; 3],
    /// The least that a step took undisturbed, ms.
    best: Option<f32>,
    trial: Option<Trial>,
    /// For how long it has been disturbed, or there has been room; ms.
    lasting_ms: f32,
    /// For how long all threads have been used without being disturbed, ms.
    calm_ms: f32,
    until_trial_ms: f32,
    pause_ms: f32,
    patience_ms: f32,
}

impl GivingWay {
    /// At most so many threads; fewer only where `may_change` says that the number may.
    pub fn new(most: u32, may_change: bool) -> Self {
        let most = most.max(1);
        let others = match (most, may_change) {
            (1, _) => Vec::new(),
            (_, true) => vec![Kind::Asleep, Kind::Fewer],
            (_, false) => vec![Kind::Asleep],
        };
        Self {
            most,
            others,
            using: Kind::Full,
            fewer: most.div_ceil(2).min(most - 1).max(1),
            costs: [None; 3],
            best: None,
            trial: None,
            lasting_ms: 0.0,
            calm_ms: 0.0,
            until_trial_ms: 0.0,
            pause_ms: PAUSE_MS.0,
            patience_ms: PATIENCE_MS.0,
        }
    }

    /// Always all of them.
    pub fn never(most: u32) -> Self {
        Self { others: Vec::new(), ..Self::new(most, false) }
    }

    /// The most threads.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Whether there is anything to decide.
    pub fn gives_way(&self) -> bool {
        !self.others.is_empty()
    }

    /// Whether the machine is shared with others and passes are computed accordingly.
    pub fn is_giving_way(&self) -> bool {
        self.using != Kind::Full
    }

    /// Whether samples need to know of idle processors.
    pub fn asks_for_idle(&self) -> bool {
        self.is_giving_way()
    }

    /// How passes of few tokens are computed from here on.
    pub fn way(&self) -> Way {
        match self.using {
            Kind::Full => Way { threads: self.most, waiting: Waiting::Spinning },
            Kind::Fewer => Way { threads: self.fewer, waiting: Waiting::Spinning },
            Kind::Asleep => Way { threads: self.most, waiting: Waiting::Sleeping },
        }
    }

    /// Learns what passes took that were computed that way; the way from here on.
    pub fn observe(&mut self, sample: &Sample) -> Way {
        if self.gives_way() {
            self.note_cost(sample.step_ms);
            if self.is_giving_way() && self.has_room(sample) {
                self.go_full();
            } else if self.trial.is_some() {
                self.go_on_trying(sample);
            } else if self.is_giving_way() {
                self.stay_away(sample);
            } else {
                self.stay_full(sample);
            }
        }
        self.way()
    }

    fn note_cost(&mut self, step_ms: Option<f32>) {
        let Some(step) = step_ms else { return };
        let cost = &mut self.costs[self.using as usize];
        *cost = Some(cost.map_or(step, |cost| 0.5 * cost + 0.5 * step));
    }

    /// All threads are in use: are they disturbed?
    fn stay_full(&mut self, sample: &Sample) {
        self.until_trial_ms -= sample.span_ms;
        if !self.is_disturbed(sample) {
            self.calm(sample);
            return;
        }
        self.lasting_ms += sample.span_ms;
        // What was just found to be no better is not tried again at once.
        if self.lasting_ms < STRAIN_MS || self.until_trial_ms > 0.0 {
            return;
        }
        if self.calm_ms < CALM_MS {
            self.patience_ms = (2.0 * self.patience_ms).min(PATIENCE_MS.1);
        }
        self.fit(sample.share);
        self.calm_ms = 0.0;
        self.costs = [sample.step_ms, None, None];
        self.try_in_turn(self.others.clone());
    }

    fn calm(&mut self, sample: &Sample) {
        self.lasting_ms = 0.0;
        self.calm_ms += sample.span_ms;
        if let Some(step) = sample.step_ms {
            // A longer context makes steps longer; what was best once does not bind for ever.
            self.best = Some(self.best.map_or(step, |best| (1.01 * best).min(step)));
        }
        if self.calm_ms > CALM_MS {
            (self.patience_ms, self.pause_ms) = (PATIENCE_MS.0, PAUSE_MS.0);
            self.until_trial_ms = 0.0;
        }
    }

    fn is_disturbed(&self, sample: &Sample) -> bool {
        let times = sample.step_ms.zip(self.best).map(|(step, best)| step / best);
        match sample.share {
            Some(share) => share.waited >= WAITED && times.is_none_or(|times| times > SLOWER.0),
            None => times.is_some_and(|times| times > SLOWER.1),
        }
    }

    /// How many threads there is room for.
    fn fit(&mut self, share: Option<Share>) {
        let Some(share) = share else { return };
        let room = (share.got + share.idle.unwrap_or(0.0) + 0.3).floor();
        self.fewer = (room.max(1.0) as u32).min(self.most - 1);
    }

    /// Whether there has been room for all threads for a while.
    fn has_room(&mut self, sample: &Sample) -> bool {
        let Some(Share { got, idle: Some(idle), .. }) = sample.share else { return false };
        if got + idle < self.most as f32 - NEARLY {
            self.lasting_ms = 0.0;
            return false;
        }
        self.lasting_ms += sample.span_ms;
        self.lasting_ms >= self.patience_ms
    }

    fn go_full(&mut self) {
        self.using = Kind::Full;
        self.trial = None;
        (self.lasting_ms, self.calm_ms, self.until_trial_ms) = (0.0, 0.0, 0.0);
    }

    /// Another way is in use: is it time to try others?
    fn stay_away(&mut self, sample: &Sample) {
        if self.using == Kind::Fewer && sample.share.is_some_and(|share| share.idle.is_some()) {
            self.fit(sample.share);
        }
        self.until_trial_ms -= sample.span_ms;
        if self.until_trial_ms > 0.0 || sample.step_ms.is_none() {
            return;
        }
        let mut others: Vec<Kind> = self.others.iter().copied().filter(|kind| *kind != self.using).collect();
        self.costs[Kind::Full as usize] = None;
        // Idle processors lead back by themselves. Where there are none since others use what nobody else wants, or where
        // the system does not tell, only trying does.
        if sample.share.is_none_or(|share| share.idle.is_none() || share.waited < ALONE) {
            others.insert(0, Kind::Full);
        }
        self.try_in_turn(others);
    }

    /// Tries these, the last first, then uses the best of all.
    fn try_in_turn(&mut self, mut kinds: Vec<Kind>) {
        let Some(first) = kinds.pop() else {
            (self.until_trial_ms, self.lasting_ms) = (self.pause_ms, 0.0);
            return;
        };
        (self.using, self.lasting_ms) = (first, 0.0);
        self.costs[first as usize] = None;
        self.trial = Some(Trial { left: kinds, tried_ms: 0.0 });
    }

    fn go_on_trying(&mut self, sample: &Sample) {
        let (Some(trial), Some(step)) = (&mut self.trial, sample.step_ms) else { return };
        trial.tried_ms += sample.span_ms;
        let using = self.using;
        let least = KINDS.iter().filter(|kind| **kind != using).filter_map(|kind| self.costs[*kind as usize]);
        let hopeless = least.reduce(f32::min).is_some_and(|least| step > HOPELESS * least);
        if trial.tried_ms < TRIAL_MS && !hopeless {
            return;
        }
        let left = std::mem::take(&mut trial.left);
        if left.is_empty() {
            self.trial = None;
            self.settle();
        } else {
            self.try_in_turn(left);
        }
    }

    /// Uses what was found to be best.
    fn settle(&mut self) {
        let cost = |kind: Kind| self.costs[kind as usize].unwrap_or(f32::INFINITY);
        // The first in the list is preferred where others are hardly better.
        let order = [Kind::Fewer, Kind::Asleep, Kind::Full];
        let mut best = self.using;
        for kind in order.into_iter().filter(|kind| *kind == Kind::Full || self.others.contains(kind)) {
            if cost(kind) < BETTER * cost(best) {
                best = kind;
            }
        }
        self.using = best;
        if best == Kind::Full {
            // All threads are best although they are disturbed, by the app itself perhaps: that is how it is here.
            self.best = self.best.or(self.costs[Kind::Full as usize]);
        }
        self.until_trial_ms = self.pause_ms;
        self.pause_ms = (2.0 * self.pause_ms).min(PAUSE_MS.1);
        (self.lasting_ms, self.calm_ms) = (0.0, 0.0);
    }
}

#[cfg(test)]
mod tests;

//! A made-up machine for tests: what a step takes on it and what the system would say, by how it is shared.
//!
//! Invariant: no figure here is measured anew; the shapes are those of two real processors (alone 80 tokens a second;
//! beside two busy programs 10 with all threads spinning, 36 asleep, 32 with one; beside a second engine 2, 16 and 35).

use super::giving_way::{GivingWay, Sample, Share, Waiting, Way};

/// The system says how long threads waited.
pub const TOLD: bool = true;
/// It does not.
pub const UNTOLD: bool = false;
/// A step of all threads alone, ms.
const STEP_MS: f32 = 12.5;
/// A sample's length, ms.
const SPAN_MS: f32 = 100.0;

pub struct Machine {
    decides: GivingWay,
    processors: u32,
    told: bool,
    busy: u32,
    engine: bool,
    disturbed: f32,
    /// Programs that only take what nobody else wants, but that all of it.
    background: bool,
    slower: f32,
    /// Steps made, and how many there would have been alone.
    made: f32,
    alone: f32,
    /// A sum that shakes the figures a little, always in the same way.
    shake: u32,
}

impl Machine {
    pub fn new(processors: u32, told: bool) -> Self {
        Self {
            decides: GivingWay::new(processors, true),
            processors,
            told,
            busy: 0,
            engine: false,
            disturbed: 0.0,
            background: false,
            slower: 1.0,
            made: 0.0,
            alone: 0.0,
            shake: 7,
        }
    }

    /// So many busy programs beside it.
    pub fn beside(self, busy: u32) -> Self {
        Self { busy, engine: false, ..self }
    }

    /// A second engine that spins.
    pub fn beside_engine(self) -> Self {
        Self { engine: true, busy: self.processors, ..self }
    }

    /// Threads wait for this part of their time, and nothing is slower for it.
    pub fn disturbed(self, part: f32) -> Self {
        Self { disturbed: part, ..self }
    }

    /// Beside programs that take what nobody else wants.
    pub fn before_background(self) -> Self {
        Self { background: true, ..self }
    }

    /// The number of threads must not change.
    pub fn without_fewer(self) -> Self {
        Self { decides: GivingWay::new(self.processors, false), ..self }
    }

    pub fn slower_by(&mut self, times: f32) {
        self.slower *= times;
    }

    pub fn way(&self) -> Way {
        self.decides.way()
    }

    /// Steps made of those that there would have been alone.
    pub fn speed(&self) -> f32 {
        self.made / self.alone
    }

    pub fn forget(&mut self) -> &mut Self {
        (self.made, self.alone) = (0.0, 0.0);
        self
    }

    /// Writes for so long.
    pub fn run(&mut self, ms: f32, mut each: impl FnMut(&mut Self, Way)) {
        let mut passed = 0.0;
        while passed < ms {
            let way = self.decides.way();
            let step = self.slower * self.step(way) * self.shaken();
            let span = SPAN_MS.max(step);
            self.made += span / step;
            self.alone += span / (STEP_MS * self.slower);
            let share = self.told.then(|| self.share(way));
            let way = self.decides.observe(&Sample { span_ms: span, step_ms: Some(step), share });
            each(self, way);
            passed += span;
        }
    }

    /// Between 0.95 and 1.05.
    fn shaken(&mut self) -> f32 {
        self.shake = self.shake.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        0.95 + 0.1 * (self.shake >> 16 & 0xFF) as f32 / 255.0
    }

    /// Whether each thread has a processor for itself.
    fn has_room(&self, threads: u32) -> bool {
        threads + self.busy <= self.processors
    }

    /// The part of a processor that a thread has.
    fn part(&self, threads: u32) -> f32 {
        (self.processors as f32 / (threads + self.busy) as f32).min(1.0)
    }

    fn step(&self, way: Way) -> f32 {
        let share = self.processors as f32 / way.threads as f32;
        // Fewer threads lose less than their share: memory is what they wait for.
        let alone = STEP_MS * share.powf(0.7);
        let times = match (way.waiting, self.has_room(way.threads)) {
            (Waiting::Spinning, true) => 1.0,
            (Waiting::Sleeping, true) => 2.0,
            (Waiting::Spinning, false) if way.threads == 1 => 1.0 / self.part(1),
            (Waiting::Spinning, false) if self.engine => 40.0,
            (Waiting::Spinning, false) => 8.0,
            (Waiting::Sleeping, false) if self.engine => 5.0,
            (Waiting::Sleeping, false) => 2.2,
        };
        alone * times
    }

    fn share(&self, way: Way) -> Share {
        let part = self.part(way.threads);
        let got = part * way.threads as f32;
        let left = if self.background { 0.0 } else { self.processors as f32 - got - self.busy as f32 };
        let idle = left.max(0.0);
        // One thread at least shares its processor, however many others do not.
        let worst = if self.has_room(way.threads) { 0.0 } else { (1.0 - part).max(0.35) };
        let waited = worst.max(self.disturbed);
        Share { waited, got, idle: self.decides.asks_for_idle().then_some(idle) }
    }
}

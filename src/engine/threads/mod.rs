//! With how many threads passes are computed, and how these wait for each other: on a busy machine fewer, or asleep.
//!
//! Invariant: the figures of a pass are the same either way. llama.cpp divides work on the CPU by rows, whose sums do not
//! depend on how many threads there are; where it does divide a sum (flash attention over the cache), the number stays.

mod giving_way;
mod meter;
#[cfg(feature = "llama")]
mod native;
#[cfg(test)]
mod traces;

#[cfg(feature = "llama")]
pub use here::Threads;
#[cfg(feature = "llama")]
pub use native::ask_for_short_slices;

/// From this many tokens on the threads of a pass sleep while they wait: beside the work between two meetings a waking
/// costs nothing, and who spins takes the processor from those that it waits for.
#[cfg(feature = "llama")]
const LONG: usize = 64;
/// From this many on they sleep where others want the processors as the first pass of a reply begins, of which nothing has
/// been measured yet.
#[cfg(feature = "llama")]
const SHORT: usize = 4;

#[cfg(feature = "llama")]
mod here {
    use std::time::Instant;

    use super::giving_way::{GivingWay, Waiting, Way};
    use super::meter::{self, Meter};
    use super::native::Sleep;
    use super::{LONG, SHORT};

    /// What decides for one context.
    pub struct Threads {
        giving_way: GivingWay,
        meter: Meter,
        sleep: Sleep,
        /// Whether others wanted the processors when these passes began; until a sample tells more.
        crowded: bool,
    }

    impl Threads {
        /// Always this many, spinning; `None` where the number cannot be changed.
        pub fn fixed(most: u32) -> Self {
            Self { giving_way: GivingWay::never(most), ..Self::of(most, false) }
        }

        /// At most this many; where `split_sums`, always this many, though asleep when it is busy.
        pub fn of(most: u32, split_sums: bool) -> Self {
            let giving_way = GivingWay::new(most, !split_sums);
            Self { giving_way, meter: Meter::default(), sleep: Sleep::default(), crowded: false }
        }

        /// How many threads are to compute a pass of so many tokens. They wait accordingly from here on.
        pub fn before(&mut self, tokens: usize) -> u32 {
            let most = self.giving_way.most();
            if !self.giving_way.gives_way() {
                return most;
            }
            if self.meter.begin(Instant::now(), self.giving_way.asks_for_idle()) {
                self.crowded = meter::is_crowded(most);
            }
            let crowded = self.crowded || self.giving_way.is_giving_way();
            let way = match tokens {
                LONG.. => Way { threads: most, waiting: Waiting::Sleeping },
                SHORT.. if crowded => Way { threads: most, waiting: Waiting::Sleeping },
                _ => self.giving_way.way(),
            };
            self.sleep.set(way.waiting == Waiting::Sleeping && way.threads > 1, most);
            way.threads
        }

        /// That pass was computed.
        pub fn after(&mut self, tokens: usize) {
            if !self.giving_way.gives_way() {
                return;
            }
            if let Some(sample) = self.meter.passed(Instant::now(), tokens, self.giving_way.asks_for_idle()) {
                self.crowded = false;
                let before = self.giving_way.way();
                let way = self.giving_way.observe(&sample);
                if way != before {
                    tracing::debug!(?sample, ?way, "threads");
                    self.meter.restart();
                }
            }
        }

        /// With how many threads tokens are written, where that is otherwise than on a calm machine.
        pub fn giving_way(&self) -> Option<u32> {
            let way = self.giving_way.way();
            self.giving_way.is_giving_way().then_some(way.threads)
        }

        /// With how many threads tokens are written.
        pub fn now(&self) -> u32 {
            self.giving_way.way().threads
        }
    }
}

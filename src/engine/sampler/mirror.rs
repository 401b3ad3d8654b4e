//! The number each draw was made with. llama.cpp keeps its generator to itself, so the same one runs beside
//! it: `std::mt19937`, of which `std::uniform_real_distribution<double>` takes two words a draw, the first
//! one the lower (libstdc++ and libc++ alike, for both of the samplers that draw).
//!
//! Invariant: draws that nobody asks about cost a counter; the generator catches up when somebody does.

use rand_mt::Mt;

const WORD: f64 = 4_294_967_296.0;

/// A twin of the generator that draws.
pub(super) struct Mirror {
    seed: u32,
    /// The generator, and how many draws it has made.
    twin: Option<(Mt, u64)>,
    /// Draws made so far.
    draws: u64,
    /// Whether the last choice was a draw.
    drawn: bool,
}

impl Mirror {
    pub(super) fn new(seed: u32) -> Self {
        Self { seed, twin: None, draws: 0, drawn: false }
    }

    /// The sampler made a draw.
    pub(super) fn drew(&mut self) {
        self.draws += 1;
        self.drawn = true;
    }

    /// The sampler chose without a draw.
    pub(super) fn drew_nothing(&mut self) {
        self.drawn = false;
    }

    /// The number of the last draw, in [0, 1); `None` if the last choice was none.
    pub(super) fn last(&mut self) -> Option<f64> {
        if !self.drawn {
            return None;
        }
        let (twin, made) = self.twin.get_or_insert_with(|| (Mt::new(self.seed), 0));
        let mut number = None;
        while *made < self.draws {
            let low = f64::from(twin.next_u32());
            number = Some((low + f64::from(twin.next_u32()) * WORD) / (WORD * WORD));
            *made += 1;
        }
        // Rounding can reach 1, which the C++ library steps back from.
        number.map(|number| number.min(1.0_f64.next_down()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_are_those_of_the_standard() {
        // ISO C++ [rand.predef]: the 10,000th invocation of a default-seeded mt19937 gives 4123659995.
        let mut twister = Mt::new(5489);
        assert_eq!((0..10_000).map(|_| twister.next_u32()).last(), Some(4_123_659_995));
    }

    #[test]
    fn numbers_nobody_asked_about_are_skipped() {
        let numbers = |asked: &[bool]| -> Vec<Option<f64>> {
            let mut mirror = Mirror::new(7);
            let draw = |ask: &bool| {
                mirror.drew();
                ask.then(|| mirror.last()).flatten()
            };
            asked.iter().map(draw).collect()
        };
        let (all, some) = (numbers(&[true; 4]), numbers(&[false, true, false, true]));
        assert_eq!((all[1], all[3]), (some[1], some[3]));
        assert!(all.iter().all(|number| number.is_some_and(|number| (0.0..1.0).contains(&number))));
    }
}

//! How a model knows positions other than by plain rotation: `YaRN`'s mix of angles, learned vectors, slopes.
//!
//! Invariant: angles are those that llama.cpp turns by; a model that has none of these says nothing here.

use serde::{Deserialize, Serialize};

/// `YaRN` (Peng et al. 2023): fast hands turn as they were trained to, slow ones as if positions were scaled, those
/// between a mix; queries and keys are stretched a little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Yarn {
    /// How much of the mix is used, 0 to 1; 0 switches it off.
    pub mix: f32,
    /// What queries and keys are multiplied with, before the part that depends on the scale.
    pub stretch: f32,
    /// Hands that turn more often than this over the trained context keep their angles.
    pub fast: f32,
    /// Hands that turn less often than this have scaled ones.
    pub slow: f32,
    /// The context the model was trained on, tokens.
    pub trained: u32,
}

impl Yarn {
    /// Pairs of `dims` dimensions between which the mix goes from one end to the other.
    fn ramp(&self, dims: usize, base: f32) -> (f64, f64) {
        let pair = |turns: f32| {
            let length = f64::from(self.trained) / (f64::from(turns) * std::f64::consts::TAU);
            dims as f64 * length.ln() / (2.0 * f64::from(base).ln())
        };
        (pair(self.fast).floor().max(0.0), pair(self.slow).ceil().min(dims as f64 - 1.0))
    }

    /// What a pair's trained frequency is multiplied with, where positions are scaled by `scale`.
    #[must_use]
    pub fn factor(&self, pair: usize, dims: usize, base: f32, scale: f32) -> f64 {
        let scale = f64::from(scale);
        if self.mix == 0.0 {
            return scale;
        }
        let (low, high) = self.ramp(dims, base);
        let along = ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
        let trained = (1.0 - along) * f64::from(self.mix);
        scale * (1.0 - trained) + trained
    }

    /// What queries and keys are multiplied with.
    #[must_use]
    pub fn magnitude(&self, scale: f32) -> f32 {
        if self.mix == 0.0 { self.stretch } else { self.stretch * (1.0 + 0.1 * (1.0 / scale).ln()) }
    }
}

/// A learned position: a vector of its own, added to the token's embedding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LearnedPosition {
    /// Its length.
    pub norm: f32,
    /// How many positions have a vector.
    pub count: u32,
    /// The positions whose vectors point most alike, with the cosines, nearest first.
    pub nearest: Vec<(u32, f32)>,
    /// Its cosine with the vector of each position before it and with its own, by position from 0.
    #[serde(with = "super::floats")]
    pub cosines: Vec<f32>,
}

/// Slope of each head where scores fall with the distance (`ALiBi`, Press et al. 2022); `bias` is the model's largest.
#[must_use]
pub fn slopes(heads: u32, bias: f32) -> Vec<f32> {
    let power = if heads == 0 { 1 } else { 1_u32 << heads.ilog2() };
    let base = |bias: f32| 2.0_f32.powf(-bias / power as f32);
    let (first, rest) = (base(bias), base(bias / 2.0));
    (0..heads)
        .map(|head| {
            let step = if head < power { head + 1 } else { 2 * (head - power) + 1 };
            (if head < power { first } else { rest }).powi(step.cast_signed())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_paper() {
        let eight = slopes(8, 8.0);
        let expected = [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015_625, 0.007_812_5, 0.003_906_25];
        assert!(eight.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7), "{eight:?}");
        // Beyond a power of two every second slope of twice as many heads.
        let sixteen = slopes(16, 8.0);
        let twelve = slopes(12, 8.0);
        assert!(twelve[..8].iter().zip(&eight).all(|(a, b)| (a - b).abs() < 1e-7));
        assert!(
            twelve[8..].iter().zip(sixteen.iter().step_by(2)).all(|(a, b)| (a - b).abs() < 1e-7),
            "{twelve:?}"
        );
        assert!(slopes(0, 8.0).is_empty());
    }

    #[test]
    fn the_fastest_hand_stays_and_the_slowest_is_scaled() {
        let yarn = Yarn { mix: 1.0, stretch: 1.0, fast: 32.0, slow: 1.0, trained: 4096 };
        let factor = |pair| yarn.factor(pair, 128, 10_000.0, 0.25);
        assert!((factor(0) - 1.0).abs() < 1e-9 && (factor(63) - 0.25).abs() < 1e-9);
        assert!((1..64).all(|pair| factor(pair) <= factor(pair - 1)));
        // The paper's ramp for this model: pairs 20 to 46.
        assert!((factor(20) - 1.0).abs() < 1e-9 && factor(21) < 1.0);
        assert!((factor(46) - 0.25).abs() < 1e-9 && factor(45) > 0.25);
        assert!((yarn.magnitude(0.25) - 1.138_63).abs() < 1e-4);
        let off = Yarn { mix: 0.0, ..yarn };
        assert!((off.factor(5, 128, 10_000.0, 0.5) - 0.5).abs() < 1e-9);
    }
}

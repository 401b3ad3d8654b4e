//! What rotary position does to one query and one key (`RoPE`, Su et al. 2021).
//!
//! Invariant: given vectors are rotated as the model keeps them; a pair's part is scale · (q₁k₁ + q₂k₂), and the parts
//! add up to scale · q·k.

use super::position::Yarn;
use super::trace::PositionKind;

/// Distances that are told of, as far as they are known.
pub const DISTANCES: [u32; 19] =
    [0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024, 2048, 4096];

/// A query and a key as the model has them after rotation.
#[derive(Clone, Copy, Debug)]
pub struct Pairing<'a> {
    /// How dimensions are paired.
    pub kind: PositionKind,
    /// Radians a position of each pair; dimensions beyond them are not rotated.
    pub frequencies: &'a [f32],
    /// Factor on q·k.
    pub scale: f32,
    /// The query, and where it stands.
    pub query: (&'a [f32], u32),
    /// The key, and where it stands.
    pub key: (&'a [f32], u32),
}

impl Pairing<'_> {
    fn dims(&self, pair: usize) -> (usize, usize) {
        match self.kind {
            PositionKind::RopeNormal => (2 * pair, 2 * pair + 1),
            _ => (pair, pair + self.frequencies.len()),
        }
    }

    /// Product and cross product of a pair at the real distance.
    fn products(&self, pair: usize) -> (f64, f64) {
        let (x, y) = self.dims(pair);
        let of = |vector: &[f32], at: usize| f64::from(vector.get(at).copied().unwrap_or_default());
        let (qx, qy) = (of(self.query.0, x), of(self.query.0, y));
        let (kx, ky) = (of(self.key.0, x), of(self.key.0, y));
        (qx * kx + qy * ky, qy * kx - qx * ky)
    }

    /// A pair's part if the two stood `distance` positions apart: turning both alike changes nothing, so only the
    /// difference of the angles counts.
    fn at(&self, pair: usize, distance: f64) -> f64 {
        let real = f64::from(self.query.1) - f64::from(self.key.1);
        let turn = (distance - real) * f64::from(self.frequencies[pair]);
        let (dot, cross) = self.products(pair);
        f64::from(self.scale) * (dot * turn.cos() - cross * turn.sin())
    }

    /// Each pair's part of scale · q·k at the real distance.
    pub fn pairs(&self) -> Vec<f32> {
        (0..self.frequencies.len())
            .map(|pair| (f64::from(self.scale) * self.products(pair).0) as f32)
            .collect()
    }

    /// Each pair's part if both stood at the same position.
    pub fn unrotated(&self) -> Vec<f32> {
        (0..self.frequencies.len()).map(|pair| self.at(pair, 0.0) as f32).collect()
    }

    /// scale · q·k at every distance below `count`, other things equal.
    pub fn by_distance(&self, count: u32) -> Vec<f32> {
        let rotated = 2 * self.frequencies.len();
        let rest: f64 =
            self.query.0.iter().zip(self.key.0).skip(rotated).map(|(q, k)| f64::from(*q * *k)).sum();
        let rest = rest * f64::from(self.scale);
        (0..count)
            .map(|distance| {
                let sum: f64 =
                    (0..self.frequencies.len()).map(|pair| self.at(pair, f64::from(distance))).sum();
                (sum + rest) as f32
            })
            .collect()
    }
}

/// Radians a position of each pair of `dims` dimensions: scale · base^(−2i/dims), over the learned factors; `yarn` says
/// which pairs are scaled.
pub fn frequencies(dims: usize, base: f32, scale: f32, factors: &[f32], yarn: &Yarn) -> Vec<f32> {
    (0..dims / 2)
        .map(|pair| {
            let factor = factors.get(pair).copied().filter(|factor| *factor > 0.0).unwrap_or(1.0);
            let power = -2.0 * pair as f64 / dims.max(1) as f64;
            (yarn.factor(pair, dims, base, scale) * f64::from(base).powf(power) / f64::from(factor)) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rotates a vector as the model does.
    fn rotated(vector: &[f32], position: u32, frequencies: &[f32], kind: PositionKind) -> Vec<f32> {
        let mut out = vector.to_vec();
        let probe = Pairing { kind, frequencies, scale: 1.0, query: (&[], 0), key: (&[], 0) };
        for (pair, frequency) in frequencies.iter().enumerate() {
            let (x, y) = probe.dims(pair);
            let (sin, cos) = (position as f32 * frequency).sin_cos();
            out[x] = vector[x] * cos - vector[y] * sin;
            out[y] = vector[x] * sin + vector[y] * cos;
        }
        out
    }

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn another_distance_gives_what_rotating_anew_gives() {
        let (query, key) = ([0.3, -1.0, 0.7, 0.2, 0.5], [1.1, 0.4, -0.6, 0.9, -2.0]);
        let frequencies = frequencies(4, 100.0, 1.0, &[], &Yarn::default());
        for kind in [PositionKind::RopeNormal, PositionKind::RopeNeox] {
            let (q, k) = (rotated(&query, 9, &frequencies, kind), rotated(&key, 4, &frequencies, kind));
            let pairing =
                Pairing { kind, frequencies: &frequencies, scale: 0.5, query: (&q, 9), key: (&k, 4) };
            let by_distance = pairing.by_distance(10);
            for (distance, value) in by_distance.iter().enumerate() {
                let q = rotated(&query, 4 + distance as u32, &frequencies, kind);
                assert!((value - 0.5 * dot(&q, &k)).abs() < 1e-4, "{kind:?} {distance}");
            }
            let straight = 0.5 * dot(&query[..4], &key[..4]);
            assert!((pairing.unrotated().iter().sum::<f32>() - straight).abs() < 1e-4);
            let rest = 0.5 * query[4] * key[4];
            assert!((pairing.pairs().iter().sum::<f32>() + rest - by_distance[5]).abs() < 1e-4);
        }
    }

    #[test]
    fn the_first_pair_turns_fastest() {
        let frequencies = frequencies(64, 10_000.0, 1.0, &[], &Yarn::default());
        assert_eq!((frequencies.len(), frequencies[0]), (32, 1.0));
        assert!(frequencies.windows(2).all(|pair| pair[0] > pair[1]));
        assert!((super::frequencies(4, 100.0, 0.5, &[2.0, 1.0], &Yarn::default())[0] - 0.25).abs() < 1e-6);
    }
}

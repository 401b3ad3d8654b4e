//! Directions between two sets of residual streams: difference of means, and how well it tells them apart.
//!
//! Invariant: sums are taken in f64; a direction has length 1 or there is none.

use super::lens;

/// What lies between two sets of vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Between {
    /// d̂ = (mean of the one − mean of the other) ÷ its length.
    pub direction: Vec<f32>,
    /// ‖mean of the one − mean of the other‖.
    pub distance: f32,
    /// ‖mean‖ of each.
    pub norms: (f32, f32),
    /// Cosine between the means.
    pub cosine: f32,
    /// Difference of the mean projections on d̂ in units of the pooled standard deviation (d′); `None` where fewer
    /// than two vectors stand on either side, or nothing spreads.
    pub separation: Option<f32>,
}

/// The direction from the second set to the first; `None` where one is empty or both have one mean.
#[must_use]
pub fn between(towards: &[Vec<f32>], away: &[Vec<f32>]) -> Option<Between> {
    let (one, other) = (mean(towards)?, mean(away)?);
    if one.len() != other.len() {
        return None;
    }
    let distance = lens::distance(&one, &other);
    if !(distance > 0.0 && distance.is_finite()) {
        return None;
    }
    let direction: Vec<f32> = one.iter().zip(&other).map(|(a, b)| (a - b) / distance).collect();
    let norms = (lens::length(&one), lens::length(&other));
    let cosine =
        (lens::dot(&one, &other) / (f64::from(norms.0) * f64::from(norms.1)).max(f64::MIN_POSITIVE)) as f32;
    let separation = separation(towards, away, &direction);
    Some(Between { direction, distance, norms, cosine, separation })
}

/// A direction of length 1 that means nothing: every one is as likely as any other (Gaussian values, Box and Muller
/// 1958). The same seed gives the same one.
#[must_use]
pub fn random(width: usize, seed: u64) -> Vec<f32> {
    let mut source = fastrand::Rng::with_seed(seed);
    let mut gaussian = || {
        let (radius, turn) = (-2.0 * (1.0 - source.f64()).ln(), std::f64::consts::TAU * source.f64());
        (radius.sqrt() * turn.cos()) as f32
    };
    let values: Vec<f32> = (0..width).map(|_| gaussian()).collect();
    let length = lens::length(&values).max(f32::MIN_POSITIVE);
    values.into_iter().map(|value| value / length).collect()
}

/// Mean length of vectors; 0 of none.
#[must_use]
pub fn mean_length<'a>(vectors: impl Iterator<Item = &'a Vec<f32>>) -> f32 {
    let (count, sum) = vectors
        .fold((0_u32, 0.0_f64), |(count, sum), vector| (count + 1, sum + f64::from(lens::length(vector))));
    (sum / f64::from(count.max(1))) as f32
}

fn mean(vectors: &[Vec<f32>]) -> Option<Vec<f32>> {
    let mut sums = vec![0.0_f64; vectors.first()?.len()];
    for vector in vectors {
        sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let count = vectors.len() as f64;
    Some(sums.into_iter().map(|sum| (sum / count) as f32).collect())
}

fn separation(towards: &[Vec<f32>], away: &[Vec<f32>], direction: &[f32]) -> Option<f32> {
    let side = |vectors: &[Vec<f32>]| {
        let along: Vec<f64> = vectors.iter().map(|vector| lens::dot(vector, direction)).collect();
        let mean = along.iter().sum::<f64>() / along.len() as f64;
        let squares: f64 = along.iter().map(|value| (value - mean).powi(2)).sum();
        (mean, squares, along.len())
    };
    let ((one, a, n), (other, b, m)) = (side(towards), side(away));
    if n < 2 || m < 2 {
        return None;
    }
    let deviation = ((a + b) / (n + m - 2) as f64).sqrt();
    (deviation > 0.0).then(|| ((one - other) / deviation) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_direction_has_length_1_and_lies_across_another() {
        let (one, other) = (random(576, 1), random(576, 2));
        assert!((lens::length(&one) - 1.0).abs() < 1e-5 && one == random(576, 1));
        // The cosine of two has mean 0 and deviation 1/√576.
        assert!(lens::dot(&one, &other).abs() < 5.0 / 24.0);
    }

    #[test]
    fn the_direction_is_the_difference_of_the_means() {
        let towards = [vec![3.0, 1.0], vec![5.0, 1.0]];
        let away = [vec![1.0, 1.0], vec![-1.0, 1.0]];
        let found = between(&towards, &away).unwrap();
        assert_eq!(found.direction, [1.0, 0.0]);
        assert_eq!((found.distance, found.norms.1), (4.0, 1.0));
        // Means 4 and 0, both with a variance of 2.
        assert!((found.separation.unwrap() - 4.0 / 2.0_f32.sqrt()).abs() < 1e-6);
        assert!((found.cosine - 1.0 / 17.0_f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn where_nothing_lies_between_there_is_no_direction() {
        assert_eq!(between(&[], &[vec![1.0]]), None);
        assert_eq!(between(&[vec![1.0]], &[vec![1.0]]), None);
        assert_eq!(between(&[vec![1.0]], &[vec![0.0]]).unwrap().separation, None);
    }
}

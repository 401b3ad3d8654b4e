//! Arithmetic on rows of the embedding table: lengths, cosines, and a map of a few of them.
//!
//! Invariant: the same rows always give the same map, mirrored the same way; rows that do not differ lie on one
//! point, and a row without length has cosine 0 with everything.

/// Lanes that sums are kept in, so that the compiler can add them at once.
const LANES: usize = 16;
/// Steps after which a component is taken as it is. Two that are nearly as long as each other may then still be
/// mixed, which turns the map and changes no distance on it.
const STEPS: usize = 300;
/// A component with no more than this share of the variance is what rounding left.
const ROUNDING: f64 = 1e-6;

/// Rows on their first two principal components.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// A point a row, in units of the largest coordinate.
    pub points: Vec<(f32, f32)>,
    /// Share of the variance that each component has, 0 to 1.
    pub explained: (f32, f32),
}

/// Σ aᵢ bᵢ over the length of the shorter.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (a, a_rest) = a[..length].as_chunks::<LANES>();
    let (b, b_rest) = b[..length].as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    // Attention over a long chat does this a million times. It is indexed, since iterator calls that the compiler does not
    // inline cost several times the arithmetic; and no place in the sums hangs on a variable, which would keep them in memory
    // and cost as much again.
    for at in 0..length / LANES {
        for lane in 0..LANES {
            sums[lane] += a[at][lane] * b[at][lane];
        }
    }
    if !a_rest.is_empty() {
        let (a, b) = (padded(a_rest), padded(b_rest));
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let eight: [f32; LANES / 2] = std::array::from_fn(|at| sums[at] + sums[at + LANES / 2]);
    let four: [f32; LANES / 4] = std::array::from_fn(|at| eight[at] + eight[at + LANES / 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// The end of a row, with zeros behind it.
fn padded(rest: &[f32]) -> [f32; LANES] {
    let mut whole = [0.0; LANES];
    whole[..rest.len()].copy_from_slice(rest);
    whole
}

/// Euclidean length.
#[must_use]
pub fn norm(row: &[f32]) -> f32 {
    dot(row, row).sqrt()
}

/// Cosine of the angle between two vectors of which dot product and lengths are known.
#[must_use]
pub fn cosine(product: f32, one: f32, other: f32) -> f32 {
    if one > 0.0 && other > 0.0 { (product / one / other).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Cosines of each row with each, row by row. `rows` lie one after the other, each `length` long.
#[must_use]
pub fn cosines(rows: &[f32], length: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> = rows.chunks_exact(length.max(1)).collect();
    let norms: Vec<f32> = rows.iter().map(|row| norm(row)).collect();
    let mut out = Vec::with_capacity(rows.len() * rows.len());
    for (row, own) in rows.iter().zip(&norms) {
        out.extend(rows.iter().zip(&norms).map(|(other, norm)| cosine(dot(row, other), *own, *norm)));
    }
    out
}

/// Principal components of the rows about their mean. `rows` lie one after the other, each `length` long.
#[must_use]
pub fn map(rows: &[f32], length: usize) -> Map {
    let length = length.max(1);
    let count = rows.len() / length;
    let mut products = centred_products(rows, length, count);
    let variance: f64 = (0..count).map(|at| products[at * count + at]).sum();
    let size: f64 = rows.iter().map(|value| f64::from(*value).powi(2)).sum();
    if count == 0 || variance <= size * 1e-9 {
        return Map { points: vec![(0.0, 0.0); count], explained: (0.0, 0.0) };
    }
    let (first, first_share) = component(&mut products, count, variance * ROUNDING);
    let (second, second_share) = component(&mut products, count, variance * ROUNDING);
    let largest = first.iter().chain(&second).fold(0.0_f64, |most, value| most.max(value.abs()));
    let points =
        first.iter().zip(&second).map(|(x, y)| ((x / largest) as f32, (y / largest) as f32)).collect();
    let share = |part: f64| (part / variance).clamp(0.0, 1.0) as f32;
    Map { points, explained: (share(first_share), share(second_share)) }
}

/// A place on a map.
pub type Place = (f32, f32);

/// The points turned, and mirrored where that is nearer, so that they lie as near as can be to where some of them lay
/// before: `pairs` has such a point now and then (orthogonal Procrustes problem in the plane, Schönemann 1966).
pub(crate) fn turned(points: &[Place], pairs: &[(Place, Place)]) -> Vec<Place> {
    let count = pairs.len().max(1) as f32;
    let mean = |of: fn(&(Place, Place)) -> Place| {
        let sum = pairs.iter().map(of).fold((0.0, 0.0), |sum, at| (sum.0 + at.0, sum.1 + at.1));
        (sum.0 / count, sum.1 / count)
    };
    let (now, then) = (mean(|pair| pair.0), mean(|pair| pair.1));
    // Σ then · nowᵀ.
    let mut m = [0.0_f32; 4];
    for (a, b) in pairs {
        let (ax, ay) = (a.0 - now.0, a.1 - now.1);
        let (bx, by) = (b.0 - then.0, b.1 - then.1);
        m = [m[0] + bx * ax, m[1] + bx * ay, m[2] + by * ax, m[3] + by * ay];
    }
    let turn = (m[0] + m[3], m[2] - m[1]);
    let mirror = (m[0] - m[3], m[2] + m[1]);
    let (turn_fit, mirror_fit) = (turn.0.hypot(turn.1), mirror.0.hypot(mirror.1));
    let mirrored = mirror_fit > turn_fit * 1.000_1;
    let (fit, axis) = if mirrored { (mirror_fit, mirror) } else { (turn_fit, turn) };
    if !fit.is_finite() || fit <= 1e-12 {
        return points.to_vec();
    }
    let (cos, sin) = (axis.0 / fit, axis.1 / fit);
    let moved = |(x, y): &(f32, f32)| {
        if mirrored { (cos * x + sin * y, sin * x - cos * y) } else { (cos * x - sin * y, sin * x + cos * y) }
    };
    let turned: Vec<(f32, f32)> = points.iter().map(moved).collect();
    // A turned square reaches farther out; the largest coordinate stays the unit.
    let most = turned.iter().fold(0.0_f32, |most, (x, y)| most.max(x.abs()).max(y.abs()));
    let unit = if most > 1.0 { most } else { 1.0 };
    turned.into_iter().map(|(x, y)| (x / unit, y / unit)).collect()
}

/// Dot products of each row with each, their mean taken off; row by row.
fn centred_products(rows: &[f32], length: usize, count: usize) -> Vec<f64> {
    let mut mean = vec![0.0_f64; length];
    for row in rows.chunks_exact(length) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value) / count as f64);
    }
    let centred: Vec<f32> = rows
        .chunks_exact(length)
        .flat_map(|row| row.iter().zip(&mean).map(|(value, mean)| (f64::from(*value) - mean) as f32))
        .collect();
    let mut products = vec![0.0; count * count];
    for (at, row) in centred.chunks_exact(length).enumerate() {
        for (with, other) in centred.chunks_exact(length).enumerate().skip(at) {
            let product = f64::from(dot(row, other));
            products[at * count + with] = product;
            products[with * count + at] = product;
        }
    }
    products
}

/// The longest component of a symmetric matrix of products by power iteration: each row's coordinate on it, and its
/// variance. It is taken off the matrix. One with no more variance than `least` is none.
fn component(products: &mut [f64], count: usize, least: f64) -> (Vec<f64>, f64) {
    // Any start that no simple pattern of rows is perpendicular to.
    let mut axis: Vec<f64> = (0..count).map(|at| 1.0 + ((at as f64 + 1.0) * 1.618).sin()).collect();
    let mut variance = 0.0;
    for _ in 0..STEPS {
        let mut next: Vec<f64> = products
            .chunks_exact(count)
            .map(|row| row.iter().zip(&axis).map(|(product, value)| product * value).sum())
            .collect();
        variance = next.iter().map(|value| value * value).sum::<f64>().sqrt();
        if variance <= least {
            return (vec![0.0; count], 0.0);
        }
        for value in &mut next {
            *value /= variance;
        }
        let moved = next.iter().zip(&axis).map(|(new, old)| (new - old).abs()).fold(0.0, f64::max);
        axis = next;
        if moved < 1e-10 {
            break;
        }
    }
    for at in 0..count {
        for with in 0..count {
            products[at * count + with] -= variance * axis[at] * axis[with];
        }
    }
    let scale = variance.sqrt() * sign(&axis);
    (axis.into_iter().map(|value| value * scale).collect(), variance)
}

/// What makes the first of the farthest coordinates positive.
fn sign(axis: &[f64]) -> f64 {
    let farthest = axis.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let first = axis.iter().find(|value| value.abs() >= 0.999 * farthest);
    first.map_or(1.0, |value| value.signum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-4
    }

    #[test]
    fn a_dot_product_counts_what_fills_no_whole_lane() {
        let row: Vec<f32> = (1..=35).map(|value| value as f32).collect();
        assert!(close(dot(&row, &[1.0; 35]), 630.0));
        // Of rows of two lengths, the shorter one's: 1 + … + 20.
        assert!(close(dot(&row, &[1.0; 20]), 210.0) && close(dot(&[1.0; 20], &row), 210.0));
        assert!(close(norm(&[3.0, 4.0]), 5.0));
    }

    #[test]
    fn cosines_are_symmetric_and_one_with_oneself() {
        let found = cosines(&[1.0, 0.0, 1.0, 1.0, 0.0, 0.0], 2);
        let root = 0.5_f32.sqrt();
        for (found, wanted) in found.iter().zip([1.0, root, 0.0, root, 1.0, 0.0, 0.0, 0.0, 0.0]) {
            assert!(close(*found, wanted), "{found} {wanted}");
        }
        assert!(cosines(&[], 2).is_empty());
    }

    #[test]
    fn a_map_shows_a_plane_as_it_is() {
        // Along x twice as far as along y, z always the same.
        let rows = [4.0, 0.0, 7.0, -4.0, 0.0, 7.0, 0.0, 2.0, 7.0, 0.0, -2.0, 7.0];
        let map = map(&rows, 3);
        for (point, wanted) in map.points.iter().zip([(1.0, 0.0), (-1.0, 0.0), (0.0, 0.5), (0.0, -0.5)]) {
            assert!(close(point.0, wanted.0) && close(point.1, wanted.1), "{map:?}");
        }
        assert!(close(map.explained.0, 0.8) && close(map.explained.1, 0.2), "{map:?}");
    }

    #[test]
    fn mirrored_rows_keep_the_first_point_on_the_positive_side() {
        assert!(map(&[1.0, 2.0, -1.0, -2.0], 2).points[0].0 > 0.0);
        assert!(map(&[-1.0, -2.0, 1.0, 2.0], 2).points[0].0 > 0.0);
    }

    #[test]
    fn rows_that_do_not_differ_lie_on_one_point() {
        let same: Vec<f32> = [0.1_f32, 0.7, 1e3].repeat(7);
        let zeros = Map { points: vec![(0.0, 0.0); 7], explained: (0.0, 0.0) };
        assert_eq!(map(&same, 3), zeros);
        assert_eq!(map(&[], 3), Map::default());
        assert_eq!(map(&[1.0, 2.0], 2).points, [(0.0, 0.0)]);
    }

    #[test]
    fn a_map_is_turned_to_where_its_points_lay() {
        let before = [(1.0, 0.2), (-0.5, 0.8), (-0.4, -0.9), (0.1, 0.3)];
        let quarter = |(x, y): (f32, f32)| (-y, x);
        let mirrored = |(x, y): (f32, f32)| (-x, y);
        for moved in [quarter, mirrored, |at| at, |(x, y): (f32, f32)| (-x, -y)] {
            let now: Vec<(f32, f32)> = before.iter().map(|at| moved(*at)).collect();
            // The last point is new on the map.
            let pairs: Vec<_> = now.iter().copied().zip(before).take(3).collect();
            for (found, wanted) in turned(&now, &pairs).iter().zip(before) {
                assert!(close(found.0, wanted.0) && close(found.1, wanted.1), "{found:?} {wanted:?}");
            }
        }
        assert_eq!(turned(&before, &[]), before);
        assert!(turned(&[], &[]).is_empty());
    }

    #[test]
    fn a_line_has_one_component() {
        let map = map(&[0.0, 0.0, 1.0, 1.0, 3.0, 3.0], 2);
        assert!(close(map.explained.0, 1.0) && close(map.explained.1, 0.0), "{map:?}");
        assert!(map.points.iter().all(|point| close(point.1, 0.0)), "{map:?}");
    }
}

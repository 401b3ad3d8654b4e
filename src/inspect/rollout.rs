//! Attention rollout (Abnar & Zuidema 2020): how tokens are mixed from block to block.
//!
//! Invariant: every row adds up to 1 and reaches back only. It tells how attention mixes, not what causes what: it
//! leaves out what the values are, and the feed-forwards.

/// One block's part of it: half the mean of its heads, half the token itself. Rows `[token][position]`, each up to the
/// token's own position. Rows of models with a learned sink, which add up to less than 1, are first brought to 1.
pub fn with_residual(mean: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let row = |(at, row): (usize, &Vec<f32>)| {
        let sum: f32 = row.iter().sum();
        let part = if sum > 0.0 { 0.5 / sum } else { 0.0 };
        let mut mixed: Vec<f32> = row.iter().map(|weight| weight * part).collect();
        mixed.resize(at + 1, 0.0);
        mixed[at] += if sum > 0.0 { 0.5 } else { 1.0 };
        mixed
    };
    mean.iter().enumerate().map(row).collect()
}

/// The product `upper · lower` of two such triangles: what `upper`'s rows read, told in what `lower`'s rows read.
pub fn product(upper: &[Vec<f32>], lower: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let row = |(at, weights): (usize, &Vec<f32>)| {
        let mut sum = vec![0.0_f32; at + 1];
        for (weight, through) in weights.iter().zip(lower) {
            if *weight != 0.0 {
                sum.iter_mut().zip(through).for_each(|(sum, share)| *sum += weight * share);
            }
        }
        sum
    };
    upper.iter().enumerate().map(row).collect()
}

/// The rollout through all blocks, the first block first. Each holds the mean of its heads.
pub fn rollout<'a>(blocks: impl IntoIterator<Item = &'a [Vec<f32>]>) -> Vec<Vec<f32>> {
    let mut whole: Option<Vec<Vec<f32>>> = None;
    for block in blocks {
        let mixed = with_residual(block);
        whole = Some(match whole {
            None => mixed,
            Some(before) => product(&mixed, &before),
        });
    }
    whole.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[Vec<f32>], b: &[Vec<f32>]) {
        assert_eq!(a.iter().map(Vec::len).collect::<Vec<_>>(), b.iter().map(Vec::len).collect::<Vec<_>>());
        for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn two_blocks_by_hand() {
        let block = vec![vec![1.0], vec![1.0, 0.0]];
        // Â = [[1, 0], [½, ½]], and Â² = [[1, 0], [¾, ¼]].
        close(&rollout([block.as_slice()]), &[vec![1.0], vec![0.5, 0.5]]);
        close(&rollout([block.as_slice(), block.as_slice()]), &[vec![1.0], vec![0.75, 0.25]]);
        close(&rollout([]), &[]);
    }

    #[test]
    fn rows_add_up_to_one_also_where_a_sink_took_its_share() {
        let block =
            |sum: f32| -> Vec<Vec<f32>> { (0..7).map(|at| vec![sum / (at + 1) as f32; at + 1]).collect() };
        for row in rollout([block(0.6).as_slice(), block(0.0).as_slice(), block(1.0).as_slice()]) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
        }
    }
}

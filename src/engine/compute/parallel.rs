//! Arithmetic divided over the processor's threads.
//!
//! Invariant: answers come in the order of the work, whatever thread did which part; a piece of work must not panic.

use std::ops::Range;
use std::thread;

/// Threads at most; more would wait for memory alone.
const MAX_THREADS: usize = 16;
/// Multiplications that are worth a thread of their own: some ten times what starting it costs.
const WORTH: usize = 1 << 20;

/// What `some` gives of each share of `0..count`; shares are consecutive and as many as there are threads, or fewer.
pub(crate) fn shares<T: Send>(count: usize, some: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    divided(MAX_THREADS, count, some)
}

fn divided<T: Send>(most: usize, count: usize, some: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(most).max(1);
    let share = count.div_ceil(threads).max(1);
    let range = |first: usize| first..(first + share).min(count);
    if count <= share {
        return (0..count).step_by(share).map(|first| some(range(first))).collect();
    }
    thread::scope(|scope| {
        let some = &some;
        let parts: Vec<_> =
            (0..count).step_by(share).map(|first| scope.spawn(move || some(range(first)))).collect();
        parts.into_iter().map(|part| part.join().expect("arithmetic does not panic")).collect()
    })
}

/// What `one` gives of each of `0..count`.
pub(crate) fn each<T: Send>(count: usize, one: impl Fn(usize) -> T + Sync) -> Vec<T> {
    each_worth(usize::MAX, count, one)
}

/// As [`each`], on as many threads only as `work`, the multiplications of all together, is worth.
pub(crate) fn each_worth<T: Send>(work: usize, count: usize, one: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let most = (work / WORTH).clamp(1, MAX_THREADS);
    let parts = divided(most, count, |range| range.map(&one).collect::<Vec<_>>());
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_and_in_order() {
        for count in [0, 1, 2, 3, 17, 100] {
            let expected: Vec<usize> = (0..count).map(|at| 3 * at).collect();
            assert_eq!(each(count, |at| 3 * at), expected);
            for work in [0, WORTH, 3 * WORTH, usize::MAX] {
                assert_eq!(each_worth(work, count, |at| 3 * at), expected);
            }
            let ranges = shares(count, |range| range);
            assert!(ranges.len() <= MAX_THREADS && ranges.iter().all(|range| !range.is_empty()));
            assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        }
    }
}

//! How a text longer than the context is read: in windows that overlap, so that every token has a past.
//!
//! Invariant: every token but the first is scored by exactly one window.

/// A stretch of the text that is read together; indices of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first that is read.
    pub start: usize,
    /// The first that is scored.
    pub from: usize,
    /// Behind the last.
    pub end: usize,
}

/// The windows for a text. Those after the first leave room for the token that begins every text, if there is
/// one; each scores `stride` tokens more.
pub fn windows(tokens: usize, begin: bool, context: usize, stride: usize) -> Vec<Window> {
    let room = context - usize::from(begin);
    let mut all = vec![Window { start: 0, from: 1, end: tokens.min(context) }];
    let mut from = tokens.min(context);
    while from < tokens {
        let end = (from + stride).min(tokens);
        all.push(Window { start: end - room, from, end });
        from = end;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_that_fits_is_read_at_once() {
        assert_eq!(windows(100, true, 100, 50), [Window { start: 0, from: 1, end: 100 }]);
    }

    #[test]
    fn windows_overlap_by_what_the_stride_leaves() {
        let expected = [
            Window { start: 0, from: 1, end: 10 },
            Window { start: 5, from: 10, end: 15 },
            Window { start: 7, from: 15, end: 17 },
        ];
        assert_eq!(windows(17, false, 10, 5), expected);
    }

    proptest! {
        #[test]
        fn every_token_is_scored_once_with_enough_before_it(
            tokens in 1_usize..3000, begin: bool, context in 4_usize..300, share in 0.0_f64..1.0,
        ) {
            let room = context - usize::from(begin);
            let stride = ((room - 1) as f64 * share) as usize + usize::from(share == 0.0);
            let stride = stride.clamp(1, room - 1);
            let mut next = 1;
            for (index, window) in windows(tokens, begin, context, stride).into_iter().enumerate() {
                prop_assert_eq!(window.from, next);
                prop_assert!(window.end <= tokens && window.start < window.end);
                let most = if index == 0 { context } else { room };
                prop_assert!(window.end - window.start <= most);
                prop_assert!(index == 0 || window.from - window.start >= room - stride);
                next = window.end.max(1);
            }
            prop_assert_eq!(next, tokens.max(1));
        }
    }
}

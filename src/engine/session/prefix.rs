//! What lies in the cache: which tokens, read under which changes.
//!
//! Invariant: a prefix that was read under other changes is worth nothing.

use crate::chat::Intervention;
use crate::token::TokenId;

/// What a cached prefix is known by: its tokens and what was changed in the network while they were read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Prefix {
    pub(super) ids: Vec<TokenId>,
    pub(super) interventions: Vec<Intervention>,
}

impl Prefix {
    /// How many of the prompt's tokens need not be decoded again. Always fewer than all: the last token's
    /// logits are wanted.
    pub(super) fn common(&self, prompt: &[TokenId], interventions: &[Intervention]) -> usize {
        if self.interventions != interventions {
            return 0;
        }
        let equal = self.ids.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        equal.min(prompt.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(ids: &[i32]) -> Prefix {
        Prefix { ids: ids.iter().copied().map(TokenId).collect(), interventions: Vec::new() }
    }

    fn check(cached: &[i32], prompt: &[i32], expected: usize) {
        let prompt: Vec<TokenId> = prompt.iter().copied().map(TokenId).collect();
        assert_eq!(prefix(cached).common(&prompt, &[]), expected, "{cached:?} {prompt:?}");
    }

    #[test]
    fn the_longest_common_prefix_is_kept_but_never_the_whole_prompt() {
        check(&[], &[1, 2], 0);
        check(&[1, 2, 3], &[1, 2, 4, 5], 2);
        check(&[1, 2], &[1, 2, 3], 2);
        check(&[1, 2, 3, 4], &[1, 2, 3], 2);
        check(&[1], &[1], 0);
        check(&[1], &[], 0);
    }

    #[test]
    fn a_prefix_read_under_other_interventions_is_worth_nothing() {
        let cached = prefix(&[1, 2, 3]);
        let changed = [Intervention::ZeroFfn { layer: 3 }];
        assert_eq!(cached.common(&[TokenId(1), TokenId(2), TokenId(9)], &changed), 0);
    }
}

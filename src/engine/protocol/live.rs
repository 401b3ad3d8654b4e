//! What is opened of each token while a reply is written, and what came of it.
//!
//! Invariant: a pass is opened with what its own decoding showed, nothing is decoded twice; which tokens are followed
//! is filled in for each pass, since they are known only when its token is drawn.

use serde::{Deserialize, Serialize};

use super::{Inspected, Want};
use crate::token::TokenId;

/// What the open station shows of the tokens that are being written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// What of each pass is opened. Its tokens are those of each pass: [`Live::of`] fills them in.
    pub want: Want,
    /// Whether the drawn token is attributed against its rival.
    pub attribution: bool,
    /// Position's part in this block and query head, held against the position before.
    #[serde(default)]
    pub rotation: Option<(u32, u32)>,
    /// The token that every drawn one is held against; the likeliest other one without.
    #[serde(default)]
    pub rival: Option<TokenId>,
    /// The share of the time that decoding takes which looking may take on top, 0 to 1. A reply that goes token by
    /// token is looked at at each of them.
    pub budget: f32,
}

impl Live {
    /// Whether nothing is opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let want = &self.want;
        let blocks = want.attention.is_empty() && want.ffn.is_empty();
        !want.lens && !want.overview && blocks && !self.attribution && self.rotation.is_none()
    }

    /// What is opened of the pass that chose `token`, at `position`; `next` is the likeliest other token.
    #[must_use]
    pub fn of(&self, token: TokenId, next: Option<TokenId>, position: u32) -> Want {
        let rival = self.rival.filter(|rival| *rival != token).or(next);
        Want {
            follow: std::iter::once(token).chain(rival).collect(),
            attribution: rival.filter(|_| self.attribution).map(|rival| (token, rival)),
            rotation: self.rotation.map(|(layer, head)| (layer, head, position.saturating_sub(1))),
            ..self.want.clone()
        }
    }
}

/// The pass that chose a token, opened while the reply is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveInside {
    /// What the pass did.
    pub seen: Inspected,
    /// What a look costs beyond plain decoding, opening and sending it included: the mean of the last ones, ms.
    pub ms: f32,
    /// Every how many tokens the engine looks, so that the budget holds.
    pub every: u32,
}

/// Every how many tokens a look that costs `look` fits into a share of the time that plain decoding takes, `decode` a
/// token, both in ms.
#[must_use]
pub fn every(look: f32, decode: f32, budget: f32) -> u32 {
    let allowed = decode * budget.clamp(0.01, 1.0);
    if !(look > allowed && allowed > 0.0) {
        return 1;
    }
    // Nobody waits for a look that never comes.
    (look / allowed).ceil().min(64.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dear_look_comes_less_often() {
        assert_eq!(every(1.0, 6.0, 0.25), 1);
        assert_eq!(every(1.5, 6.0, 0.25), 1);
        assert_eq!(every(1.6, 6.0, 0.25), 2);
        assert_eq!(every(15.0, 6.0, 0.25), 10);
        assert_eq!(every(60.0, 12.0, 1.0), 5);
        assert_eq!(every(9999.0, 6.0, 0.0), 64);
        assert_eq!(every(5.0, 0.0, 0.25), 1);
    }

    #[test]
    fn each_pass_follows_its_own_tokens() {
        let live = Live { attribution: true, rotation: Some((2, 3)), ..Live::default() };
        assert!(!live.is_empty() && Live::default().is_empty());
        let want = live.of(TokenId(5), Some(TokenId(9)), 7);
        assert_eq!(want.follow, [TokenId(5), TokenId(9)]);
        assert_eq!(want.attribution, Some((TokenId(5), TokenId(9))));
        assert_eq!(want.rotation, Some((2, 3, 6)));
        let against = Live { rival: Some(TokenId(1)), ..live };
        assert_eq!(against.of(TokenId(5), Some(TokenId(9)), 0).follow, [TokenId(5), TokenId(1)]);
        assert_eq!(against.of(TokenId(1), Some(TokenId(9)), 0).attribution, Some((TokenId(1), TokenId(9))));
    }
}

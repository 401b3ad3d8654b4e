//! A made-up softmax over the whole made-up vocabulary.
//!
//! Invariant: the distribution follows from the ids that were read and from nothing else.

use super::super::hash::{bell, mix};
use super::super::vocabulary::token;
use super::Reading;
use crate::inspect::distribution::Distribution;
use crate::token::{TokenId, TokenKind};

/// What comes after the tokens read. Mostly the scripted token is the likeliest, now and then the second to
/// fifth, rarely one far down; the end of a text is always certain.
pub(in super::super) fn distribution(reading: &Reading) -> Distribution {
    let mut logits = noise(reading);
    let favoured = reading.favoured();
    let mut sorted = logits.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let key = mix(reading.key());
    let spread = (key >> 8) as f32 % 100.0 / 100.0;
    let mut share = 1.0;
    for (place, id) in favoured.iter().enumerate() {
        logits[id.0 as usize] = match luck(reading) {
            Luck::Likeliest => sorted[0] + 0.2 + 5.0 * spread * share,
            Luck::Near => sorted[1 + (key as usize >> 16) % 3 + place] + 0.01,
            Luck::Far => sorted[22 + (key as usize >> 16) % 8 + place],
        };
        share *= 0.8;
    }
    Distribution::new(logits).expect("made-up logits are finite")
}

/// The token that the model prefers to its script where it is about to slip; `None` elsewhere.
pub(super) fn slip(reading: &Reading) -> Option<TokenId> {
    if luck(reading) == Luck::Likeliest {
        return None;
    }
    distribution(reading).order().first().copied()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Luck {
    Likeliest,
    Near,
    Far,
}

fn luck(reading: &Reading) -> Luck {
    let favoured = reading.favoured();
    match mix(reading.key()) % 100 {
        _ if favoured.is_empty() || favoured.contains(&reading.end()) => Luck::Likeliest,
        0..70 => Luck::Likeliest,
        70..97 => Luck::Near,
        _ => Luck::Far,
    }
}

/// Marks are all but ruled out, single bytes are rare.
fn noise(reading: &Reading) -> Vec<f32> {
    let vocabulary = &reading.pieces().vocabulary;
    let logit = |index: usize| {
        let logit = 4.0 * bell(mix(reading.key() ^ ((index as u64) << 20)));
        match vocabulary.kind(token(index)) {
            TokenKind::Control => logit - 10.0,
            TokenKind::Byte => logit - 3.0,
            _ => logit,
        }
    };
    (0..vocabulary.len()).map(logit).collect()
}

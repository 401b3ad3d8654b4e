//! Numbers that look like chance and are not.
//!
//! Invariant: the same key gives the same number, on every machine.

/// `SplitMix64` (Steele, Lea and Flood 2014).
pub(super) fn mix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number around 0, −1 to 1, for a key and a place: four uniform ones added up, so that a few are large.
pub(super) fn bell(key: u64, place: usize) -> f32 {
    let key = mix(key ^ ((place as u64) << 20));
    (0..4).map(|part| ((key >> (16 * part)) & 0xffff) as f32 / 65_535.0).sum::<f32>() / 2.0 - 1.0
}

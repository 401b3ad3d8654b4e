//! Steps as compact bytes: about 95 bytes a token with 20 candidates.
//!
//! Invariant: ids, bytes, ranks, and the drawn token's log-probability and entropy come back exactly; a
//! candidate's log-probability within 0.001 nats (exactly where it equals the drawn token's), milliseconds
//! within 0.005. The first byte of a stretch is the format, so that a later one can live beside it.

use crate::token::{Candidate, Step, TokenId, TokenKind, Vocabulary};

const FORMAT: u8 = 1;
/// Candidates' log-probabilities are kept in 512ths of a nat.
const GRID: f32 = 512.0;
/// Milliseconds are kept in hundredths.
const TICKS: f64 = 100.0;

const HAS_ID: u8 = 1;
/// The candidates' log-probabilities are whole floats, since one does not fit the grid.
const FLOATS: u8 = 2;
/// The drawn token is among the candidates with its own log-probability.
const SHARED: u8 = 4;
/// The milliseconds are a whole float.
const FLOAT_MS: u8 = 8;

/// Packs steps; [`unpack`] gives them back.
pub(super) fn pack<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<u8> {
    let steps = steps.into_iter();
    let mut out = Vec::with_capacity(1 + steps.size_hint().0 * 100);
    out.push(FORMAT);
    for step in steps {
        pack_step(step, &mut out);
    }
    out
}

/// The steps of a packed stretch; of a damaged one those before the damage.
pub(super) fn unpack(data: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = Bytes(data);
    if rest.byte() != Some(FORMAT) {
        return steps;
    }
    while !rest.0.is_empty() {
        let Some(step) = unpack_step(&mut rest) else { break };
        steps.push(step);
    }
    steps
}

fn pack_step(step: &Step, out: &mut Vec<u8>) {
    let on_grid = |value: f32| value.is_finite() && value.abs() < 1e6;
    let floats = !step.candidates.iter().all(|candidate| on_grid(candidate.logprob));
    let shared =
        step.chosen_index().is_some_and(|at| step.candidates[at].logprob.to_bits() == step.logprob.to_bits());
    // Beyond ten seconds a float is coarser than what ticks promise: kept as it is.
    let float_ms = !(0.0..1e4).contains(&step.ms);
    let mut flags = 0;
    for (set, flag) in [(step.id.is_some(), HAS_ID), (floats, FLOATS), (shared, SHARED), (float_ms, FLOAT_MS)]
    {
        if set {
            flags |= flag;
        }
    }
    out.push(flags);
    if let Some(id) = step.id {
        push_varint(out, zigzag(i64::from(id.0)));
    }
    push_varint(out, step.bytes.len() as u64);
    out.extend_from_slice(&step.bytes);
    out.extend_from_slice(&step.logprob.to_le_bytes());
    out.extend_from_slice(&step.entropy.to_le_bytes());
    push_varint(out, u64::from(step.rank));
    if float_ms {
        out.extend_from_slice(&step.ms.to_le_bytes());
    } else {
        push_varint(out, (f64::from(step.ms) * TICKS).round() as u64);
    }
    push_varint(out, u64::from(step.survivors));
    push_varint(out, step.candidates.len() as u64);
    if !step.candidates.is_empty() {
        push_ids(out, &step.candidates);
    }
    let mut last = 0;
    for candidate in &step.candidates {
        if floats {
            out.extend_from_slice(&candidate.logprob.to_le_bytes());
        } else {
            let now = (candidate.logprob * GRID).round() as i64;
            push_varint(out, zigzag(last - now));
            last = now;
        }
    }
}

fn unpack_step(rest: &mut Bytes) -> Option<Step> {
    let flags = rest.byte()?;
    let id = if flags & HAS_ID == 0 { None } else { Some(rest.id()?) };
    let size = usize::try_from(rest.varint()?).ok()?;
    let bytes = rest.take(size)?.to_vec();
    let logprob = rest.float()?;
    let entropy = rest.float()?;
    let rank = u32::try_from(rest.varint()?).ok()?;
    let ms = if flags & FLOAT_MS == 0 { (rest.varint()? as f64 / TICKS) as f32 } else { rest.float()? };
    let survivors = u32::try_from(rest.varint()?).ok()?;
    let count = usize::try_from(rest.varint()?).ok()?;
    let mut candidates = if count == 0 { Vec::new() } else { rest.ids(count)? };
    let mut last = 0;
    for candidate in &mut candidates {
        candidate.logprob = if flags & FLOATS == 0 {
            last -= unzigzag(rest.varint()?);
            last as f32 / GRID
        } else {
            rest.float()?
        };
    }
    let mut step = Step { id, bytes, logprob, rank, entropy, candidates, ms, survivors };
    if flags & SHARED != 0
        && let Some(at) = step.chosen_index()
    {
        step.candidates[at].logprob = logprob;
    }
    Some(step)
}

/// Ids in as many bits each as the largest needs: they are in no order that a difference could use.
fn push_ids(out: &mut Vec<u8>, candidates: &[Candidate]) {
    let all = candidates.iter().fold(0, |bits, candidate| bits | candidate.id.0.cast_unsigned());
    let width = 32 - all.leading_zeros();
    out.push(width as u8);
    let (mut held, mut filled) = (0_u64, 0);
    for candidate in candidates {
        held |= u64::from(candidate.id.0.cast_unsigned()) << filled;
        filled += width;
        while filled >= 8 {
            out.push(held as u8);
            held >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(held as u8);
    }
}

/// Ids of a run's prompt.
pub(super) fn pack_ids(ids: &[TokenId]) -> Vec<u8> {
    let mut out = Vec::with_capacity(ids.len() * 3);
    for id in ids {
        push_varint(&mut out, zigzag(i64::from(id.0)));
    }
    out
}

/// The ids of [`pack_ids`].
pub(super) fn unpack_ids(data: &[u8]) -> Vec<TokenId> {
    let mut rest = Bytes(data);
    std::iter::from_fn(|| rest.id()).collect()
}

/// Where scored tokens stand: first byte and size in the text, index in the prompt.
pub(super) fn pack_places(tokens: &[(usize, usize, usize, Step)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(tokens.len() * 4);
    for (start, end, index, _) in tokens {
        for number in [*start, end.saturating_sub(*start), *index] {
            push_varint(&mut out, number as u64);
        }
    }
    out
}

/// The tokens of [`pack_places`] with their packed steps; of damaged ones those before the damage.
pub(super) fn unpack_scored(places: &[u8], steps: &[u8]) -> Vec<(usize, usize, usize, Step)> {
    let mut rest = Bytes(places);
    let mut number = || usize::try_from(rest.varint()?).ok();
    let scored = unpack(steps).into_iter().map_while(|step| {
        let (start, size, index) = (number()?, number()?, number()?);
        Some((start, start.checked_add(size)?, index, step))
    });
    scored.collect()
}

/// Sizes and kinds of a vocabulary's entries.
pub(super) fn pack_entries(vocabulary: &Vocabulary) -> (Vec<u8>, Vec<u8>) {
    let mut sizes = Vec::with_capacity(vocabulary.len());
    let mut start = 0;
    for &end in &vocabulary.ends {
        push_varint(&mut sizes, u64::from(end.saturating_sub(start)));
        start = end;
    }
    (sizes, vocabulary.kinds.iter().map(|&kind| kind as u8).collect())
}

/// A kind by its number.
pub(super) fn kind(number: u8) -> TokenKind {
    const KINDS: [TokenKind; 5] =
        [TokenKind::Normal, TokenKind::Control, TokenKind::Byte, TokenKind::UserDefined, TokenKind::Unused];
    KINDS.get(usize::from(number)).copied().unwrap_or_default()
}

/// A vocabulary from its parts.
pub(super) fn unpack_vocabulary(hash: String, blob: Vec<u8>, sizes: &[u8], kinds: &[u8]) -> Vocabulary {
    let mut rest = Bytes(sizes);
    let mut end = 0_u32;
    let ends = std::iter::from_fn(|| {
        end = end.saturating_add(u32::try_from(rest.varint()?).ok()?);
        Some(end)
    })
    .collect();
    let kinds = kinds.iter().map(|&number| kind(number)).collect();
    Vocabulary { hash, blob, ends, kinds, ..Vocabulary::default() }
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// What is still to be read; every read is `None` past the end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn float(&mut self) -> Option<f32> {
        self.take(4)?.try_into().ok().map(f32::from_le_bytes)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn id(&mut self) -> Option<TokenId> {
        i32::try_from(unzigzag(self.varint()?)).ok().map(TokenId)
    }

    fn ids(&mut self, count: usize) -> Option<Vec<Candidate>> {
        let width = usize::from(self.byte()?);
        if width > 32 || count > 1 << 20 {
            return None;
        }
        let mut bytes = self.take((count * width).div_ceil(8))?.iter();
        let (mut held, mut filled) = (0_u64, 0);
        let mut candidates = Vec::with_capacity(count);
        for _ in 0..count {
            while filled < width {
                held |= u64::from(*bytes.next()?) << filled;
                filled += 8;
            }
            let id = TokenId(((held & ((1 << width) - 1)) as u32).cast_signed());
            held >>= width;
            filled -= width;
            candidates.push(Candidate { id, logprob: 0.0 });
        }
        Some(candidates)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step() -> impl Strategy<Value = Step> {
        let logprob = prop_oneof![20 => -60.0_f32..0.0, 1 => Just(f32::NEG_INFINITY), 1 => Just(-3e7), 1 => 0.0_f32..2.0];
        (
            proptest::option::of(any::<i32>()),
            proptest::collection::vec(any::<u8>(), 0..9),
            logprob.clone(),
            any::<u32>(),
            0.0_f32..14.0,
            proptest::collection::vec((0_i32..300_000, logprob), 0..24),
            prop_oneof![9 => 0.0_f32..5000.0, 1 => -1.0_f32..1e8],
            any::<u32>(),
        )
            .prop_map(|(id, bytes, logprob, rank, entropy, candidates, ms, survivors)| Step {
                id: id.map(TokenId),
                bytes,
                logprob,
                rank,
                entropy,
                candidates: candidates
                    .into_iter()
                    .map(|(id, logprob)| Candidate { id: TokenId(id), logprob })
                    .collect(),
                ms,
                survivors,
            })
    }

    fn near(left: f32, right: f32, within: f32) -> bool {
        left.to_bits() == right.to_bits() || (left - right).abs() <= within
    }

    proptest! {
        #[test]
        fn steps_come_back_within_the_stated_precision(steps in proptest::collection::vec(step(), 0..6)) {
            let back = unpack(&pack(&steps));
            prop_assert_eq!(back.len(), steps.len());
            for (kept, given) in back.iter().zip(&steps) {
                prop_assert!(near(kept.ms, given.ms, 0.006));
                for (a, b) in kept.candidates.iter().zip(&given.candidates) {
                    prop_assert_eq!(a.id, b.id);
                    prop_assert!(near(a.logprob, b.logprob, 0.001), "{} {}", a.logprob, b.logprob);
                }
                let exact = Step { ms: given.ms, candidates: given.candidates.clone(), ..kept.clone() };
                prop_assert_eq!(&exact, given);
                prop_assert_eq!(kept.candidates.len(), given.candidates.len());
            }
        }

        #[test]
        fn any_bytes_unpack_without_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut data = data;
            data.insert(0, FORMAT);
            unpack(&data);
            unpack_ids(&data);
        }

        #[test]
        fn prompt_ids_come_back(ids in proptest::collection::vec(any::<i32>(), 0..50)) {
            let ids: Vec<TokenId> = ids.into_iter().map(TokenId).collect();
            prop_assert_eq!(unpack_ids(&pack_ids(&ids)), ids);
        }
    }

    #[test]
    fn the_drawn_token_among_the_candidates_keeps_its_exact_probability() {
        let chosen = Candidate { id: TokenId(7), logprob: -0.123_456_7 };
        let given = Step {
            id: Some(TokenId(7)),
            logprob: chosen.logprob,
            candidates: vec![chosen],
            ..Step::default()
        };
        assert_eq!(unpack(&pack(std::slice::from_ref(&given))), [given]);
    }

    #[test]
    fn a_token_with_20_candidates_takes_at_most_110_bytes() {
        for vocabulary in [49_152, 262_144] {
            let steps: Vec<Step> =
                (0..100).map(|n| super::super::tests::like_a_model(n, vocabulary)).collect();
            let bytes = pack(&steps).len() as f64 / 100.0;
            assert!(bytes < 110.0, "{bytes} bytes a token with {vocabulary} entries");
        }
    }

    #[test]
    fn what_a_server_did_not_say_comes_back_unsaid() {
        let stand_in = |id: i32, logprob| Candidate { id: TokenId(id), logprob };
        let step = Step {
            id: Some(TokenId(-310_482_891)),
            bytes: b"a".to_vec(),
            logprob: f32::NAN,
            rank: 0,
            entropy: f32::NAN,
            candidates: vec![stand_in(i32::MIN, -0.5), stand_in(-1, f32::NAN), stand_in(i32::MAX, -2.0)],
            ..Step::default()
        };
        let back = unpack(&pack([&step]));
        let ids = |step: &Step| step.candidates.iter().map(|candidate| candidate.id).collect::<Vec<_>>();
        assert_eq!((back[0].id, back[0].rank, ids(&back[0])), (step.id, 0, ids(&step)));
        assert!(back[0].logprob.is_nan() && back[0].entropy.is_nan());
        let logprobs: Vec<f32> = back[0].candidates.iter().map(|candidate| candidate.logprob).collect();
        assert!(logprobs[1].is_nan(), "{logprobs:?}");
        assert_eq!(
            [logprobs[0].to_bits(), logprobs[2].to_bits()],
            [(-0.5_f32).to_bits(), (-2.0_f32).to_bits()]
        );
    }

    #[test]
    fn a_vocabulary_comes_back_whole() {
        let mut given = Vocabulary { hash: "h".to_owned(), ..Vocabulary::default() };
        given.push(b"<|im_end|>", TokenKind::Control);
        given.push(b"", TokenKind::Unused);
        given.push(&[0xe2], TokenKind::Byte);
        given.push("wörld".as_bytes(), TokenKind::UserDefined);
        let (sizes, kinds) = pack_entries(&given);
        assert_eq!(unpack_vocabulary("h".to_owned(), given.blob.clone(), &sizes, &kinds), given);
    }
}

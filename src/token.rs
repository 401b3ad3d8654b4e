//! Tokens and the numbers of one generation step. Plain data: no IO, no engine types.
//!
//! Invariant: every probability here is over the **whole** vocabulary and **before** any sampler;
//! natural logarithms, nats. A token is found by its id, never by its text or its probability.
//!
//! A server tells less than a model that runs here: what it did not say is NaN (log-probability, entropy) or 0 (rank),
//! never a guess; and a token whose id it did not say has a **stand-in**, a negative id by which only its text is found
//! ([`TokenId::is_stand_in`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A token's id. It means something only under one vocabulary (see [`Vocabulary::hash`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub i32);

impl TokenId {
    /// Whether this is not the model's own id, which is not known, but stands in for it: a place in the vocabulary's
    /// [`Vocabulary::learned`]. It cannot be given to a model.
    #[must_use]
    pub fn is_stand_in(self) -> bool {
        self.0 < 0
    }

    /// The model's own id as a number; `None` where it is not known.
    #[must_use]
    pub fn number(self) -> Option<i32> {
        (!self.is_stand_in()).then_some(self.0)
    }
}

/// How much of the distribution comes with each token; before the samplers, of the whole vocabulary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Odds {
    /// As many candidates as are asked for, with entropy and rank over the whole vocabulary.
    #[default]
    Whole,
    /// The likeliest ones, so many at most; nothing over the whole vocabulary.
    Top(u32),
    /// The same, but after the server's own samplers: not the model's odds.
    TopAfterSampling(u32),
    /// None.
    None,
}

impl Odds {
    /// How many candidates come at most, where not all do.
    #[must_use]
    pub fn most(self) -> Option<u32> {
        match self {
            Self::Whole => None,
            Self::Top(most) | Self::TopAfterSampling(most) => Some(most),
            Self::None => Some(0),
        }
    }

    /// Whether they are after samplers already.
    #[must_use]
    pub fn are_sampled(self) -> bool {
        matches!(self, Self::TopAfterSampling(_))
    }

    /// What stands beside figures that are of a part of the vocabulary alone, or after samplers; `None` where neither
    /// is so.
    #[must_use]
    pub fn mark(self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::Top(most) => Some(format!("top {most} only")),
            Self::TopAfterSampling(most) => Some(format!("top {most}, after samplers")),
            Self::None => Some("no odds came".to_owned()),
        }
    }
}

/// The text in bytes, without those that belong to no character: what is left of one where a reply was cut inside it.
#[must_use]
pub fn whole_characters(bytes: &[u8]) -> String {
    bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()
}

/// The sign that `SentencePiece` spells a blank with. One that stands in a text comes back as a blank.
pub const BLANK_SIGN: char = '▁';

/// What is said of a text that holds [`BLANK_SIGN`] itself, where the vocabulary spells blanks with it.
pub const SIGNS_ARE_BLANKS: &str =
    "this vocabulary spells blanks with ▁, so the text's own ▁ are blanks to the model: their bytes differ";

/// A text as a vocabulary gives it back that spells blanks with [`BLANK_SIGN`], and for each of its bytes, and its end,
/// the place in the text.
#[must_use]
pub fn with_blanks(text: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut spelt, mut places) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
    let mut at = 0;
    while at < text.len() {
        let is_sign = starts_with_sign(&text[at..]);
        spelt.push(if is_sign { b' ' } else { text[at] });
        places.push(at);
        at += if is_sign { BLANK_SIGN.len_utf8() } else { 1 };
    }
    places.push(at);
    (spelt, places)
}

/// Where in a text a token with these bytes ends that begins at a place of it.
#[must_use]
pub fn end_of(text: &[u8], at: usize, bytes: &[u8]) -> usize {
    bytes.iter().fold(at, |at, byte| {
        let is_sign = *byte == b' ' && text.get(at..).is_some_and(starts_with_sign);
        at + if is_sign { BLANK_SIGN.len_utf8() } else { 1 }
    })
}

fn starts_with_sign(text: &[u8]) -> bool {
    text.starts_with(BLANK_SIGN.encode_utf8(&mut [0; 4]).as_bytes())
}

/// One token that could have come, with its probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The token.
    pub id: TokenId,
    /// ln p over the whole vocabulary, before the samplers.
    pub logprob: f32,
}

/// One token of a generated stretch, and the distribution it was drawn from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The token; `None` only where a server sends text that is not cut into tokens.
    pub id: Option<TokenId>,
    /// The token's raw bytes: possibly part of a character, empty for a control token.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// ln p of the token, nats, over the whole vocabulary, before the samplers; NaN where a server did not say it.
    pub logprob: f32,
    /// 1 + how many tokens had a larger logit; 0 where that is not known.
    pub rank: u32,
    /// Entropy of the whole distribution, nats; NaN where that is not known.
    pub entropy: f32,
    /// The likeliest tokens, most likely first. The drawn token is among them only if it ranks there.
    pub candidates: Vec<Candidate>,
    /// Milliseconds from the previous token to this one.
    pub ms: f32,
    /// How many tokens the samplers left to draw from; 0 when not recorded.
    #[serde(default)]
    pub survivors: u32,
}

impl Step {
    /// −log₂ p of the drawn token, bits.
    #[must_use]
    pub fn surprisal_bits(&self) -> f32 {
        -self.logprob / std::f32::consts::LN_2
    }

    /// Entropy in bits.
    #[must_use]
    pub fn entropy_bits(&self) -> f32 {
        self.entropy / std::f32::consts::LN_2
    }

    /// Probability that lies outside the first so many candidates, 0 to 1; NaN where there is no candidate.
    #[must_use]
    pub fn outside(&self, first: usize) -> f64 {
        if self.candidates.is_empty() {
            return f64::NAN;
        }
        let listed = self.candidates.iter().take(first).map(|c| f64::from(c.logprob).exp());
        (1.0 - listed.sum::<f64>()).clamp(0.0, 1.0)
    }

    /// Whether the drawn token is among the listed candidates, and where.
    #[must_use]
    pub fn chosen_index(&self) -> Option<usize> {
        let id = self.id?;
        self.candidates.iter().position(|c| c.id == id)
    }
}

/// What sort of entry of the vocabulary a token is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum TokenKind {
    /// Ordinary text.
    #[default]
    Normal,
    /// A mark such as `<|im_end|>`, which text never produces.
    Control,
    /// A single byte of a byte-fallback vocabulary.
    Byte,
    /// Added by the model's makers, with text of its own.
    UserDefined,
    /// The unknown token, or an entry that is never used.
    Unused,
}

/// Id → bytes of one model's vocabulary; 49 k to 262 k entries, so kept as one block of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// SHA-256 over all entries, hexadecimal: two models share ids only if they share this.
    pub hash: String,
    /// All entries' bytes, one after the other. Control tokens hold their name (`<|im_end|>`).
    #[serde(with = "serde_bytes")]
    pub blob: Vec<u8>,
    /// Where each entry ends in `blob`.
    pub ends: Vec<u32>,
    /// Each entry's [`TokenKind`].
    pub kinds: Vec<TokenKind>,
    /// Marks that are not control tokens: other tokens that end a reply, and those that the chat template writes.
    #[serde(default)]
    pub marks: Vec<TokenId>,
    /// Tokens that the model's makers never want drawn. The store keeps neither these nor the marks: they are the model's, and
    /// known once it is loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<TokenId>,
    /// Entries of a vocabulary that is not known as a whole, as they were met.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub learned: BTreeMap<TokenId, Entry>,
}

/// An entry of a vocabulary by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its bytes; of a control token its name.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// Its kind.
    #[serde(default)]
    pub kind: TokenKind,
}

impl Vocabulary {
    /// Number of entries, where it is known as a whole.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it is known as a whole, and not only as far as it was met.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Why ids of the other mean other tokens than here, as "has …" of the other's model; `None` where they mean the same.
    #[must_use]
    pub fn unlike(&self, other: &Self) -> Option<String> {
        let (its, mine) = (other.len(), self.len());
        let is_other = self.hash != other.hash;
        is_other.then(|| format!("has another vocabulary ({its} entries, not these {mine})"))
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.learned.is_empty()
    }

    /// Takes entries that were met; whether any of them is new.
    pub fn learn(&mut self, entries: impl IntoIterator<Item = (TokenId, Entry)>) -> bool {
        let before = self.learned.len();
        self.learned.extend(entries);
        self.learned.len() > before
    }

    /// The bytes of an entry; `None` for an id outside the vocabulary, not met so far, or met without its bytes.
    #[must_use]
    pub fn bytes(&self, id: TokenId) -> Option<&[u8]> {
        if let Some(entry) = self.learned.get(&id) {
            return Some(entry.bytes.as_slice()).filter(|bytes| !bytes.is_empty());
        }
        let index = usize::try_from(id.0).ok()?;
        let end = *self.ends.get(index)? as usize;
        let start = match index {
            0 => 0,
            _ => self.ends[index - 1] as usize,
        };
        self.blob.get(start..end)
    }

    /// What tokens spell, marks by their names; bytes that are no text are replaced.
    #[must_use]
    pub fn spelt(&self, ids: &[TokenId]) -> String {
        let bytes = ids.iter().flat_map(|id| self.bytes(*id).unwrap_or_default()).copied();
        String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
    }

    /// The kind of an entry; [`TokenKind::Unused`] outside the vocabulary.
    #[must_use]
    pub fn kind(&self, id: TokenId) -> TokenKind {
        if let Some(entry) = self.learned.get(&id) {
            return entry.kind;
        }
        usize::try_from(id.0)
            .ok()
            .and_then(|index| self.kinds.get(index).copied())
            .unwrap_or(TokenKind::Unused)
    }

    /// Whether a token is a mark rather than text: of the end, of a turn, of the template.
    #[must_use]
    pub fn is_mark(&self, id: TokenId) -> bool {
        self.kind(id) == TokenKind::Control || self.marks.contains(&id)
    }

    /// Appends an entry.
    pub fn push(&mut self, bytes: &[u8], kind: TokenKind) {
        self.blob.extend_from_slice(bytes);
        self.ends.push(u32::try_from(self.blob.len()).expect("a vocabulary stays under 4 GiB"));
        self.kinds.push(kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_has_no_number_and_the_first_id_is_none() {
        assert_eq!([-2, -1, 0, 7].map(|id| TokenId(id).number()), [None, None, Some(0), Some(7)]);
    }

    #[test]
    fn odds_of_a_part_are_marked_and_say_how_many_come() {
        let check = |odds: Odds, most, mark: Option<&str>| {
            assert_eq!((odds.most(), odds.mark().as_deref()), (most, mark));
        };
        check(Odds::Whole, None, None);
        check(Odds::Top(20), Some(20), Some("top 20 only"));
        check(Odds::TopAfterSampling(5), Some(5), Some("top 5, after samplers"));
        check(Odds::None, Some(0), Some("no odds came"));
    }

    #[test]
    fn a_sign_for_a_blank_comes_back_as_one_and_keeps_its_place() {
        let text = "▁a ▁".as_bytes();
        assert_eq!(with_blanks(text), (b" a  ".to_vec(), vec![0, 3, 4, 5, 8]));
        let ends =
            [(0, &b""[..], 0), (0, b" ", 3), (0, b" a", 4), (4, b" ", 5), (4, b"  ", 8), (3, b"a ", 5)];
        for (at, bytes, end) in ends {
            assert_eq!(end_of(text, at, bytes), end, "{bytes:?} from {at}");
        }
        // The first bytes of the sign alone are none.
        assert_eq!(with_blanks(b"\xe2\x96"), (b"\xe2\x96".to_vec(), vec![0, 1, 2]));
        assert_eq!(whole_characters(b"a\xe2\x96b\xf0\x9f"), "ab");
    }

    #[test]
    fn what_lies_outside_the_candidates_is_a_probability_or_unknown() {
        let step = |odds: &[f32]| {
            let candidates = (0..).map(TokenId).zip(odds).map(|(id, p)| Candidate { id, logprob: p.ln() });
            Step { candidates: candidates.collect(), ..Step::default() }
        };
        let outside = |odds: &[f32], first| (step(odds).outside(first) * 100.0).round() as i32;
        assert_eq!([0, 1, 2, 9].map(|first| outside(&[0.5, 0.25], first)), [100, 50, 25, 25]);
        assert!((step(&[0.7, 0.31]).outside(2)).abs() < f64::EPSILON, "rounded odds may be above 1 together");
        assert!(step(&[]).outside(3).is_nan());
        let chosen = |id: Option<i32>| Step { id: id.map(TokenId), ..step(&[0.5, 0.25]) }.chosen_index();
        assert_eq!([Some(0), Some(1), Some(2), None].map(chosen), [Some(0), Some(1), None, None]);
    }

    #[test]
    fn surprisal_and_entropy_are_told_in_bits() {
        let step = Step { logprob: 0.125_f32.ln(), entropy: 4.0_f32.ln(), ..Step::default() };
        assert!((step.surprisal_bits() - 3.0).abs() < 1e-6 && (step.entropy_bits() - 2.0).abs() < 1e-6);
    }

    fn vocabulary() -> Vocabulary {
        let mut all = Vocabulary::default();
        for (bytes, kind) in
            [("a", TokenKind::Normal), ("<end>", TokenKind::Control), ("", TokenKind::Unused)]
        {
            all.push(bytes.as_bytes(), kind);
        }
        all.marks.push(TokenId(0));
        all
    }

    #[test]
    fn an_entry_is_found_by_its_id_and_others_are_none() {
        let mut all = vocabulary();
        let bytes = |all: &Vocabulary, id| all.bytes(TokenId(id)).map(<[u8]>::to_vec);
        let found = [-1, 0, 1, 2, 3].map(|id| bytes(&all, id));
        assert_eq!(found, [None, Some(b"a".to_vec()), Some(b"<end>".to_vec()), Some(Vec::new()), None]);
        assert_eq!(
            [-1, 1, 3].map(|id| all.kind(TokenId(id))),
            [TokenKind::Unused, TokenKind::Control, TokenKind::Unused]
        );
        assert_eq!([0, 1, 2, 3].map(|id| all.is_mark(TokenId(id))), [true, true, false, false]);
        all.push(b"\xc3", TokenKind::Byte);
        assert_eq!(all.spelt(&[1, 3, 0, 9].map(TokenId)), "<end>\u{fffd}a");
    }

    #[test]
    fn a_vocabulary_is_another_by_its_hash_and_says_so_with_both_sizes() {
        let named = |hash: &str, all: Vocabulary| Vocabulary { hash: hash.into(), ..all };
        let mine = named("a", vocabulary());
        assert_eq!(mine.unlike(&mine.clone()), None);
        let other = named("b", Vocabulary::default());
        assert_eq!(mine.unlike(&other).as_deref(), Some("has another vocabulary (0 entries, not these 3)"));
    }

    #[test]
    fn entries_that_were_met_are_new_once_and_have_bytes_where_they_came_with_some() {
        let mut all = Vocabulary::default();
        assert!(all.is_empty() && !all.is_whole());
        let entry = |bytes: &[u8]| Entry { bytes: bytes.to_vec(), kind: TokenKind::Normal };
        assert!(all.learn([(TokenId(-1), entry(b"x")), (TokenId(5), entry(b""))]));
        assert!(!all.is_empty() && !all.is_whole());
        assert!(!all.learn([(TokenId(5), entry(b"y"))]), "it was met before");
        assert!(!all.learn([]));
        assert_eq!([-1, 5, 6].map(|id| all.bytes(TokenId(id))), [Some(&b"x"[..]), Some(b"y"), None]);
        all.learn([(TokenId(6), entry(b""))]);
        assert_eq!((all.bytes(TokenId(6)), all.kind(TokenId(6))), (None, TokenKind::Normal));
    }
}

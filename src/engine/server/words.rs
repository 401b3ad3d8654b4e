//! The part of a server's vocabulary that was met, and stand-ins for tokens whose ids it does not say.
//!
//! Invariants: a stand-in is negative and the same in every session (a hash of the token's bytes; where two meet, the
//! later one takes the next free place); an id's bytes are told before the first event that names it.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};

use crate::token::{Entry, TokenId, TokenKind, Vocabulary};

/// Hash of the vocabulary of all servers that say no ids: its entries are texts.
pub const TEXTS: &str = "texts";

/// What was met of a vocabulary.
#[derive(Debug, Default)]
pub struct Words {
    vocabulary: Vocabulary,
    stand_ins: HashMap<Vec<u8>, TokenId>,
    /// Met since they were last told.
    new: BTreeMap<TokenId, Entry>,
}

impl Words {
    /// Of the vocabulary of that hash.
    pub fn of(hash: impl Into<String>) -> Self {
        Self { vocabulary: Vocabulary { hash: hash.into(), ..Vocabulary::default() }, ..Self::default() }
    }

    /// All that was met so far.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Whether a token's bytes are known.
    pub fn knows(&self, id: TokenId) -> bool {
        self.vocabulary.learned.contains_key(&id)
    }

    /// A token of the model's own id, with its bytes; what was met first stays.
    pub fn met(&mut self, id: TokenId, bytes: &[u8], kind: TokenKind) {
        if !self.knows(id) {
            self.learn(id, Entry { bytes: bytes.to_vec(), kind });
        }
    }

    /// The stand-in of a token of which only the bytes are known.
    pub fn stand_in(&mut self, bytes: &[u8]) -> TokenId {
        self.stand_in_of(bytes.to_vec(), Entry { bytes: bytes.to_vec(), kind: TokenKind::Normal })
    }

    /// The stand-in of a mark, which is not the token that spells the same.
    pub fn mark(&mut self, name: &str) -> TokenId {
        let entry = Entry { bytes: name.into(), kind: TokenKind::Control };
        self.stand_in_of([b"\0mark\0", name.as_bytes()].concat(), entry)
    }

    /// The stand-in that goes by these bytes.
    fn stand_in_of(&mut self, key: Vec<u8>, entry: Entry) -> TokenId {
        if let Some(id) = self.stand_ins.get(&key) {
            return *id;
        }
        let mut place = place_of(&key);
        while self.knows(at(place)) {
            place = place.wrapping_add(1);
        }
        let id = at(place);
        self.stand_ins.insert(key, id);
        self.learn(id, entry);
        id
    }

    /// What was met since the last time.
    pub fn take_new(&mut self) -> Vec<(TokenId, Entry)> {
        std::mem::take(&mut self.new).into_iter().collect()
    }

    fn learn(&mut self, id: TokenId, entry: Entry) {
        self.vocabulary.learn([(id, entry.clone())]);
        self.new.insert(id, entry);
    }
}

fn place_of(bytes: &[u8]) -> u32 {
    let hash = Sha256::digest(bytes);
    u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// Every place is a negative number.
fn at(place: u32) -> TokenId {
    TokenId(-1 - (place & 0x7fff_ffff).cast_signed())
}

/// A hash over what identifies a server's vocabulary.
pub fn hash_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_negative_and_the_same_in_every_session() {
        let of = |texts: &[&str]| {
            let mut words = Words::of(TEXTS);
            texts.iter().map(|text| words.stand_in(text.as_bytes())).collect::<Vec<_>>()
        };
        let (there, back) = (of(&["a", " b", "a"]), of(&[" b", "a"]));
        assert_eq!(there, [back[1], back[0], back[1]]);
        assert!(there.iter().all(|id| id.is_stand_in()));
        assert_eq!(of(&["a"])[0], TokenId(-310_482_891), "stored chats hold it");
        assert_eq!([at(0), at(u32::MAX)], [TokenId(-1), TokenId(i32::MIN)]);
    }

    #[test]
    fn a_taken_place_leads_to_the_next() {
        let mut words = Words::of(TEXTS);
        let place = place_of(b"a");
        words.met(at(place), b"other", TokenKind::Normal);
        let id = words.stand_in(b"a");
        assert_eq!((id, words.stand_in(b"a")), (at(place + 1), id));
    }

    #[test]
    fn what_was_met_is_told_once() {
        let mut words = Words::of("v");
        words.met(TokenId(7), b"x", TokenKind::Normal);
        words.met(TokenId(7), b"y", TokenKind::Normal);
        let entry = Entry { bytes: b"x".to_vec(), kind: TokenKind::Normal };
        assert_eq!(words.take_new(), [(TokenId(7), entry)]);
        assert_eq!(words.take_new(), []);
        assert_eq!(words.vocabulary().bytes(TokenId(7)), Some(&b"x"[..]));
    }
}

//! The made-up model's vocabulary: marks, all bytes, some word pieces, and an emoji and characters cut in two.
//!
//! Invariant: any bytes can be tokenised, and the tokens' bytes together are the text.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::token::{TokenId, TokenKind, Vocabulary};

/// The marks, in order of id.
pub(super) const MARKS: [&str; 4] = ["<|begin|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"];
/// Id of `<|begin|>`.
pub(super) const BEGIN: TokenId = TokenId(0);
/// Id of `<|im_start|>`.
pub(super) const START_OF_TURN: TokenId = TokenId(1);
/// Id of `<|im_end|>`.
pub(super) const END_OF_TURN: TokenId = TokenId(2);
/// Id of `<|endoftext|>`.
pub(super) const END_OF_TEXT: TokenId = TokenId(3);

const WORDS: &str = "the of and to in is it that was he for on are as with his they at be this from or one had by \
    word but not what all were we when your can said there use an each which she do how their if will up other \
    about out many then them these so some her would make like him into time has look two more write go see number \
    no way could people my than first water been call who oil its now find long down day did get come made may part \
    glass box token tokens model sentence sentences every each little small open look closely here there nothing \
    light window clear through probability numbers count counting example answer question hello world Hello World \
    The This It You I A In And But So If When What How Why Yes No Sure Here One Two Three you asked wrote me said \
    paragraph list item code line lines end again next last back over under between still just only also very well \
    think thought thinking reply replies chat turn turns cat dog sat mat Paris France capital is's 's n't ing ed er \
    ly tion ment ness able est re un in con pre";

const PUNCTUATION: [&str; 40] = [
    ". ", ", ", "! ", "? ", ": ", "; ", "\n\n", "\n", "  ", "    ", "**", "```", "``", "`", "# ", "## ",
    "- ", "* ", "> ", "| ", " |", "---", "...", "…", "—", "“", "”", " (", ") ", "://", "\u{1b}[", "]8;;",
    "()", "{}", " = ", " == ", " -> ", "fn ", "let ", ";\n",
];

/// Whole characters, and pieces that hold only part of one.
const WIDE: [&[u8]; 16] = [
    "世界".as_bytes(),
    "你好".as_bytes(),
    "日本".as_bytes(),
    "語".as_bytes(),
    "한국".as_bytes(),
    "สวัสดี".as_bytes(),
    "é".as_bytes(),
    "ü".as_bytes(),
    "Привет".as_bytes(),
    // The first half of 🙂 and its neighbours, then of 👩 and other people.
    &[0xf0, 0x9f],
    &[0x99, 0x82],
    &[0xf0, 0x9f, 0x91],
    // A joiner with the beginning of what it joins.
    &[0xe2, 0x80, 0x8d, 0xf0],
    // The first two of three bytes of a common block of CJK.
    &[0xe4, 0xb8],
    &[0xe5, 0xad],
    "\u{301}".as_bytes(),
];

/// The vocabulary with its tokenizer: the longest piece that fits, from left to right.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) vocabulary: Arc<Vocabulary>,
    ids: HashMap<Vec<u8>, TokenId>,
    longest: usize,
}

impl Pieces {
    /// `variant` makes another vocabulary, as another model has.
    pub(super) fn new(variant: &str) -> Self {
        let mut vocabulary = Vocabulary::default();
        let mut ids = HashMap::new();
        for mark in MARKS {
            vocabulary.push(mark.as_bytes(), TokenKind::Control);
        }
        for byte in 0..=u8::MAX {
            ids.insert(vec![byte], token(vocabulary.len()));
            vocabulary.push(&[byte], TokenKind::Byte);
        }
        let words = WORDS.split_whitespace();
        let pieces = words
            .flat_map(|word| [word.to_owned(), format!(" {word}")])
            .map(String::into_bytes)
            .chain(PUNCTUATION.iter().map(|piece| piece.as_bytes().to_vec()))
            .chain(WIDE.iter().map(|piece| piece.to_vec()))
            .chain((!variant.is_empty()).then(|| variant.as_bytes().to_vec()));
        for piece in pieces {
            if let std::collections::hash_map::Entry::Vacant(free) = ids.entry(piece.clone()) {
                free.insert(token(vocabulary.len()));
                vocabulary.push(&piece, TokenKind::Normal);
            }
        }
        let longest = ids.keys().map(Vec::len).max().unwrap_or(1);
        let mut hash = Sha256::new();
        hash.update(&vocabulary.blob);
        vocabulary.ends.iter().for_each(|end| hash.update(end.to_le_bytes()));
        vocabulary.hash = hex::encode(hash.finalize());
        Self { vocabulary: Arc::new(vocabulary), ids, longest }
    }

    /// The tokens of a text; marks in it become control tokens only with `special`.
    pub(super) fn tokenize(&self, mut bytes: &[u8], special: bool) -> Vec<TokenId> {
        let mut ids = Vec::new();
        while !bytes.is_empty() {
            let mark = MARKS.iter().position(|mark| special && bytes.starts_with(mark.as_bytes()));
            let (id, length) = match mark {
                Some(mark) => (token(mark), MARKS[mark].len()),
                None => self.longest_piece(bytes),
            };
            ids.push(id);
            bytes = &bytes[length..];
        }
        ids
    }

    /// The token that a non-empty text begins with, and its length in bytes.
    pub(super) fn longest_piece(&self, bytes: &[u8]) -> (TokenId, usize) {
        (1..=self.longest.min(bytes.len()))
            .rev()
            .find_map(|length| Some((*self.ids.get(&bytes[..length])?, length)))
            .expect("every single byte is a piece")
    }

    /// What a token adds to the text: nothing for a mark.
    pub(super) fn written(&self, id: TokenId) -> &[u8] {
        match self.vocabulary.kind(id) {
            TokenKind::Control => &[],
            _ => self.vocabulary.bytes(id).unwrap_or_default(),
        }
    }
}

/// The token at an index of the vocabulary.
pub(super) fn token(index: usize) -> TokenId {
    TokenId(i32::try_from(index).expect("the made-up vocabulary is small"))
}

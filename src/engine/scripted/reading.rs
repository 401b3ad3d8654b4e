//! What the made-up model knows after reading some tokens: which texts it may be writing, and where in them
//! it is.
//!
//! Invariant: everything follows from the ids alone, in order; so a branch, a rewind and a text that is scored
//! get the same numbers wherever the same ids were read.

use std::sync::Arc;

use super::hash::{bell, mix};
use super::replies;
use super::vocabulary::{BEGIN, END_OF_TEXT, END_OF_TURN, Pieces, START_OF_TURN, token};
use crate::inspect::distribution::Distribution;
use crate::token::{TokenId, TokenKind};

/// How much of a text without marks counts as the question, bytes.
const QUESTION: usize = 300;

/// The model's state after some tokens.
#[derive(Clone)]
pub(super) struct Reading {
    pieces: Arc<Pieces>,
    /// Hash of all ids.
    key: u64,
    length: usize,
    /// Whether a turn's mark was read: the text is a chat.
    marked: bool,
    /// Bytes of the turn that is open, its head included; without marks, the end of the text.
    text: Vec<u8>,
    /// Whether a turn is open; without marks, always.
    open: bool,
    /// The last message of the user.
    question: Vec<u8>,
    script: Option<Script>,
}

/// Texts that agree with what was written so far.
#[derive(Clone)]
struct Script {
    /// Each with the number that a seed picks it by.
    texts: Vec<(u32, Arc<[u8]>)>,
    /// Bytes of them that are written.
    at: usize,
}

impl Reading {
    pub(super) fn new(pieces: &Arc<Pieces>) -> Self {
        Self {
            pieces: Arc::clone(pieces),
            key: 0,
            length: 0,
            marked: false,
            text: Vec::new(),
            open: true,
            question: Vec::new(),
            script: None,
        }
    }

    pub(super) fn of(pieces: &Arc<Pieces>, ids: &[TokenId]) -> Self {
        let mut reading = Self::new(pieces);
        for id in ids {
            reading.push(*id);
        }
        reading
    }

    /// Hash of everything read.
    pub(super) fn key(&self) -> u64 {
        self.key
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Reads one more token.
    pub(super) fn push(&mut self, id: TokenId) {
        self.key = mix(self.key ^ mix(id.0 as u64));
        self.length += 1;
        match id {
            START_OF_TURN => {
                self.marked = true;
                self.open = true;
                self.text.clear();
                self.script = None;
            }
            END_OF_TURN if self.marked => self.close(),
            BEGIN => {}
            _ => self.read(id),
        }
    }

    fn close(&mut self) {
        if let Some(message) = self.text.strip_prefix(b"user\n") {
            self.question = message.to_vec();
        }
        self.open = false;
        self.script = None;
    }

    fn read(&mut self, id: TokenId) {
        const HEAD: &[u8] = b"assistant\n";
        let bytes = self.pieces.written(id).to_vec();
        let before = self.text.len();
        self.text.extend_from_slice(&bytes);
        if !self.marked {
            let surplus = self.text.len().saturating_sub(QUESTION);
            self.text.drain(..surplus);
            self.follow(&bytes);
        } else if self.open && self.text.starts_with(HEAD) {
            if before >= HEAD.len() {
                self.follow(&bytes);
            } else {
                self.script = Some(Script::new(replies::replies(&self.question)));
                let written = self.text[HEAD.len()..].to_vec();
                if !written.is_empty() {
                    self.follow(&written);
                }
            }
        }
    }

    /// Goes on in the script; a token that is not the script's begins another text.
    fn follow(&mut self, bytes: &[u8]) {
        if let Some(script) = &mut self.script {
            let at = script.at;
            if !bytes.is_empty() && script.texts.iter().any(|(_, text)| text[at..].starts_with(bytes)) {
                script.texts.retain(|(_, text)| text[at..].starts_with(bytes));
                script.at += bytes.len();
                return;
            }
        }
        let texts = if self.marked {
            vec![(0, replies::detour(self.key).into())]
        } else {
            replies::replies(question(&self.text))
        };
        self.script = Some(Script::new(texts));
    }

    /// What comes next: noise over the whole vocabulary, marks all but ruled out and single bytes rare, with the
    /// script's tokens raised to the top, or now and then to just under it; the end of a text is certain.
    pub(super) fn distribution(&self) -> Distribution {
        let vocabulary = &self.pieces.vocabulary;
        let noise = |at: usize| {
            let lower = match vocabulary.kind(token(at)) {
                TokenKind::Control => 10.0,
                TokenKind::Byte => 3.0,
                _ => 0.0,
            };
            4.0 * bell(self.key, at) - lower
        };
        let mut logits: Vec<f32> = (0..vocabulary.len()).map(noise).collect();
        let top = logits.iter().copied().fold(f32::MIN, f32::max);
        let favoured = self.favoured();
        let slips = !favoured.contains(&self.end()) && mix(self.key).is_multiple_of(4);
        let spread = (mix(self.key) >> 8) as f32 % 100.0 / 20.0;
        let above = if slips { -0.05 } else { 0.2 + spread };
        for (id, place) in favoured.iter().zip(0..) {
            logits[id.0 as usize] = top + above * 0.8_f32.powi(place);
        }
        Distribution::new(logits).expect("made-up logits are finite")
    }

    /// The tokens that the script may go on with, the first text's first; none outside a scripted place.
    fn favoured(&self) -> Vec<TokenId> {
        let mut ids = Vec::new();
        for (_, id) in self.next() {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// The token that this seed's reply goes on with.
    pub(super) fn wanted(&self, seed: u32) -> Option<TokenId> {
        let own = self.next().find(|(variant, _)| *variant == seed % replies::VARIANTS);
        own.or_else(|| self.next().next()).map(|(_, id)| id)
    }

    /// The token that ends a reply here.
    fn end(&self) -> TokenId {
        if self.marked { END_OF_TURN } else { END_OF_TEXT }
    }

    fn next(&self) -> impl Iterator<Item = (u32, TokenId)> {
        self.script.iter().flat_map(|script| {
            script.texts.iter().map(|(variant, text)| match &text[script.at..] {
                [] => (*variant, self.end()),
                rest => (*variant, self.pieces.longest_piece(rest).0),
            })
        })
    }
}

impl Script {
    fn new(texts: Vec<(u32, Arc<[u8]>)>) -> Self {
        Self { texts, at: 0 }
    }
}

/// The last message of a plain transcript, or all of a text that is none.
fn question(text: &[u8]) -> &[u8] {
    let find = |wanted: &[u8]| text.windows(wanted.len()).rposition(|window| window == wanted);
    let from = find(b"User: ").map_or(0, |place| place + b"User: ".len());
    let until = find(b"\n\nAssistant:").filter(|place| *place >= from).unwrap_or(text.len());
    &text[from..until]
}

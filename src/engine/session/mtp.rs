//! A file's own layer for multi-token prediction (MTP; Gloeckle et al. 2024, DeepSeek-V3 2024): a block behind the last
//! that reads a token together with the state that the token before it left, and guesses the one after.
//!
//! It computes in a context of its own, beside the chat's, over the same weights. What passes through the chat's context
//! passes through it as well ([`MtpLayer::follow`]), so that its keys and values are at hand when a guess is wanted.
//!
//! Invariant: like a smaller model's, its guesses change how many passes a reply takes, never what the reply says. Its
//! cache holds positions one after the other up to `end`; where the chat's text goes on elsewhere, it is cut there, and
//! where it knows nothing of the token before, it begins anew. Wrong guesses are all that could come of that.

use super::draft::sure;
use super::{CHAT, position};
use crate::engine::compute::numbers::Reader;
use crate::engine::model::ffi::{OwnedContext, Paired};
use crate::engine::model::fit::{MTP_BATCH, MTP_MOST};
use crate::token::TokenId;

/// Such a layer.
pub(super) struct MtpLayer {
    context: OwnedContext,
    reader: Reader,
    /// Numbers of a state.
    width: usize,
    /// The position after the last in its cache.
    end: usize,
    /// The position of the first of `states`.
    first: usize,
    /// What the chat's tokens of the last batch left, one after the other.
    states: Vec<f32>,
    /// Whether a guess may rest on another.
    chained: bool,
}

impl MtpLayer {
    /// In a context of its own, for a file with so many such layers; `None` where llama.cpp's context cannot be reached.
    pub(super) fn new((mut context, layers): (OwnedContext, u32), chat: &mut OwnedContext) -> Option<Self> {
        let width = context.state_width();
        let given = chat.give_states(false) && context.give_states(true) && width > 0;
        // Where there are several, each is trained for one token further on, and the first of them reads here.
        let chained = layers == 1;
        given.then(|| Self {
            context,
            reader: Reader::default(),
            width,
            end: 0,
            first: 0,
            states: Vec::new(),
            chained,
        })
    }

    /// The chat's context has just decoded these tokens from a position on.
    pub(super) fn follow(&mut self, chat: &OwnedContext, start: usize, ids: &[TokenId]) {
        let nothing = vec![0.0; self.width];
        let before = if start == 0 { Some(nothing) } else { self.state(start - 1).map(<[f32]>::to_vec) };
        let mut states = Vec::with_capacity(ids.len() * self.width);
        for row in 0..ids.len() {
            let Some(state) = chat.state_of(row) else { return self.reset() };
            states.extend_from_slice(state);
        }
        // Without the state in front of it, the first token cannot be read.
        let skipped = usize::from(before.is_none());
        let mut left = Vec::with_capacity(ids.len());
        for (row, id) in ids.iter().enumerate().skip(skipped) {
            let state = match (row.checked_sub(1), &before) {
                (Some(row), _) => &states[row * self.width..][..self.width],
                (None, Some(before)) => before,
                (None, None) => unreachable!("it was skipped"),
            };
            left.push(Paired { id: *id, position: position(start + row), state });
        }
        let whole = self.go_to(start + skipped)
            && left.chunks(MTP_BATCH as usize).all(|items| self.context.decode_paired(items, false));
        if whole {
            (self.end, self.first, self.states) = (start + ids.len(), start, states);
        } else {
            self.reset();
        }
    }

    /// The chat's text was cut down to so many tokens.
    pub(super) fn cut(&mut self, count: usize) {
        self.states.truncate(count.saturating_sub(self.first) * self.width);
    }

    /// How a text goes on after its token at `at`, the first that the chat's context has not decoded: as far as the layer
    /// is sure of it, at most `most` tokens.
    pub(super) fn guess(&mut self, id: TokenId, at: usize, most: usize) -> Vec<TokenId> {
        let most = most.min(if self.chained { MTP_MOST as usize } else { 1 });
        let mut guess = Vec::new();
        let state = at.checked_sub(1).and_then(|before| self.state(before)).map(<[f32]>::to_vec);
        let Some(mut state) = state.filter(|_| most > 0 && self.end >= at && self.go_to(at)) else {
            return guess;
        };
        let mut next = id;
        while guess.len() < most {
            let place = at + guess.len();
            let item = Paired { id: next, position: position(place), state: &state };
            if !self.context.decode_paired(&[item], true) {
                self.reset();
                break;
            }
            self.end = place + 1;
            let Self { context, reader, .. } = self;
            let logits = context.get().get_logits_ith(0);
            let Some(likeliest) = sure(&context.model, logits, reader) else { break };
            guess.push(likeliest);
            let Some(left) = context.state_of(0) else { break };
            state.copy_from_slice(left);
            next = likeliest;
        }
        guess
    }

    /// As if nothing had been read.
    pub(super) fn reset(&mut self) {
        self.context.clear();
        (self.end, self.first) = (0, 0);
        self.states.clear();
    }

    /// What the chat's token at a position left.
    fn state(&self, position: usize) -> Option<&[f32]> {
        let row = position.checked_sub(self.first)?;
        self.states.get(row * self.width..(row + 1) * self.width)
    }

    /// Has the cache end at a position; it begins there where it does not reach so far. Whether llama.cpp could.
    fn go_to(&mut self, place: usize) -> bool {
        let end = std::mem::replace(&mut self.end, place);
        self.context.with(|context| {
            if end < place {
                context.clear_kv_cache();
                return true;
            }
            end == place
                || context.clear_kv_cache_seq(Some(u32::from(CHAT)), Some(place as u32), None) == Ok(true)
        })
    }
}

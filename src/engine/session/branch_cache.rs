//! The last text that was read beside the chat: another branch, or the chat under changes. It is kept, so that the next
//! pass in it is one step instead of all that differs from the chat.
//!
//! Invariant: what is kept shares its beginning's cells with the chat and gives way: [`Session::forget_beside`] runs
//! before anything that needs the room.

use super::lane::{LAST_SCRATCH, SCRATCH};
use super::{CHAT, Prefix, Session};
use crate::chat::Intervention;
use crate::token::TokenId;

/// The sequence that holds it; the last one is the twin's.
const ASIDE: u8 = LAST_SCRATCH - 1;
/// From so many tokens on it is worth keeping what was read.
const WORTH_KEEPING: usize = 16;

/// What is kept beside the chat.
#[derive(Debug, Default)]
pub struct Aside {
    prefix: Prefix,
    /// How many of its first tokens lie in cells of the chat.
    shared: usize,
}

impl Aside {
    /// The chat was cut down to so many tokens: cells beyond are no longer its own.
    pub(crate) fn chat_was_cut(&mut self, count: usize) {
        self.shared = self.shared.min(count);
    }

    /// Cells that are its own.
    fn cells(&self) -> usize {
        self.prefix.ids.len() - self.shared
    }
}

/// Where a text that is read beside the chat begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The sequence that holds the text's first tokens.
    pub sequence: u8,
    /// How many.
    pub count: usize,
}

impl Beginning {
    /// With the chat's first `count` tokens.
    #[must_use]
    pub fn of_chat(count: usize) -> Self {
        Self { sequence: CHAT, count }
    }
}

impl Session {
    /// Where this text can be read beside the chat, holding at most its first `most` tokens already; `None` where there
    /// is no room for the rest, and it has to be read on the chat's own sequence.
    pub fn beginning(
        &mut self,
        ids: &[TokenId],
        most: usize,
        interventions: &[Intervention],
    ) -> Option<Beginning> {
        let chat = self.shared(ids, interventions).min(most);
        let aside = self.aside.prefix.common(ids, interventions).min(most);
        if aside > chat && self.fits_beside(self.aside.cells() + ids.len() - aside) {
            return Some(Beginning { sequence: ASIDE, count: aside });
        }
        if !self.fits_beside(self.aside.cells() + ids.len() - chat) {
            self.forget_beside();
        }
        self.fits_beside(ids.len() - chat).then_some(Beginning::of_chat(chat))
    }

    /// Keeps what the scratch sequence holds, if it was much to read: these tokens, which began as `from` says.
    pub fn keep_beside(&mut self, ids: &[TokenId], from: Beginning, interventions: &[Intervention]) {
        if ids.len() < from.count + WORTH_KEEPING {
            return;
        }
        let shared = if from.sequence == CHAT { from.count } else { self.aside.shared.min(from.count) };
        self.forget_beside();
        self.fork(SCRATCH, ASIDE, ids.len());
        let prefix = Prefix { ids: ids.to_vec(), interventions: interventions.to_vec() };
        self.aside = Aside { prefix, shared };
    }

    /// The chat grows by so many tokens: what is kept beside it goes where both have no room.
    pub(crate) fn make_room_for(&mut self, tokens: usize) {
        if !self.fits_beside(self.aside.cells() + tokens) {
            self.forget_beside();
        }
    }

    /// Forgets what is kept beside the chat; its cells are free again.
    pub fn forget_beside(&mut self) {
        if !self.aside.prefix.ids.is_empty() {
            self.drop_sequence(ASIDE);
            self.aside = Aside::default();
        }
    }
}

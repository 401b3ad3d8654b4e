//! The last text that was read beside the chat: another branch, or the chat under changes. It is kept, so that the next
//! pass in it is one step instead of all that differs from the chat.
//!
//! Invariant: what is kept shares its beginning's cells with the chat and gives way: [`Session::forget_branch`] runs
//! before anything that needs the room.

use super::sequences::BRANCH;
use super::text::Text;
use super::{CHAT, Prefix, Session};
use crate::chat::Intervention;
use crate::token::TokenId;

/// What is kept beside the chat.
#[derive(Debug, Default)]
pub(super) struct BranchCache {
    prefix: Prefix,
    /// How many of its first tokens lie in cells of the chat.
    shared: usize,
}

impl BranchCache {
    /// The chat was cut down to so many tokens: cells beyond are no longer its own.
    pub(super) fn chat_was_cut(&mut self, count: usize) {
        self.shared = self.shared.min(count);
    }

    /// Cells that are its own.
    fn cells(&self) -> usize {
        self.prefix.ids.len() - self.shared
    }
}

/// Where a text that is read beside the chat begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// The sequence that holds the text's first tokens.
    pub sequence: u8,
    /// How many.
    pub count: usize,
}

impl Session {
    /// Where this text can be read beside the chat; `None` where there is no room for what is held nowhere, or that is
    /// more than it is worth, and it has to be read on the chat's own sequence. The one rule for room: the chat's cells stay, what is kept of another
    /// branch gives way.
    pub(super) fn beginning(&mut self, text: &Text<'_>) -> Option<Beginning> {
        let chat = self.prefix.common(text.ids, text.changes);
        let branch = self.branch.prefix.common(text.ids, text.changes);
        let own = self.branch.cells();
        let worth_it = |held: usize| text.ids.len() - held <= text.most;
        if branch > chat && worth_it(branch) && self.fits_beside(own + text.cells(branch)) {
            return Some(Beginning { sequence: BRANCH, count: branch });
        }
        if !worth_it(chat) {
            return None;
        }
        if !self.fits_beside(own + text.cells(chat)) {
            self.forget_branch();
        }
        self.fits_beside(text.cells(chat)).then_some(Beginning { sequence: CHAT, count: chat })
    }

    /// Keeps what a sequence holds: these tokens, which began as `from` says.
    pub(super) fn keep_branch(
        &mut self,
        sequence: u8,
        ids: &[TokenId],
        from: Beginning,
        changes: &[Intervention],
    ) {
        let shared = if from.sequence == CHAT { from.count } else { self.branch.shared.min(from.count) };
        self.forget_branch();
        self.fork(sequence, BRANCH, ids.len());
        let prefix = Prefix { ids: ids.to_vec(), interventions: changes.to_vec() };
        self.branch = BranchCache { prefix, shared };
    }

    /// The chat grows by so many tokens: what is kept beside it goes where both have no room.
    pub(super) fn make_room_for(&mut self, tokens: usize) {
        if !self.fits_beside(self.branch.cells() + tokens) {
            self.forget_branch();
        }
    }

    /// Forgets what is kept beside the chat; its cells are free again.
    pub fn forget_branch(&mut self) {
        if !self.branch.prefix.ids.is_empty() {
            self.drop_sequence(BRANCH);
            self.branch = BranchCache::default();
        }
    }
}

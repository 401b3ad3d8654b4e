//! Which chat is to be opened, and where in it; what comes of what the store lists and reads.
//!
//! Invariant: of chats that the store reads only the one asked for last is shown.

use crate::app::{Outbox, Scroll, Station, Talk, Transcript};
use crate::chat::{Conversation, ConversationHead, ConversationId, Place, TurnId};
use crate::store;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// The chat to show once the store has read it.
    pub(super) next: Option<ConversationId>,
    /// The turn to select in it, and the byte of its text to go to.
    pub(super) at: Option<(TurnId, usize)>,
    /// Whether the chat looked at last is to be shown once the list is there.
    last: bool,
    /// The next chat is gone on with as it was left; whether with its model too.
    pub(super) resuming: Option<bool>,
    /// The chat whose model is loaded first.
    pub(in crate::app) model_of: Option<ConversationId>,
}

impl Opening {
    /// Opens the chat that was looked at last, once the list is there.
    pub(crate) fn open_last(&mut self) {
        self.last = true;
    }

    /// The next chat is gone on with as it was left, its station and its model too, unless the user named a model.
    pub(crate) fn resume(&mut self, model_named: bool) {
        self.resuming = Some(!model_named);
    }

    /// Another chat is shown: what was to be opened is not any more.
    pub(in crate::app) fn forget(&mut self) {
        (self.next, self.at) = (None, None);
    }
}

impl Talk {
    /// The store has listed the chats; gives the one to open, where the last is.
    pub(super) fn listed(&mut self, heads: Vec<ConversationHead>) -> Option<ConversationId> {
        self.chats.fill(heads);
        // The store does not have temporary chats, nor those that were written after it was asked.
        for chat in self.others.values().chain([&self.chat]) {
            if !chat.turns.is_empty() && self.chats.find(chat.head.id).is_none() {
                self.chats.put(chat.head.clone());
            }
        }
        let stored = self.chats.heads.iter().chain(&self.chats.archived);
        let last = stored.max_by_key(|head| head.last_look()).map(|head| head.id);
        last.filter(|_| std::mem::take(&mut self.opening.last))
    }

    /// The store has read a chat, or has none of this id: a new title is kept with it; whether it is to be shown.
    pub(super) fn opened(
        &mut self,
        out: &mut Outbox,
        id: ConversationId,
        read: Option<&Conversation>,
    ) -> bool {
        if let Some((title, chat)) = self.renames.remove(&id).zip(read) {
            let head = ConversationHead { title, ..chat.head.clone() };
            let settings = chat.settings.clone();
            out.store(store::Command::PutConversation { head, settings, leaf: chat.leaf });
        }
        self.opening.next.take_if(|next| *next == id).is_some()
    }

    /// Keeps where the shown chat is left.
    pub(super) fn keep_place(&mut self, out: &mut Outbox, transcript: &Transcript, station: Station) {
        if self.chat.turns.is_empty() || out.on_tour {
            return;
        }
        let top = match transcript.scroll {
            Scroll::Anchor { turn, row, .. } => self.chat.turn(turn).is_some().then_some((turn, row)),
            Scroll::Bottom => None,
        };
        let place = Place { top, station: Some(station.about().name.to_owned()) };
        if self.chat.place != place {
            self.chat.place = place.clone();
            out.store(store::Command::PutPlace(self.chat.head.id, place));
        }
    }
}

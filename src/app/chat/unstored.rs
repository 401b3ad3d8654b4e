//! Temporary chats: which they are, and which writes are about them.
//!
//! Invariant: of a temporary chat nothing reaches the store, neither its messages nor what was typed in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::chat::{ConversationId, RunId, Span, TurnId};
use crate::store::Command;

/// See the module.
#[derive(Debug, Default)]
pub struct Unstored {
    chats: BTreeSet<ConversationId>,
    turns: BTreeMap<TurnId, ConversationId>,
    runs: BTreeMap<RunId, ConversationId>,
    /// The chat that is shown: what is typed there names no chat.
    pub(crate) shown: Option<ConversationId>,
}

impl Unstored {
    /// Whether a chat is temporary.
    pub fn has(&self, chat: ConversationId) -> bool {
        self.chats.contains(&chat)
    }

    /// Makes a chat temporary.
    pub(crate) fn add(&mut self, chat: ConversationId) {
        self.chats.insert(chat);
    }

    /// Ends that.
    pub(crate) fn remove(&mut self, chat: ConversationId) {
        self.chats.remove(&chat);
        self.turns.retain(|_, of| *of != chat);
        self.runs.retain(|_, of| *of != chat);
    }

    /// Whether a write is about a temporary chat, and so is not to be done.
    pub(crate) fn holds(&mut self, command: &Command) -> bool {
        match command {
            Command::PutTurn(chat, turn) if self.has(*chat) => {
                self.turns.insert(turn.id, *chat);
                self.runs.extend(turn.spans.iter().filter_map(|span| match span {
                    Span::Generated { run, .. } => Some((*run, *chat)),
                    Span::Written { .. } | Span::Kept { .. } => None,
                }));
                true
            }
            Command::PutConversation { head, .. } => self.has(head.id),
            Command::AppendSteps(turn, _) | Command::FinishTurn(turn, ..) | Command::SetDeleted(turn, _) => {
                self.turns.contains_key(turn)
            }
            Command::PutRun(run) => self.runs.contains_key(&run.id),
            Command::PutDraft(Some(chat), _)
            | Command::PutScores(chat, _)
            | Command::PutMarks(chat, _)
            | Command::PutPlace(chat, _)
            | Command::DeleteConversation(chat, _) => self.has(*chat),
            Command::PutDraft(None, _) | Command::PutHistory(_) => {
                self.shown.is_some_and(|shown| self.has(shown))
            }
            _ => false,
        }
    }
}

//! What is said: the chats in memory, their runs and scores, the reply being written, and what waits for it.
//!
//! Invariant: at most one reply is written at a time, in whatever chat; a run that is over ignores late events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::chat::opening::Opening;
use super::{ActiveRun, Chats, LeftOut, Queued, StepMode, TurnScore};
use crate::chat::{Conversation, ConversationId, Run, RunId, Turn, TurnId};
use crate::token::Vocabulary;

/// See the module.
pub struct Talk {
    /// The list of chats.
    pub chats: Chats,
    /// The chat that is shown; it has no entry in the store until something was sent.
    pub chat: Conversation,
    /// Other chats in memory: those that still write, and those just left.
    pub others: BTreeMap<ConversationId, Conversation>,
    /// Runs of the loaded chats, by id.
    pub runs: BTreeMap<RunId, Run>,
    /// Vocabularies by hash.
    pub vocabularies: BTreeMap<String, Arc<Vocabulary>>,
    /// Scores of typed turns of the shown chat.
    pub scores: BTreeMap<TurnId, TurnScore>,
    /// The system prompt as a message before the first, while special tokens are shown.
    pub system: Option<Turn>,
    /// The reply being written, wherever its chat is.
    pub run: Option<ActiveRun>,
    /// What waits for the model or for the reply before it, by chat.
    pub queued: Option<Queued>,
    /// Whether the reply goes token by token.
    pub steps: StepMode,
    /// Scores of typed text: what was asked and read.
    pub(crate) scoring: super::transcript::scores::Asking,
    /// Messages left out of a chat's prompt because the context was full.
    pub(crate) left_out: BTreeMap<ConversationId, LeftOut>,
    /// Draft of the chat that has no entry in the store.
    pub(crate) new_draft: String,
    /// New titles of chats that are not in memory.
    pub(crate) renames: BTreeMap<ConversationId, String>,
    /// A summary of older messages, being written or waiting for a yes.
    pub(crate) compact: Option<Box<super::chat::compact::Compact>>,
    /// The chat to open.
    pub(crate) opening: Opening,
    /// Which entries of a vocabulary the store got last.
    pub(crate) put: super::chat::words::Put,
    /// Vocabularies asked of the store.
    pub(crate) vocabularies_asked: BTreeSet<String>,
    /// Of which message, and from which byte on, the tokens of a file or paste are counted.
    pub(crate) counting: Option<(ConversationId, TurnId, usize)>,
}

impl Talk {
    /// One chat that holds nothing yet.
    pub(crate) fn new(chat: ConversationId, chats: Chats) -> Self {
        Self {
            chats,
            chat: super::chat::chats::empty_chat(chat),
            others: BTreeMap::new(),
            runs: BTreeMap::new(),
            vocabularies: BTreeMap::new(),
            scores: BTreeMap::new(),
            system: None,
            run: None,
            queued: None,
            steps: StepMode::default(),
            scoring: super::transcript::scores::Asking::default(),
            left_out: BTreeMap::new(),
            new_draft: String::new(),
            renames: BTreeMap::new(),
            compact: None,
            opening: Opening::default(),
            put: super::chat::words::Put::default(),
            vocabularies_asked: BTreeSet::new(),
            counting: None,
        }
    }
}

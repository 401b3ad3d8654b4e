//! The store: SQLite on its own thread. It takes [`Command`]s and gives [`Event`]s to a sink.
//!
//! Invariants: one thread owns the only writing connection; a message is on disk before its reply is asked
//! for; what is stored of a reply is at most half a second old; a turn found streaming at start becomes interrupted.

mod answer;
mod handle;
mod index;
mod instance;
mod open;
mod pack;
mod pending;
mod purge;
mod read;
mod reader;
mod rescue;
mod schema;
mod search;
mod shared;
#[cfg(test)]
mod tests;
mod write;
mod writer;

pub use handle::{Closing, STILL_SAVING, Store, sqlite_version};
pub(crate) use instance::random_id;
#[cfg(test)]
pub(crate) use writer::BEHIND;

use crate::chat::{
    ChatSettings, Conversation, ConversationHead, ConversationId, Marks, Place, Role, Run, RunId, Turn,
    TurnId, TurnState,
};
use crate::token::{Entry, Step, TokenId, Vocabulary};

/// How many days a deleted conversation stays in the bin.
pub const BIN_DAYS: i64 = 30;

/// What the store can be asked. Writes are answered by nothing but [`Event::Trouble`] when they fail.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "moved once, a few times a second at most")]
pub enum Command {
    /// All conversations, those in the bin too, newest first → [`Event::Listed`].
    List,
    /// One conversation with its turns → [`Event::Opened`], then [`Event::Runs`].
    Open(ConversationId),
    /// Writes a conversation's entry and settings (not its turns, not its draft).
    PutConversation {
        /// Id, title, times.
        head: ConversationHead,
        /// What it sets for itself.
        settings: ChatSettings,
        /// The shown leaf.
        leaf: Option<TurnId>,
    },
    /// Writes a whole turn: new, or replacing the one of that id.
    PutTurn(ConversationId, Box<Turn>),
    /// Appends steps to a turn's last generated span. Kept in memory and written within a quarter of a second.
    AppendSteps(TurnId, Vec<Step>),
    /// Sets how a turn stands, and its note; flushes what was appended.
    FinishTurn(TurnId, TurnState, Option<String>),
    /// Writes what a generation was made under; replaces the one of that id.
    PutRun(Box<Run>),
    /// Hides or shows a turn.
    SetDeleted(TurnId, bool),
    /// Puts a conversation into the bin (`true`) or takes it out (`false`); the bin is emptied of what lay there for
    /// [`BIN_DAYS`].
    DeleteConversation(ConversationId, bool),
    /// Removes a conversation for good.
    PurgeConversation(ConversationId),
    /// Writes a copy of a conversation under another id and title.
    DuplicateConversation(ConversationId, ConversationId, String),
    /// Keeps what the user says of a conversation.
    PutMarks(ConversationId, Marks),
    /// Keeps where a conversation was left; it is the one looked at last.
    PutPlace(ConversationId, Place),
    /// Keeps the text of a composer.
    PutDraft(Option<ConversationId>, String),
    /// Keeps a message in the prompt history.
    PutHistory(String),
    /// The last messages sent, newest first → [`Event::History`].
    History,
    /// Keeps a vocabulary, so that old chats show without their model.
    PutVocabulary(Box<Vocabulary>),
    /// Keeps entries of a vocabulary that is not known as a whole; what is kept of it already stays.
    PutWords(String, Vec<(TokenId, Entry)>),
    /// A kept vocabulary, with what was met of it → [`Event::Vocabulary`].
    Vocabulary(String),
    /// Full text over all turns, as [`crate::search::Query`] reads it → [`Event::Found`]. The newest search wins.
    Search(String),
    /// Keeps what a model thought of a typed text; replaces the scores of that turn and model.
    PutScores(ConversationId, Box<Scores>),
    /// The scores kept of a conversation's typed texts → [`Event::Scores`].
    Scores(ConversationId),
    /// Writes what waits, marks a clean end, and ends the thread.
    Close,
}

impl Command {
    /// Whether it writes a chat, or something of one.
    pub(crate) fn writes_chat(&self) -> bool {
        matches!(
            self,
            Self::PutConversation { .. }
                | Self::PutTurn(..)
                | Self::AppendSteps(..)
                | Self::FinishTurn(..)
                | Self::PutRun(_)
                | Self::SetDeleted(..)
                | Self::PutDraft(..)
                | Self::PutMarks(..)
                | Self::PutPlace(..)
                | Self::PutScores(..)
        )
    }
}

/// What the store says.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The store is open.
    Ready {
        /// How many turns were found half-written and marked interrupted.
        interrupted: usize,
        /// Draft of the chat that has no conversation yet.
        draft: String,
        /// Something the user should know: set aside a damaged file, WAL refused…
        notes: Vec<String>,
    },
    /// All conversations, those in the bin too, newest first.
    Listed(Vec<ConversationHead>),
    /// A conversation; `None` when there is none of that id.
    Opened(ConversationId, Option<Box<Conversation>>),
    /// What the turns of a conversation were generated under, and the runs those build on. Comes right after
    /// its [`Event::Opened`], unless there is no such conversation.
    Runs(ConversationId, Vec<Run>),
    /// Scores of typed texts, of whatever models.
    Scores(ConversationId, Vec<Scores>),
    /// The last messages sent, newest first.
    History(Vec<String>),
    /// A kept vocabulary; `None` when it was never kept.
    Vocabulary(String, Option<Box<Vocabulary>>),
    /// What a search found, best first.
    Found {
        /// What was searched for.
        query: String,
        /// The turns.
        hits: Vec<Hit>,
    },
    /// Something could not be written; it is kept in memory and tried again.
    Trouble {
        /// What happened and what to do, for the user.
        message: String,
        /// Whether nothing is being saved at all.
        lost: bool,
    },
    /// Writing works again.
    Recovered,
    /// The thread has ended.
    Closed,
}

/// What a model thought of a typed text.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The turn; for a system prompt an id that no turn has.
    pub turn: TurnId,
    /// SHA-256 of the model's file, or its name while that is not known.
    pub model: String,
    /// The run whose prompt was scored.
    pub run: RunId,
    /// Each token: bytes from and to in the text, index among the prompt's ids, numbers.
    pub tokens: Vec<(usize, usize, usize, Step)>,
}

/// A turn that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Where it is.
    pub conversation: ConversationId,
    /// The turn.
    pub turn: TurnId,
    /// The conversation's title.
    pub title: String,
    /// Who speaks.
    pub role: Role,
    /// The text around the match.
    pub snippet: String,
    /// Byte range of the match in `snippet`.
    pub matched: std::ops::Range<usize>,
    /// The byte of the turn's text at which the match begins.
    pub at: usize,
    /// When the turn was begun, milliseconds since 1970.
    pub created_ms: i64,
}

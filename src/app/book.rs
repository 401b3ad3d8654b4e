//! Bookkeeping of `update` that no pane shows: what is kept back for a moment.
//!
//! Invariant: nothing here is drawn.

use crate::chat::{ConversationId, TurnId};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The chat to show once the store has read it.
    pub open_next: Option<ConversationId>,
    /// Whether the chat looked at last is to be shown once the list is there.
    pub open_last: bool,
    /// The next chat is gone on with as it was left; whether with its model too.
    pub resuming: Option<bool>,
    /// The chat whose model is loaded first.
    pub model_of: Option<ConversationId>,
    /// The turn to select in the chat that is opened next, and the byte of its text to go to.
    pub open_at: Option<(TurnId, usize)>,
    /// Whether something was wrong with the configuration when it was read last.
    pub config_warned: bool,
    /// Whether the user asked for the configuration to be read.
    pub config_asked: bool,
    /// The draft whose files were asked for to send it.
    pub sent_unread: Option<String>,
    /// Whether it was said what to set where Option types characters.
    pub option_said: bool,
    /// What the changes made in the open settings overlay replaced, the newest last.
    pub settings_before: Vec<super::settings::Before>,
}

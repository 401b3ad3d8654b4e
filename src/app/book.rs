//! Bookkeeping of `update` that no pane shows: what is kept back for a moment.
//!
//! Invariant: nothing here is drawn.

use crate::chat::{ConversationId, TurnId};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The chat to show once the store has read it.
    pub open_next: Option<ConversationId>,
    /// Whether the newest chat is to be shown once the list is there.
    pub open_newest: bool,
    /// The turn to select in the chat that is opened next.
    pub open_at: Option<TurnId>,
    /// Whether the user asked for the configuration to be read.
    pub config_asked: bool,
    /// What the changes made in the open settings overlay replaced, the newest last.
    pub settings_before: Vec<super::settings::Before>,
}

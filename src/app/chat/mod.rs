//! What is said: chats and their branches, the composer, sending, the reply being written and how it ends.
//!
//! Invariant: a turn is stored before its reply is asked for; nothing that was said is lost but by deleting it.

pub(super) mod adapters;
pub(super) mod alternatives;
pub(super) mod branch;
pub(super) mod chats;
pub(super) mod compact;
pub(super) mod composer;
pub(super) mod files;
pub(super) mod keeping;
pub(super) mod list;
pub(super) mod look_ahead;
pub(super) mod opening;
pub(super) mod pace;
pub(super) mod prompt;
pub(super) mod reply;
pub(super) mod room;
pub(super) mod send;
pub(super) mod step_mode;
pub(super) mod stop;
pub(super) mod thinking;
pub(super) mod tree;
pub(super) mod unstored;
pub(super) mod usage;
pub(super) mod versions;
pub(super) mod words;

//! `&App` to a ratatui buffer. Nothing here changes the state; what drawing learns, it gives back.

pub mod cache;
pub mod chats;
pub mod composer;
pub mod text;
pub mod transcript;

#[cfg(test)]
pub(crate) mod testing;

//! `&App` to a ratatui buffer. Nothing here changes the state; what drawing learns, it gives back.

pub mod text;

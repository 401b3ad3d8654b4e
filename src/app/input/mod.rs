//! What comes in: keys and the commands they stand for, the mouse, typed commands, the editing of texts.
//!
//! Invariant: what a key does is looked up in the keymap; nothing here knows a key by name but what is typed.

pub(super) mod completion;
pub(super) mod fuzzy;
pub(super) mod keys;
pub(super) mod letters;
pub(super) mod mouse;
pub(super) mod text_edit;

//! A session whose network is changed while the chat itself is read or written.
//!
//! Invariant: the changes end with the guard, on every path and on unwind.

use std::ops::{Deref, DerefMut};

use super::Session;
use crate::chat::Intervention;

/// See [`Session::under`].
pub struct Changed<'s>(&'s mut Session);

impl Session {
    /// Changes the network until what is given is dropped. A lane in between has its own changes.
    pub fn under(&mut self, changes: &[Intervention]) -> Changed<'_> {
        self.change(changes);
        self.changes = changes.to_vec();
        Changed(self)
    }
}

impl Deref for Changed<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.0
    }
}

impl DerefMut for Changed<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.0
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        self.0.changes.clear();
        self.0.change(&[]);
    }
}

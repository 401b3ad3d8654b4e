//! The overlays that are open, one over the other.
//!
//! Invariant: an overlay is found by the type of its state, never by its place.

use std::ops::Deref;

use super::{Overlay, OverlayUnit};

/// Open overlays, the last on top.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlays(Vec<Overlay>);

impl Deref for Overlays {
    type Target = [Overlay];

    fn deref(&self) -> &[Overlay] {
        &self.0
    }
}

impl Overlays {
    /// Opens one over the others.
    pub fn push(&mut self, overlay: impl Into<Overlay>) {
        self.0.push(overlay.into());
    }

    /// Takes the one on top away.
    pub fn pop(&mut self) -> Option<Overlay> {
        self.0.pop()
    }

    /// The one on top, to be changed.
    pub(super) fn last_mut(&mut self) -> Option<&mut Overlay> {
        self.0.last_mut()
    }

    /// The state of the overlay on top, where it is of this kind.
    pub(crate) fn top<T: OverlayUnit>(&self) -> Option<&T> {
        self.last().and_then(T::of)
    }

    /// The same, to be changed.
    pub(crate) fn top_mut<T: OverlayUnit>(&mut self) -> Option<&mut T> {
        self.last_mut().and_then(T::of_mut)
    }

    /// The state of the uppermost open overlay of this kind.
    pub(crate) fn find<T: OverlayUnit>(&self) -> Option<&T> {
        self.iter().rev().find_map(T::of)
    }

    /// The same, to be changed.
    pub(crate) fn find_mut<T: OverlayUnit>(&mut self) -> Option<&mut T> {
        self.0.iter_mut().rev().find_map(T::of_mut)
    }

    /// The uppermost trial: it stands beside the transcript instead of over it, and inks its words.
    pub fn docked(&self) -> Option<&Overlay> {
        self.iter().rev().find(|overlay| overlay.docks())
    }

    /// Whether a trial is open beside the transcript.
    pub fn dock(&self) -> bool {
        self.docked().is_some()
    }

    /// Closes all overlays of this kind, and says nothing to anyone.
    pub(crate) fn remove<T: OverlayUnit>(&mut self) {
        self.0.retain(|overlay| T::of(overlay).is_none());
    }
}

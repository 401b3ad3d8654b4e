//! The text coloured by what a head of the attention station reads.
//!
//! Invariant: a cell is coloured by the largest share of the tokens that it shows; one that was not read is plain.

use std::collections::HashMap;

use crate::app::{App, InkPlace, Inked};
use crate::chat::{Turn, TurnId};
use crate::ui::marks::Marks;

/// What colours the shown messages.
pub(super) struct Ink {
    inked: Inked,
    places: HashMap<TurnId, Vec<InkPlace>>,
}

impl Ink {
    /// What colours these messages now; `None` where nothing does.
    pub fn of(app: &App, branch: &[&Turn]) -> Option<Self> {
        let inked = app.ink()?;
        let places = app.ink_places(&inked, branch).into_iter().collect();
        Some(Self { inked, places })
    }

    /// The step of what a stretch of a message's shown text shows.
    pub fn level(&self, turn: TurnId, marks: &Marks, start: usize, end: usize) -> Option<usize> {
        let places = self.places.get(&turn)?;
        let first = places.partition_point(|place| marks.shown(place.1) <= start);
        let over = places[first..].iter().take_while(|place| marks.shown(place.0) < end);
        let share = over.filter(|place| place.1 > place.0).map(|place| place.2).reduce(f32::max)?;
        Some(self.inked.level(share))
    }
}

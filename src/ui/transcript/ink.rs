//! The text coloured by what a head of the attention station reads.
//!
//! Invariant: a cell is coloured by the largest share of the tokens that it shows; one that was not read is plain.

use std::rc::Rc;

use crate::app::{App, Inked};
use crate::chat::{RunId, Turn, TurnId};
use crate::ui::cache::{Cache, Places};
use crate::ui::marks::Marks;

/// What colours the shown messages.
pub(super) struct Ink {
    inked: Inked,
    run: RunId,
    /// How many of the positions are the run's prompt.
    prompt: usize,
    places: Rc<Places>,
}

impl Ink {
    /// What colours these messages now; `None` where nothing does.
    pub fn of(app: &App, cache: &mut Cache, branch: &[&Turn]) -> Option<Self> {
        let inked = app.ink()?;
        let (run, prompt) = inked.prompt?;
        let ids = &inked.ids[..prompt.min(inked.ids.len())];
        let places = cache.ink_places(app, ids, run, branch);
        Some(Self { inked, run, prompt, places })
    }

    /// The step of what a stretch of a message's shown text shows.
    pub fn level(&self, turn: TurnId, marks: &Marks, start: usize, end: usize) -> Option<usize> {
        let share = |position: usize| self.inked.shares.get(position).copied();
        let share = if marks.has_run(self.run) {
            let own = marks.over(start, end).filter_map(|(token, _)| marks.index_in_run(token, self.run));
            own.filter_map(|index| share(self.prompt + index)).reduce(f32::max)?
        } else {
            let places = self.places.get(&turn)?;
            let first = places.partition_point(|place| marks.shown(place.1) <= start);
            let over = places[first..].iter().take_while(|place| marks.shown(place.0) < end);
            over.filter(|place| place.1 > place.0).filter_map(|place| share(place.2)).reduce(f32::max)?
        };
        Some(self.inked.level(share))
    }
}

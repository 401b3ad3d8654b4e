//! A lane: where a text is read beside the chat. A sequence of its own where that fits, sharing what is held already,
//! so that only what differs is decoded; else the chat's own.
//!
//! Invariant: dropping a lane gives back all that it took, on every path and on unwind: its sequences are free, the
//! network is changed as it was before, the probe copies nothing. Only a lane on the chat's own sequence leaves what it
//! read there, and [`Session::cached`] names it.

use std::ops::Range;

use super::branch_cache::Beginning;
use super::sequences::{FIRST, LAST, SCRATCH_CELLS};
use super::text::Text;
use super::{CHAT, Halt, Item, Rows, Session};
use crate::chat::Intervention;
use crate::engine::probe::{Captured, Plan};

/// The sequence that a lane reads on. Further ones, where a text goes on in several ways, come after it.
pub const SCRATCH: u8 = FIRST;
/// The last of those.
pub const LAST_SCRATCH: u8 = LAST;
/// Where the last token is read once more under other changes.
const TRIED: u8 = SCRATCH + 1;
/// From so many tokens on it is worth keeping what was read.
const WORTH_KEEPING: usize = 16;

/// Where the tokens are decoded.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Beside the chat, beginning with what is held already.
    Beside(Beginning),
    /// On the chat's own sequence.
    Chat,
}

/// A text being read; see the module.
pub struct Lane<'s> {
    session: &'s mut Session,
    text: Text<'s>,
    place: Place,
    /// How many of the text's tokens are held.
    at: usize,
    /// How many of these are the source's own cells.
    taken: usize,
    /// How many were held at first.
    begun: usize,
    decoded: usize,
    displaced: usize,
    /// From here on other changes were in force than those of the text.
    altered: Option<usize>,
    /// Whether what was read may be kept.
    keeps: bool,
    /// The last sequence that was used.
    last: u8,
}

impl Session {
    /// A lane for a text. The network is changed as the text says until the lane is dropped.
    pub fn lane<'s>(&'s mut self, text: Text<'s>) -> Lane<'s> {
        if let Some(from) = self.beginning(&text) {
            return Lane::beside(self, text, from, true);
        }
        let before = self.cached().len();
        self.is_of_none();
        let at = self.reuse_at_most(text.ids, text.first, text.changes);
        let mut lane = Lane::new(self, text, Place::Chat, at);
        lane.displaced = before - at;
        lane
    }

    /// A lane that leaves the chat's sequence alone and is soon through, for what is read while the chat grows; `None`
    /// where it would need more than that.
    pub fn lane_beside<'s>(&'s mut self, text: Text<'s>) -> Option<Lane<'s>> {
        let text = Text { most: SCRATCH_CELLS, ..text };
        let from = self.beginning(&text)?;
        Some(Lane::beside(self, text, from, false))
    }
}

impl<'s> Lane<'s> {
    fn beside(session: &'s mut Session, text: Text<'s>, from: Beginning, keeps: bool) -> Self {
        let at = from.count.min(text.first);
        let mut lane = Self::new(session, text, Place::Beside(from), at);
        (lane.taken, lane.keeps) = (at, keeps);
        lane
    }

    fn new(session: &'s mut Session, text: Text<'s>, place: Place, at: usize) -> Self {
        session.change(text.changes);
        Self {
            session,
            text,
            place,
            at,
            taken: 0,
            begun: at,
            decoded: 0,
            displaced: 0,
            altered: None,
            keeps: false,
            last: SCRATCH,
        }
    }

    /// The session, to ask for what was read.
    pub fn session(&self) -> &Session {
        self.session
    }

    /// How many of the text's tokens are held.
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many tokens were decoded.
    pub fn decoded(&self) -> usize {
        self.decoded
    }

    /// How many will have been decoded when the text is read to its end.
    pub fn total(&self) -> usize {
        self.text.ids.len() - self.begun
    }

    /// How many of the chat's tokens had to go for the text.
    pub fn displaced(&self) -> usize {
        self.displaced
    }

    /// What the next batches are to show; an empty plan ends it.
    pub fn probe(&self, plan: Plan) {
        self.session.probe().plan(plan);
    }

    /// What the last batch showed; those after it show nothing.
    pub fn captured(&self) -> Captured {
        self.session.probe().plan(Plan::default());
        self.session.probe().take()
    }

    /// Changes the network otherwise from here on.
    pub fn change(&mut self, changes: &[Intervention]) {
        if changes != self.text.changes {
            self.altered.get_or_insert(self.at);
        }
        self.session.change(changes);
    }

    /// Reads up to before `end`, in slices; `progress` is told how many tokens were decoded, of [`Lane::total`].
    ///
    /// # Errors
    /// See [`Halt`]; nothing can be read after that.
    pub fn read_to(&mut self, end: usize, progress: impl FnMut(usize, usize)) -> Result<(), Halt> {
        self.read(end, Rows::None, progress)
    }

    /// Reads the whole text; the last token's logits are then [`Session::logits`]. Fails as [`Lane::read_to`].
    pub fn read_all(&mut self, progress: impl FnMut(usize, usize)) -> Result<(), Halt> {
        self.read(self.text.ids.len(), Rows::Last, progress)
    }

    fn read(&mut self, end: usize, rows: Rows, mut progress: impl FnMut(usize, usize)) -> Result<(), Halt> {
        while self.at < end {
            let stop = self.batch_end(self.session.slice()).min(end);
            self.decode_to(stop, if stop == end { rows } else { Rows::None })?;
            progress(self.decoded, self.total());
        }
        Ok(())
    }

    /// Reads at most `most` tokens, none at `end` or beyond, each with its logits, which are then at [`Session::row`];
    /// gives which. Fails as [`Lane::read_to`].
    pub fn read_rows(&mut self, end: usize, most: usize) -> Result<Range<usize>, Halt> {
        let start = self.at;
        let stop = self.batch_end(most.min(self.session.most_rows())).min(end);
        self.decode_to(stop, Rows::All)?;
        Ok(start..stop)
    }

    /// Where a batch of so many tokens ends. What is held and what is not do not mix, so that never more cells are
    /// taken than the text was given.
    fn batch_end(&self, most: usize) -> usize {
        let end = self.at + most;
        match self.place {
            Place::Beside(from) if self.at < from.count => end.min(from.count),
            _ => end,
        }
    }

    /// Decodes what follows up to before `end` as one batch. Fails as [`Lane::read_to`].
    pub fn decode_to(&mut self, end: usize, rows: Rows) -> Result<(), Halt> {
        let (start, ids) = (self.at, &self.text.ids[self.at..end]);
        match self.place {
            Place::Beside(from) => {
                // Cells that are held cost nothing, and what was read of these tokens before is free again.
                if start <= from.count {
                    self.session.fork(from.sequence, SCRATCH, start);
                    self.taken = start;
                }
                self.session.decode_on(SCRATCH, start, ids, rows)?;
            }
            Place::Chat => self.session.append(ids, rows)?,
        }
        self.at = end;
        self.decoded += end - start;
        Ok(())
    }

    /// Reads the last token once more under other changes, beside what is held before it; its logits are then
    /// [`Session::logits`]. The text can be read on afterwards as if that had not been. Fails as [`Lane::read_to`].
    pub fn try_last(&mut self, changes: &[Intervention]) -> Result<(), Halt> {
        let end = self.text.ids.len() - 1;
        self.read_to(end, |_, _| ())?;
        let last = &self.text.ids[end..];
        self.session.change(changes);
        let decoded = match self.place {
            Place::Beside(from) => {
                let source = if self.at <= from.count { from.sequence } else { SCRATCH };
                self.session.fork(source, TRIED, end);
                self.last = self.last.max(TRIED);
                self.session.decode_on(TRIED, end, last, Rows::Last)
            }
            Place::Chat => {
                let decoded = self.session.append(last, Rows::Last);
                self.at = self.session.keep(end);
                decoded
            }
        };
        self.session.change(self.text.changes);
        decoded?;
        self.decoded += 1;
        Ok(())
    }

    /// Keeps what was read for the next text that begins like it, if that was much.
    pub fn keep(&mut self) {
        let Place::Beside(from) = self.place else { return };
        let held = self.altered.map_or(self.at, |altered| altered.min(self.at));
        if self.keeps && held >= from.count + WORTH_KEEPING {
            let from = Beginning { count: self.taken, ..from };
            self.session.keep_branch(SCRATCH, &self.text.ids[..held], from, self.text.changes);
        }
    }

    /// The whole text was read and goes on in several ways: it is on [`SCRATCH`], and the sequences up to
    /// [`LAST_SCRATCH`] are free.
    pub fn spread(&mut self) {
        self.session.forget_branch();
        self.last = LAST_SCRATCH;
        if let Place::Chat = self.place {
            self.session.fork(CHAT, SCRATCH, self.at);
        }
    }

    /// Makes one of the sequences that a spread text may use hold the first `count` tokens of another.
    pub fn fork(&mut self, from: u8, to: u8, count: usize) {
        self.session.fork(from, to, count);
    }

    /// Decodes one batch over several sequences. Logits are at [`Session::row`] by index into `items`. Fails as
    /// [`Lane::read_to`].
    pub fn decode_items(&mut self, items: Vec<Item>) -> Result<(), Halt> {
        self.decoded += items.len();
        self.session.decode_items(items)
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        let session = &mut *self.session;
        session.probe().plan(Plan::default());
        let changes = session.changes.clone();
        session.change(&changes);
        if let (Place::Chat, Some(at)) = (self.place, self.altered) {
            // Keys of these tokens were computed under changes that the prefix does not name.
            session.keep(at);
        }
        (SCRATCH..=self.last).for_each(|sequence| session.drop_sequence(sequence));
    }
}

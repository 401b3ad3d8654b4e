//! What a job asks of the made-up model's inside.
//!
//! Invariant: the numbers are [`super::network`]'s; here a text is read for them as a real model would read it.

mod depths;
mod stretch;

use std::sync::Arc;
use std::time::Instant;

use super::model::{Control, Model};
use super::network::{check, opened, table};
use super::reading::Reading;
use super::vocabulary::Pieces;
use super::{ScriptedOptions, other};
use crate::engine::milliseconds;
use crate::engine::protocol::{Directed, Direction, Embed, Event, Failure, Inspect, Inspected, Inspection};

impl Model {
    /// Opens the pass at the last of these ids.
    pub(super) fn inspect(
        &self,
        request: &Inspect,
        options: &ScriptedOptions,
        control: &Control<'_>,
    ) -> Result<Event, Failure> {
        let begun = Instant::now();
        check(&request.want, &request.ablations, request.ids.len())?;
        let (reading, decoded) = self.read_aside(&request.ids, options, control)?;
        let mut seen = opened(&reading, request);
        seen.decoded = decoded;
        seen.ms = milliseconds(begun);
        Ok(Event::Inspected(Box::new(seen)))
    }

    /// A made-up direction between two texts: one dimension, from the likeliest token of one to that of the other.
    pub(super) fn direct(&self, request: &Direction) -> Result<Event, Failure> {
        self.fits(&request.towards)?;
        self.fits(&request.away)?;
        if request.towards == request.away {
            return Err(other("The two texts have the same mean here, so there is no direction.".into()));
        }
        Ok(Event::Directed(Box::new(Directed {
            direction: vec![0.6, 0.8],
            distance: 12.0,
            norms: (40.0, 42.0),
            cosine: 0.96,
            separation: Some(2.5),
            decoded: (request.towards.len() + request.away.len()) as u32,
            ms: 1.0,
        })))
    }

    /// Answers a question to the made-up embedding table.
    pub(super) fn embed(&self, request: &Embed) -> Result<Event, Failure> {
        let known = request.sum.iter().map(|(id, _)| *id).chain(request.span.iter().copied());
        self.fits(&known.collect::<Vec<_>>())?;
        Ok(Event::Embedded(Box::new(table::embed(&self.pieces.vocabulary, request))))
    }
}

/// What is answered while a reply is being written.
pub(super) fn beside(pieces: &Arc<Pieces>, inspection: &Inspection) -> Result<Event, Failure> {
    match inspection {
        Inspection::Inspect(request) => {
            let begun = Instant::now();
            check(&request.want, &request.ablations, request.ids.len())?;
            let reading = Reading::of(pieces, &request.ids);
            let seen = opened(&reading, request);
            Ok(Event::Inspected(Box::new(Inspected { decoded: 1, ms: milliseconds(begun), ..seen })))
        }
        Inspection::Embed(request) => {
            Ok(Event::Embedded(Box::new(table::embed(&pieces.vocabulary, request))))
        }
    }
}

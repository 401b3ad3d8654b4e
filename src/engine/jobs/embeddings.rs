//! Questions to the embedding table.
//!
//! Invariant: nothing is decoded.

use crate::engine::analysis::{Inside, embeddings};
use crate::engine::protocol::{Embed, Event};
use crate::engine::session::Session;

/// Answers a question to the embedding table.
pub fn embed(session: &Session, inside: &mut Inside, request: &Embed) -> Event {
    let operand = session.probe().operands().table.map(|operand| (&mut inside.graphs, operand));
    let found = embeddings::embed(&mut inside.table, operand, request);
    found.map_or_else(Event::Failed, |facts| Event::Embedded(Box::new(facts)))
}

//! What the worker computes beside the chat: also between the tokens of a reply.
//!
//! Invariant: the chat's sequence is never needed where a reply is being written on it.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Event;
use super::{Embed, Inspect};
use crate::chat::Intervention;

/// What is opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Inspection {
    /// One forward pass opened: lens, attention, neurons, attribution → [`Event::PromptProgress`]…,
    /// [`Event::Inspected`]. Runs on a scratch sequence like Replay.
    Inspect(Box<Inspect>),
    /// Rows of the embedding table → [`Event::Embedded`].
    Embed(Box<Embed>),
}

impl Inspection {
    /// What is changed in the network meanwhile.
    #[must_use]
    pub fn interventions(&self) -> &[Intervention] {
        match self {
            Self::Inspect(request) => &request.interventions,
            Self::Embed(_) => &[],
        }
    }
}

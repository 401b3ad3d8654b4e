//! Requests and events between app and engine: length-prefixed MessagePack with named fields. From version 10 on a mark
//! stands before an engine's first frame, so that it is found behind what a login shell prints.
//!
//! Invariants: an event carries the id of the request that it answers, so a stale one is dropped in one
//! place; exactly one **final** event answers each request (see [`Event::is_final`]); a cancelled request
//! still gets its final event. Adding a field needs `#[serde(default)]`; removing one, a new version.

mod attend;
mod capabilities;
mod changes;
mod containment;
mod contrast;
mod depths;
mod events;
mod failure;
mod immediate;
mod inspection;
mod job;
mod lacking;
mod live;
mod loaded;
mod passes;
mod rescore;
mod written;

pub use crate::token::Odds;
pub use attend::{Attend, Attended, Attending, ROWS};
pub use capabilities::{Capabilities, Capability};
pub(crate) use changes::site;
pub use changes::{Directed, Direction, Patch, switched_off};
pub use containment::{Containment, Held, Measure};
pub use contrast::{Contrasted, Contrasting, Part};
pub use depths::Depths;
pub use events::Event;
pub use failure::{Exit, Failure, FailureKind, GAVE_UP};
pub use immediate::{CapturePlan, Immediate};
pub use inspection::Inspection;
pub use job::{Generate, Job, Message, Prompt, Reasoned, StoredTokens, TemplateSetting};
pub use live::{Live, LiveInside, every};
pub use loaded::{Loaded, Memory, PromptFacts, Rendered, Runner, Switches, TemplateKind};
pub use passes::{
    Beam, BeamPaths, ChainSetup, Embed, Inspect, Inspected, Path, Replay, Replayed, Score, Want,
};
pub use rescore::{Rescore, Rescored};
pub use written::{Distance, Written};

use serde::{Deserialize, Serialize};

/// Version of this protocol, the first thing an engine says.
pub const VERSION: u32 = 10;

/// Names one request; chosen by the app, rising. 0 is the engine speaking unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// A request with its id, as it crosses the pipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the app.
    pub id: RequestId,
    /// What is asked.
    pub request: Request,
}

/// An event with the id of the request it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The request, or 0.
    pub id: RequestId,
    /// What happened.
    pub event: Event,
}

/// What an engine can be asked, by who answers: who is given the one cannot be given the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Answered by whoever reads requests.
    Immediate(Immediate),
    /// Done by the worker, one after the other.
    Job(Job),
    /// Done by the worker, also between the tokens of a reply.
    Inspection(Inspection),
}

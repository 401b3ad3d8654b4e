//! What is asked of the engine: one table of what is in flight, and [`Query`], one question at a time.
//!
//! Invariants: an id stands in the table from the moment it is asked until its final event, or until it is given up or
//! the engine is gone; whoever asked learns of that by the table alone. What belongs to nobody any more is dropped.

mod query;
#[cfg(test)]
mod tests;

pub(crate) use query::Answer;
pub use query::{Query, Question, Status};

use std::collections::BTreeMap;

use super::{Effect, EngineId};
use crate::engine::protocol::{Capabilities, Capability, Event, Immediate, Job, Request, RequestId};

/// Who asked, and is told what comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The model is being loaded.
    Load,
    /// Its vocabulary is asked for.
    Vocabulary,
    /// The token of a watched text is asked for.
    Watched,
    /// The draft's tokens are counted.
    DraftCount,
    /// The tokens of what a label of the draft stands for are counted.
    ChipCount,
    /// The tokens of what lies in a message that was sent are counted.
    InsertCount,
    /// The reply being written.
    Reply,
    /// A summary of older messages.
    Compact,
    /// What the model thought of typed text.
    Scores,
    /// The look at the token on display.
    Look,
    /// The open list of alternatives.
    Alternatives,
    /// The open look ahead.
    LookAhead,
    /// The steering panel.
    Steering,
    /// A reply read again after an edit on trial.
    WhatIf,
    /// Another model held against this one.
    Microscope,
    /// A reply read again without a sentence of its prompt.
    Weights,
    /// The open station.
    Station,
    /// The attention station, beyond one pass.
    Attention,
    /// The layers of many passes.
    Depths,
}

impl Asker {
    /// Whether it is given up when someone else asks for that; it asks again once it is wanted.
    fn gives_way_to(self, request: &Request) -> bool {
        match self {
            Self::Scores => matches!(request, Request::Job(Job::Generate(_))),
            Self::Weights => keeps_model_busy(request),
            _ => false,
        }
    }
}

/// Whether a request runs on the model, rather than being answered at once.
fn keeps_model_busy(request: &Request) -> bool {
    match request {
        Request::Immediate(_) | Request::Job(Job::Load { .. }) => false,
        Request::Job(_) | Request::Inspection(_) => true,
    }
}

/// A request in flight.
#[derive(Debug)]
struct InFlight {
    asker: Asker,
    keeps_model_busy: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Requests {
    /// The load of an engine that is listened to; after a reload it is another.
    engine: EngineId,
    /// Last id given out.
    last: u64,
    /// What is in flight.
    in_flight: BTreeMap<RequestId, InFlight>,
    /// What this update asks for so far, in order: of the engine, and of anyone else.
    pub(crate) out: Vec<Effect>,
    /// Whether the model was used since that was last asked.
    used: bool,
    /// What the engine can do, once its model is loaded.
    capabilities: Option<Capabilities>,
    /// What was asked of it in this update though it cannot do it, and was not sent.
    impossible: Vec<(RequestId, Capability)>,
}

impl Requests {
    /// The engine that is listened to, by its load.
    pub fn engine(&self) -> EngineId {
        self.engine
    }

    /// Asks, and notes who is to be told.
    pub(crate) fn ask(&mut self, asker: Asker, request: Request) -> RequestId {
        self.give_way(asker, &request);
        let keeps_model_busy = keeps_model_busy(&request);
        let lacking = self.capabilities.as_ref().and_then(|all| all.lacks(&request));
        let id = match lacking {
            None => self.send(request),
            Some(lacking) => {
                let id = self.next_id();
                self.impossible.push((id, lacking));
                id
            }
        };
        self.in_flight.insert(id, InFlight { asker, keeps_model_busy });
        self.used |= keeps_model_busy;
        id
    }

    /// Tells the engine something whose answer nobody waits for.
    pub(crate) fn tell(&mut self, request: Request) {
        self.send(request);
    }

    /// What may wait is given up for what may not.
    fn give_way(&mut self, asker: Asker, request: &Request) {
        let gives_way = |of: Asker| of != asker && of.gives_way_to(request);
        let ids: Vec<RequestId> =
            self.in_flight.iter().filter(|(_, of)| gives_way(of.asker)).map(|(id, _)| *id).collect();
        for id in ids {
            self.give_up(id);
        }
    }

    fn next_id(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }

    /// The model is loaded; what its engine did not name is not asked of it.
    pub(crate) fn engine_can(&mut self, capabilities: Capabilities) {
        self.capabilities = Some(capabilities);
    }

    /// What was asked since the last call and the engine cannot do.
    pub(crate) fn take_impossible(&mut self) -> Vec<(RequestId, Capability)> {
        std::mem::take(&mut self.impossible)
    }

    fn send(&mut self, request: Request) -> RequestId {
        let id = self.next_id();
        self.out.push(Effect::Engine(self.engine, id, Box::new(request)));
        id
    }

    /// Stops a request and forgets it: what the engine still says is not heard.
    pub(crate) fn give_up(&mut self, id: RequestId) {
        if self.in_flight.remove(&id).is_some() {
            self.send(Request::Immediate(Immediate::Cancel { target: id }));
        }
    }

    /// Stops whatever one asker waits for.
    pub(crate) fn give_up_all(&mut self, asker: Asker) {
        while let Some(id) = self.of(asker) {
            self.give_up(id);
        }
    }

    /// Forgets a request without stopping it.
    pub(crate) fn forget(&mut self, id: RequestId) {
        self.in_flight.remove(&id);
    }

    /// Whether a request is still waited for.
    pub fn is_in_flight(&self, id: RequestId) -> bool {
        self.in_flight.contains_key(&id)
    }

    /// The oldest request of an asker that is in flight.
    pub fn of(&self, asker: Asker) -> Option<RequestId> {
        self.in_flight.iter().find(|(_, of)| of.asker == asker).map(|(id, _)| *id)
    }

    /// Whom an event is for; its request is over if that was the last one.
    pub(crate) fn answered(&mut self, id: RequestId, event: &Event) -> Option<Asker> {
        let of = self.in_flight.get(&id)?;
        let asker = of.asker;
        self.used |= of.keeps_model_busy;
        if event.is_final() {
            self.in_flight.remove(&id);
        }
        Some(asker)
    }

    /// Another engine is listened to from here on.
    pub(crate) fn next_engine(&mut self) -> EngineId {
        self.engine_is_gone();
        self.engine = EngineId(self.engine.0 + 1);
        self.engine
    }

    /// Nothing of what was asked comes any more.
    pub(crate) fn engine_is_gone(&mut self) {
        self.in_flight.clear();
        self.impossible.clear();
        self.capabilities = None;
    }

    /// Whether the model was asked for something, or answered, since the last call.
    pub(crate) fn take_used(&mut self) -> bool {
        std::mem::take(&mut self.used)
    }
}

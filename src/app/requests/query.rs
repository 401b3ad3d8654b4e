//! One question to the engine at a time: asked when wanted, cancelled when not, never repeated after a refusal by the
//! same load of an engine.
//!
//! Invariant: [`Query::sync`] is called after every message, so that what is known of an engine that is gone is
//! forgotten before anything is drawn of it.

use super::{Asker, Requests};
use crate::app::EngineId;
use crate::engine::protocol::{Event, FailureKind, Request, RequestId};

/// What tells one question from another: a few small numbers, never everything that is sent for it.
pub trait Question: Clone + PartialEq {
    /// Who asks it.
    const ASKER: Asker;
}

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Query<K> {
    /// The load of an engine that everything here is of.
    engine: EngineId,
    /// What is being asked.
    pending: Option<Pending<K>>,
    /// What this engine could not tell, and why.
    refused: Vec<Refusal<K>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Pending<K> {
    key: K,
    request: RequestId,
    progress: Option<(u32, u32)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Refusal<K> {
    key: K,
    why: String,
    /// Only for the reply that is being written: it may be asked again afterwards.
    for_reply: bool,
}

/// How a question stands that has no answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status<'a> {
    /// Not asked.
    Unasked,
    /// Being read: tokens done of tokens to read, once that was told.
    Reading(Option<(u32, u32)>),
    /// This engine could not tell, and why.
    Refused(&'a str),
}

impl Status<'_> {
    /// Why there is nothing to see yet, in one line; `doing` says what is being done before it is known how far it is.
    pub fn sentence(self, doing: &str) -> Option<String> {
        match self {
            Self::Unasked => None,
            Self::Reading(None) => Some(format!("{doing}…")),
            Self::Reading(Some((done, of))) => {
                Some(format!("the model reads it again: {done} of {of} tokens"))
            }
            Self::Refused(why) => Some(why.to_owned()),
        }
    }
}

/// What an event means to the one who asked.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer<K> {
    /// A part of the answer; more comes.
    Part(K, Event),
    /// The last of it.
    Whole(K, Event),
    /// It could not be done, and why; this engine is not asked again.
    Refused(K, String),
}

impl<K> Default for Query<K> {
    fn default() -> Self {
        Self { engine: EngineId::default(), pending: None, refused: Vec::new() }
    }
}

impl<K: Question> Query<K> {
    /// Brings the question in line with what is wanted now. `request` is made only when it is asked, or says why it
    /// cannot be.
    pub(crate) fn follow(
        &mut self,
        wanted: Option<K>,
        requests: &mut Requests,
        request: impl FnOnce(&K) -> Result<Request, String>,
    ) {
        let Some(key) = self.sync(wanted, requests) else { return };
        match request(&key) {
            Ok(request) => self.asked(key, requests.ask(K::ASKER, request)),
            Err(why) => self.refuse(key, why),
        }
    }

    /// Cancels what is not wanted any more; gives the question that is to be asked now, if there is one.
    #[must_use = "the question is not asked yet"]
    pub(crate) fn sync(&mut self, wanted: Option<K>, requests: &mut Requests) -> Option<K> {
        self.forget_gone(requests);
        let wanted = wanted.filter(|key| self.refusal(key).is_none());
        if wanted.is_some() && self.pending() == wanted.as_ref() {
            return None;
        }
        self.pending = None;
        requests.give_up_all(K::ASKER);
        wanted
    }

    /// Forgets what another engine was asked or said, what was given up for something else, and refusals that were
    /// for a reply's sake.
    pub(crate) fn forget_gone(&mut self, requests: &Requests) {
        if self.engine != requests.engine() {
            *self = Self { engine: requests.engine(), ..Self::default() };
        }
        self.pending.take_if(|pending| !requests.is_in_flight(pending.request));
        if requests.of(Asker::Reply).is_none() {
            self.refused.retain(|refusal| !refusal.for_reply);
        }
    }

    /// It was asked.
    pub(crate) fn asked(&mut self, key: K, request: RequestId) {
        self.pending = Some(Pending { key, request, progress: None });
    }

    /// Takes an event of a request; `None` where there is nothing to do.
    pub(crate) fn event(&mut self, id: RequestId, event: Event) -> Option<Answer<K>> {
        let pending = self.pending.as_mut().filter(|pending| pending.request == id)?;
        if let Event::PromptProgress { done, total } = event {
            pending.progress = Some((done, total));
            return None;
        }
        if !event.is_final() {
            return Some(Answer::Part(pending.key.clone(), event));
        }
        let Pending { key, .. } = self.pending.take()?;
        match event {
            Event::Failed(failure) if failure.kind == FailureKind::Cancelled => None,
            Event::Failed(failure) => {
                let for_reply = failure.kind == FailureKind::Busy;
                self.refused.push(Refusal { key: key.clone(), why: failure.message.clone(), for_reply });
                Some(Answer::Refused(key, failure.message))
            }
            event => Some(Answer::Whole(key, event)),
        }
    }

    /// Notes that this engine cannot tell, though it did not say so.
    pub(crate) fn refuse(&mut self, key: K, why: String) {
        self.refused.push(Refusal { key, why, for_reply: false });
    }

    /// Cancels what is under way; it is asked again if it is still wanted.
    pub(crate) fn give_up(&mut self, requests: &mut Requests) {
        if let Some(pending) = self.pending.take() {
            requests.give_up(pending.request);
        }
    }

    /// How a question stands that has no answer.
    pub fn status(&self, key: &K) -> Status<'_> {
        match &self.pending {
            Some(pending) if pending.key == *key => Status::Reading(pending.progress),
            _ => self.refusal(key).map_or(Status::Unasked, Status::Refused),
        }
    }

    /// What is being asked.
    pub fn pending(&self) -> Option<&K> {
        self.pending.as_ref().map(|pending| &pending.key)
    }

    /// Why this engine could not tell, if it was asked.
    pub fn refusal(&self, key: &K) -> Option<&str> {
        self.refused.iter().find(|refusal| refusal.key == *key).map(|refusal| refusal.why.as_str())
    }
}

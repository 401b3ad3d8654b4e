//! What an engine can do beyond writing replies, so that it need not be asked for what it cannot.
//!
//! Invariant: a request that needs a capability which an engine did not name is never sent to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Immediate, Inspection, Job, Request};

/// Something that not every engine can do, or not with every model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Capability {
    /// Tell how likely a text's own tokens are, after any prompt.
    Scores,
    /// Give a past pass's whole distribution, and run the sampler chain on it again.
    Replay,
    /// Follow several continuations at once.
    Beam,
    /// Open passes: logit lens, neurons, attribution, and what changes when parts are switched off or patched.
    OpensPasses,
    /// Show attention over stretches of text.
    Attention,
    /// Read the layers of many passes.
    LayerGrid,
    /// Find directions to steer along.
    Steering,
    /// Answer questions to the embedding table.
    Embeddings,
    /// Tell how the tokenizer cut and merged a text.
    Pieces,
}

impl Capability {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Scores,
        Self::Replay,
        Self::Beam,
        Self::OpensPasses,
        Self::Attention,
        Self::LayerGrid,
        Self::Steering,
        Self::Embeddings,
        Self::Pieces,
    ];
}

/// What one engine can do with the model it has loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(BTreeSet<Capability>);

impl Capabilities {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self(Capability::ALL.into())
    }

    /// The same without one.
    #[must_use]
    pub fn without(mut self, capability: Capability) -> Self {
        self.0.remove(&capability);
        self
    }

    /// What a request needs and is not there.
    #[must_use]
    pub fn lacks(&self, request: &Request) -> Option<Capability> {
        request.needs().filter(|needed| !self.0.contains(needed))
    }
}

impl Request {
    /// What an engine must be able to do for it; `None` for what all can.
    #[must_use]
    pub fn needs(&self) -> Option<Capability> {
        match self {
            Self::Immediate(Immediate::Pieces { .. }) => Some(Capability::Pieces),
            Self::Immediate(_) => None,
            Self::Job(job) => match job {
                Job::Load { .. } | Job::Generate(_) | Job::Chat(_) | Job::Forget(_) => None,
                Job::Score(_) | Job::Rescore(_) => Some(Capability::Scores),
                Job::Replay(_) => Some(Capability::Replay),
                Job::Beam(_) => Some(Capability::Beam),
                Job::Depths(_) => Some(Capability::LayerGrid),
                Job::Direction(_) => Some(Capability::Steering),
                Job::Attend(_) | Job::Calibrate => Some(Capability::Attention),
            },
            Self::Inspection(Inspection::Inspect(_)) => Some(Capability::OpensPasses),
            Self::Inspection(Inspection::Embed(_)) => Some(Capability::Embeddings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_did_not_name_it_lacks_and_replies_need_nothing() {
        let matrix = Request::Job(Job::Attend(Box::default()));
        let none = Capabilities::default();
        assert_eq!(none.lacks(&matrix), Some(Capability::Attention));
        assert_eq!(Capabilities::all().lacks(&matrix), None);
        let some = Capabilities::all().without(Capability::Attention);
        assert_eq!(some.lacks(&matrix), Some(Capability::Attention));
        assert_eq!(some.lacks(&Request::Inspection(Inspection::Inspect(Box::default()))), None);
        assert_eq!(none.lacks(&Request::Immediate(Immediate::Vocabulary)), None);
    }
}

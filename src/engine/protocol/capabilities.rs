//! What an engine can do beyond writing replies, so that it need not be asked for what it cannot.
//!
//! Invariant: a request that needs a capability which an engine did not name is never sent to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Generate, Immediate, Inspection, Job, Prompt, Request};

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
    /// Go on from exactly these tokens: branches, alternatives, steps, replies continued to the letter.
    Ids,
    /// Go on with a message of the model's that has begun, from its text.
    Continues,
    /// Count and name the tokens of a text.
    Tokenizes,
    /// Show the prompt that a chat becomes.
    Renders,
    /// Tell chosen tokens' odds at every step.
    Watches,
    /// Record what each sampler left.
    Stages,
    /// Take changes to the network: parts switched off, steering, adapters.
    Changes,
    /// Hold a second model's whole distributions against the loaded one's.
    Contrast,
}

impl Capability {
    /// All there are.
    pub const ALL: [Self; 17] = [
        Self::Scores,
        Self::Replay,
        Self::Beam,
        Self::OpensPasses,
        Self::Attention,
        Self::LayerGrid,
        Self::Steering,
        Self::Embeddings,
        Self::Pieces,
        Self::Ids,
        Self::Continues,
        Self::Tokenizes,
        Self::Renders,
        Self::Watches,
        Self::Stages,
        Self::Changes,
        Self::Contrast,
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

    /// These alone.
    #[must_use]
    pub fn of(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self(capabilities.into_iter().collect())
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// What a request needs and is not there; the first of several.
    #[must_use]
    pub fn lacks(&self, request: &Request) -> Option<Capability> {
        request.needs().into_iter().find(|needed| !self.has(*needed))
    }
}

impl Request {
    /// What an engine must be able to do for it; nothing for what all can.
    #[must_use]
    pub fn needs(&self) -> Vec<Capability> {
        match self {
            Self::Immediate(immediate) => match immediate {
                Immediate::Pieces { .. } => vec![Capability::Pieces],
                Immediate::Tokenize { .. } => vec![Capability::Tokenizes],
                Immediate::Render(_) => vec![Capability::Renders],
                _ => Vec::new(),
            },
            Self::Job(job) => match job {
                Job::Load { .. } | Job::Chat(_) | Job::Forget(_) => Vec::new(),
                Job::Generate(generate) => generate.needs(),
                Job::Score(_) => vec![Capability::Scores],
                // The reply is read after a prompt whose tokens have to be known.
                Job::Rescore(_) => vec![Capability::Scores, Capability::Renders],
                Job::Contrast(_) => vec![Capability::Contrast],
                Job::Replay(_) => vec![Capability::Replay],
                Job::Beam(_) => vec![Capability::Beam],
                Job::Depths(_) => vec![Capability::LayerGrid],
                Job::Direction(_) => vec![Capability::Steering],
                Job::Attend(_) | Job::Calibrate => vec![Capability::Attention],
            },
            Self::Inspection(Inspection::Inspect(_)) => vec![Capability::OpensPasses],
            Self::Inspection(Inspection::Embed(_)) => vec![Capability::Embeddings],
        }
    }
}

impl Generate {
    /// What an engine must be able to do to write this reply.
    fn needs(&self) -> Vec<Capability> {
        let from = match &self.prompt {
            Prompt::Ids { .. } => Some(Capability::Ids),
            Prompt::Chat { continue_last: true, .. } => Some(Capability::Continues),
            Prompt::Chat { .. } | Prompt::Raw { .. } => None,
        };
        let changes = (!self.interventions.is_empty()).then_some(Capability::Changes);
        from.into_iter().chain(changes).collect()
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

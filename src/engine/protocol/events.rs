//! What an engine says.
//!
//! Invariant: exactly one event of a request is final, and it is the last.

use serde::{Deserialize, Serialize};

use super::VERSION;
use super::{
    Attended, BeamPaths, Containment, Contrasted, Directed, Exit, Failure, Inspected, Loaded, PromptFacts,
    Rendered, Replayed, Rescored, Written,
};
#[cfg(doc)]
use super::{Immediate, Inspection, Job};
use crate::chat::{StopReason, Timings, Usage};
use crate::inspect::contrast::Contrast;
use crate::inspect::depth::Depth;
use crate::inspect::pieces::Pieces;
use crate::inspect::scores::HeadScores;
use crate::inspect::trace::EmbeddingFacts;
use crate::model_entry::ModelFacts;
use crate::token::{Entry, Step, TokenId, Vocabulary};

/// What an engine says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// First frame: the engine is there.
    Ready {
        /// [`VERSION`] of the engine.
        version: u32,
        /// What it is held to.
        #[serde(default)]
        containment: Containment,
    },
    /// The line to the app does not take what the engine writes as fast as it comes; comes unasked.
    SlowLine {
        /// The share of the last seconds that writing waited for it, 0 to 1.
        waited: f32,
        /// What it took, bytes a second.
        taken: f32,
    },
    /// Final answer to [`Immediate::Describe`].
    Described(Box<ModelFacts>),
    /// Final answer to [`Immediate::Served`].
    Served {
        /// The models' ids, in the server's order.
        ids: Vec<String>,
        /// How many more there are.
        left_out: u32,
    },
    /// How much of the file has been read, 0 to 1.
    LoadProgress(f32),
    /// Final answer to [`Job::Load`].
    Loaded(Box<Loaded>),
    /// The SHA-256 of the loaded file, computed in the background; comes unasked.
    ModelHash(String),
    /// Entries of a vocabulary that is not known as a whole; each comes before the first event that names it.
    Words {
        /// Hash of the vocabulary.
        vocabulary: String,
        /// What is new in it.
        entries: Vec<(TokenId, Entry)>,
    },
    /// Final answer to [`Immediate::Vocabulary`].
    Vocabulary(Box<Vocabulary>),
    /// Final answer to [`Immediate::Tokenize`].
    Tokenized {
        /// The tokens with their bytes.
        tokens: Vec<(TokenId, serde_bytes::ByteBuf)>,
    },
    /// Final answer to [`Immediate::Render`].
    Rendered(Box<Rendered>),
    /// The prompt is tokenised; reading it begins.
    Prompt(PromptFacts),
    /// How much of the new part of the prompt has been read.
    PromptProgress {
        /// Tokens read.
        done: u32,
        /// Tokens to read.
        total: u32,
    },
    /// One token was written, with all that was recorded of it. Its bytes may be part of a character.
    Token(Box<Written>),
    /// The reply waits for [`Immediate::Pace`].
    Paused,
    /// Scores of the next tokens of a text.
    Scores {
        /// Index of the first among the text's tokens.
        first: u32,
        /// One step a token.
        steps: Vec<Step>,
    },
    /// Final answer to [`Job::Score`].
    Scored {
        /// Tokens decoded.
        decoded: u32,
        /// How long it took, ms.
        ms: f32,
    },
    /// Final answer to [`Job::Rescore`].
    Rescored(Box<Rescored>),
    /// Final answer to [`Job::Replay`].
    Replayed(Box<Replayed>),
    /// Final answer to [`Job::Beam`].
    BeamPaths(Box<BeamPaths>),
    /// Final answer to [`Inspection::Inspect`].
    Inspected(Box<Inspected>),
    /// The next tokens of a text, through the lens of the passes that chose them.
    Depths {
        /// Index of the first among the text's tokens.
        first: u32,
        /// One entry a token.
        tokens: Vec<Depth>,
    },
    /// Final answer to [`Job::Depths`].
    DepthsDone {
        /// Tokens decoded.
        decoded: u32,
        /// How long it took, ms.
        ms: f32,
    },
    /// The next tokens of a text under two models.
    Contrasts {
        /// Which of the texts.
        part: u32,
        /// Index of the first among its tokens.
        first: u32,
        /// One entry a token.
        tokens: Vec<Contrast>,
    },
    /// Final answer to [`Job::Contrast`].
    Contrasted(Box<Contrasted>),
    /// Final answer to [`Job::Direction`].
    Directed(Box<Directed>),
    /// Final answer to [`Inspection::Embed`].
    Embedded(Box<EmbeddingFacts>),
    /// Final answer to [`Job::Attend`].
    Attended(Box<Attended>),
    /// Final answer to [`Job::Calibrate`].
    Calibrated(Box<HeadScores>),
    /// Final answer to [`Immediate::Pieces`].
    Pieces(Box<Pieces>),
    /// Final answer to [`Job::Generate`].
    Done {
        /// Why it ended.
        stop: StopReason,
        /// Tokens counted.
        usage: Usage,
        /// Milliseconds spent.
        timings: Timings,
    },
    /// Final answer where there is nothing to say but "done".
    Acknowledged,
    /// Final answer: it could not be done.
    Failed(Failure),
    /// The engine has ended; comes from the handle, not over the pipe. Final for every open request.
    Exited(Exit),
}

impl Event {
    /// The greeting of an engine that is held to nothing of its own: a thread of the app.
    #[must_use]
    pub fn ready() -> Self {
        Self::Ready { version: VERSION, containment: Containment::default() }
    }

    /// Whether this is the last event of its request.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::Ready { .. }
                | Self::SlowLine { .. }
                | Self::LoadProgress(_)
                | Self::ModelHash(_)
                | Self::Words { .. }
                | Self::Prompt(_)
                | Self::PromptProgress { .. }
                | Self::Token(_)
                | Self::Paused
                | Self::Scores { .. }
                | Self::Depths { .. }
                | Self::Contrasts { .. }
        )
    }
}

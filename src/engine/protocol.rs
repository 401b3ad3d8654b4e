//! Requests and events between app and engine: length-prefixed MessagePack with named fields.
//!
//! Invariants: an event carries the id of the request that it answers, so a stale one is dropped in one
//! place; exactly one **final** event answers each request (see [`Event::is_final`]); a cancelled request
//! still gets its final event. Adding a field needs `#[serde(default)]`; removing one, a new version.

mod answers;
mod attend;
mod changes;
mod depths;
mod live;
mod passes;
mod reread;
mod written;

pub use answers::{Exit, Failure, FailureKind, Loaded, Memory, PromptFacts, TemplateKind};
pub use attend::{Attend, Attended, Attending, ROWS};
pub use changes::{Directed, Direction, Patch, site, switched_off};
pub use depths::Depths;
pub use live::{Live, LiveInside, every};
pub use passes::{
    Embed, Inspect, Inspected, Look, LookAhead, Looked, LookedAhead, Path, Replay, Score, Want,
};
pub use reread::{Reread, Rescored};
pub use written::{Distance, Written};

use serde::{Deserialize, Serialize};

use crate::chat::{Intervention, Role, StopReason, Timings, Usage};
use crate::inspect::depth::Depth;
use crate::inspect::pieces::Pieces;
use crate::inspect::scores::HeadScores;
use crate::inspect::trace::EmbeddingFacts;
use crate::model_entry::{LoadParams, ModelEntry, ModelFacts};
use crate::sampling::Sampling;
use crate::token::{Step, TokenId, Vocabulary};

/// Version of this protocol, the first thing an engine says.
pub const VERSION: u32 = 5;

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

/// What an engine can be asked. Load, Generate, Score, Reread, Look, `LookAhead`, Inspect, Depths, Direction, Embed,
/// Attend and Calibrate run one after the other on the worker; Tokenize, Pieces, Describe, Vocabulary, `SetCapture`, Pace and Cancel are answered at once, also in the
/// middle of a reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Read a model file's header → [`Event::Described`].
    Describe {
        /// The model; its source is resolved where the engine runs.
        entry: Box<ModelEntry>,
    },
    /// Load a model → [`Event::LoadProgress`]…, [`Event::Loaded`].
    Load {
        /// The model.
        entry: Box<ModelEntry>,
        /// How.
        params: LoadParams,
    },
    /// The loaded model's vocabulary → [`Event::Vocabulary`].
    Vocabulary,
    /// Count and name the tokens of a text → [`Event::Tokenized`].
    Tokenize {
        /// The text.
        text: String,
        /// Whether marks such as `<|im_end|>` in it become control tokens.
        special: bool,
        /// Whether the model's own begin-of-sequence rule is applied.
        begin: bool,
    },
    /// Write a reply → [`Event::Prompt`], [`Event::PromptProgress`]…, [`Event::Token`]…, [`Event::Done`].
    Generate(Box<Generate>),
    /// Log-probabilities of a text's own tokens, teacher-forced → [`Event::PromptProgress`]…,
    /// [`Event::Scores`]…, [`Event::Scored`].
    Score(Box<Score>),
    /// A reply's tokens scored behind another prompt → [`Event::PromptProgress`]…, [`Event::Rescored`]. Runs on a
    /// scratch sequence wherever there is room.
    Reread(Box<Reread>),
    /// One forward pass: its whole distribution, and the chain's way through it →
    /// [`Event::PromptProgress`]…, [`Event::Looked`]. Runs on a scratch sequence; the chat's cache stays.
    Look(Box<Look>),
    /// The likeliest continuations → [`Event::LookedAhead`].
    LookAhead(Box<LookAhead>),
    /// One forward pass opened: lens, attention, neurons, attribution → [`Event::PromptProgress`]…,
    /// [`Event::Inspected`]. Runs on a scratch sequence like Look.
    Inspect(Box<Inspect>),
    /// The lens of many passes of one text → [`Event::Depths`]…, [`Event::DepthsDone`]. Runs like Inspect.
    Depths(Box<Depths>),
    /// A direction between two texts → [`Event::PromptProgress`]…, [`Event::Directed`]. Runs like Inspect.
    Direction(Box<Direction>),
    /// Rows of the embedding table → [`Event::Embedded`].
    Embed(Box<Embed>),
    /// Attention over a stretch of text → [`Event::PromptProgress`]…, [`Event::Attended`].
    Attend(Box<Attend>),
    /// What each head does on random text → [`Event::Calibrated`].
    Calibrate,
    /// How the tokenizer cut and merged a text → [`Event::Pieces`].
    Pieces {
        /// The text.
        text: String,
        /// Whether special tokens may be spelt in it.
        #[serde(default)]
        special: bool,
        /// Whether it goes on after other text: no blank is put before it.
        #[serde(default)]
        inside: bool,
    },
    /// What is recorded and copied at each token from now on → [`Event::Acknowledged`].
    SetCapture(CapturePlan),
    /// Holds a reply back or lets it go on → [`Event::Acknowledged`].
    Pace {
        /// The generation.
        target: RequestId,
        /// How many more tokens it may write before it waits; `None` lets it run.
        allow: Option<u32>,
    },
    /// Stop the request of that id; it ends with its own final event. Has no answer of its own.
    Cancel {
        /// The request to stop.
        target: RequestId,
    },
    /// End the process.
    Shutdown,
    /// For fault tests: abort, hang or die (only in builds with the feature `testing`).
    Fault(String),
}

/// What is recorded and copied at each token while generating. Empty costs nothing; the inspector's open
/// station fills it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapturePlan {
    /// Record the sampler chain stage by stage, listing this many of the likeliest tokens; 0 is off
    /// → [`Written::stages`].
    #[serde(default)]
    pub stages: u32,
    /// Tokens whose probability is told at every step, however small → [`Written::watched`].
    #[serde(default)]
    pub watch: Vec<TokenId>,
    /// What is opened of the pass behind each token → [`Written::inside`].
    #[serde(default)]
    pub inside: Option<Box<Live>>,
    /// Whether a twin without the run's interventions reads along → [`Written::unchanged`].
    #[serde(default)]
    pub twin: bool,
}

/// A generation to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generate {
    /// What the reply is conditioned on.
    pub prompt: Prompt,
    /// Sampler settings, limits and stop texts.
    pub sampling: Sampling,
    /// How many candidates each step keeps.
    pub top_logprobs: u32,
    /// Changes made to the network.
    #[serde(default)]
    pub interventions: Vec<Intervention>,
    /// How many tokens to write before waiting for [`Request::Pace`]; `None` runs freely.
    #[serde(default)]
    pub allow: Option<u32>,
}

/// What a reply is conditioned on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Prompt {
    /// A text as it is, with the model's own begin-of-sequence rule.
    Raw {
        /// The text; marks in it are plain text.
        text: String,
    },
    /// Exactly these tokens: a branch goes on from ids, never from text that is tokenised again.
    Ids {
        /// What has been read; [`PromptFacts::ids`] gives these back.
        ids: Vec<TokenId>,
        /// Tokens that the user chose to follow them. They are read, but count as written by the run: the
        /// samplers accept them, and no [`Event::Token`] comes for them.
        taken: Vec<TokenId>,
        /// Whether the reply also ends at the stop texts of the model's chat template.
        chat: bool,
    },
    /// Messages, put into the model's chat template (or the plain transcript where it has none).
    Chat {
        /// Oldest first.
        messages: Vec<Message>,
        /// Go on with the last message (the model's) instead of beginning a new one.
        continue_last: bool,
        /// The clock that templates may ask for, milliseconds since 1970, UTC.
        clock_ms: i64,
    },
}

/// A message of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The text. Never trusted: marks in it stay plain text.
    pub text: String,
    /// The tokens the text was generated as; used only if the rendered bytes equal theirs.
    #[serde(default)]
    pub stored: Option<StoredTokens>,
}

/// Tokens a text was generated as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredTokens {
    /// Hash of the vocabulary the ids belong to.
    pub vocabulary: String,
    /// Each token's id and number of bytes; together they cover the message's text exactly.
    pub tokens: Vec<(TokenId, u32)>,
}

/// What an engine says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// First frame: the engine is there.
    Ready {
        /// [`VERSION`] of the engine.
        version: u32,
    },
    /// Final answer to [`Request::Describe`].
    Described(Box<ModelFacts>),
    /// How much of the file has been read, 0 to 1.
    LoadProgress(f32),
    /// Final answer to [`Request::Load`].
    Loaded(Box<Loaded>),
    /// The SHA-256 of the loaded file, computed in the background; comes unasked.
    ModelHash(String),
    /// Final answer to [`Request::Vocabulary`].
    Vocabulary(Box<Vocabulary>),
    /// Final answer to [`Request::Tokenize`].
    Tokenized {
        /// The tokens with their bytes.
        tokens: Vec<(TokenId, serde_bytes::ByteBuf)>,
    },
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
    /// The reply waits for [`Request::Pace`].
    Paused,
    /// Scores of the next tokens of a text.
    Scores {
        /// Index of the first among the text's tokens.
        first: u32,
        /// One step a token.
        steps: Vec<Step>,
    },
    /// Final answer to [`Request::Score`].
    Scored {
        /// Tokens decoded.
        decoded: u32,
        /// How long it took, ms.
        ms: f32,
    },
    /// Final answer to [`Request::Reread`].
    Rescored(Box<Rescored>),
    /// Final answer to [`Request::Look`].
    Looked(Box<Looked>),
    /// Final answer to [`Request::LookAhead`].
    LookedAhead(Box<LookedAhead>),
    /// Final answer to [`Request::Inspect`].
    Inspected(Box<Inspected>),
    /// The next tokens of a text, through the lens of the passes that chose them.
    Depths {
        /// Index of the first among the text's tokens.
        first: u32,
        /// One entry a token.
        tokens: Vec<Depth>,
    },
    /// Final answer to [`Request::Depths`].
    DepthsDone {
        /// Tokens decoded.
        decoded: u32,
        /// How long it took, ms.
        ms: f32,
    },
    /// Final answer to [`Request::Direction`].
    Directed(Box<Directed>),
    /// Final answer to [`Request::Embed`].
    Embedded(Box<EmbeddingFacts>),
    /// Final answer to [`Request::Attend`].
    Attended(Box<Attended>),
    /// Final answer to [`Request::Calibrate`].
    Calibrated(Box<HeadScores>),
    /// Final answer to [`Request::Pieces`].
    Pieces(Box<Pieces>),
    /// Final answer to [`Request::Generate`].
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
    /// Whether this is the last event of its request.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::Ready { .. }
                | Self::LoadProgress(_)
                | Self::ModelHash(_)
                | Self::Prompt(_)
                | Self::PromptProgress { .. }
                | Self::Token(_)
                | Self::Paused
                | Self::Scores { .. }
                | Self::Depths { .. }
        )
    }
}

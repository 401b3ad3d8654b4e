//! What the worker computes, one job after the other.
//!
//! Invariant: a job may use the chat's own sequence, so none is done while a reply is written.

use serde::{Deserialize, Serialize};

use super::{Attend, Beam, Contrasting, Depths, Direction, Replay, Rescore, Score};
#[cfg(doc)]
use super::{Event, Immediate, PromptFacts};
use crate::chat::{ConversationId, Intervention, Role, TemplateValues};
use crate::model_entry::{LoadParams, ModelEntry};
use crate::sampling::Sampling;
use crate::token::TokenId;

/// What the worker does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Job {
    /// Load a model → [`Event::LoadProgress`]…, [`Event::Loaded`].
    Load {
        /// The model.
        entry: Box<ModelEntry>,
        /// How.
        params: LoadParams,
    },
    /// Write a reply → [`Event::Prompt`], [`Event::PromptProgress`]…, [`Event::Token`]…, [`Event::Done`].
    Generate(Box<Generate>),
    /// Log-probabilities of a text's own tokens, teacher-forced → [`Event::PromptProgress`]…,
    /// [`Event::Scores`]…, [`Event::Scored`].
    Score(Box<Score>),
    /// A reply's tokens scored after another prompt → [`Event::PromptProgress`]…, [`Event::Rescored`]. Runs on a
    /// scratch sequence wherever there is room.
    Rescore(Box<Rescore>),
    /// One forward pass: its whole distribution, and the chain's way through it →
    /// [`Event::PromptProgress`]…, [`Event::Replayed`]. Runs on a scratch sequence; the chat's cache stays.
    Replay(Box<Replay>),
    /// The likeliest continuations → [`Event::BeamPaths`].
    Beam(Box<Beam>),
    /// The lens of many passes of one text → [`Event::Depths`]…, [`Event::DepthsDone`]. Runs like Inspect.
    Depths(Box<Depths>),
    /// A direction between two texts → [`Event::PromptProgress`]…, [`Event::Directed`]. Runs like Inspect.
    Direction(Box<Direction>),
    /// Attention over a stretch of text → [`Event::PromptProgress`]…, [`Event::Attended`].
    Attend(Box<Attend>),
    /// What each head does on random text → [`Event::Calibrated`].
    Calibrate,
    /// A second model held against this one → [`Event::PromptProgress`]…, [`Event::Contrasts`]…, [`Event::Contrasted`].
    /// Runs like Rescore.
    Contrast(Box<Contrasting>),
    /// The replies from here on belong to this chat, or to one of which nothing is to be kept; what was read of another
    /// is kept on disk → [`Event::Acknowledged`]. Only for engines that say [`super::Loaded::keeps_states`].
    Chat(Option<ConversationId>),
    /// Nothing is kept any more of what was read of this chat → [`Event::Acknowledged`]. Only for such engines.
    Forget(ConversationId),
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
    /// How many of the prompt's last tokens, before those that are taken, are the reply's own already: a grammar counts
    /// them in.
    #[serde(default)]
    pub begun: u32,
    /// Changes made to the network.
    #[serde(default)]
    pub interventions: Vec<Intervention>,
    /// How many tokens to write before waiting for [`Immediate::Pace`]; `None` runs freely.
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
        /// What the template is given beside them.
        setting: TemplateSetting,
    },
}

/// What a chat template is given beside the messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TemplateSetting {
    /// The clock that it may ask for, milliseconds since 1970, UTC.
    pub clock_ms: i64,
    /// By how many minutes local time is ahead of UTC.
    #[serde(default)]
    pub offset_minutes: i32,
    /// Values by name, such as `enable_thinking`.
    #[serde(default)]
    pub values: TemplateValues,
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
    /// What of the text was thought, where some was.
    #[serde(default)]
    pub reasoned: Option<Reasoned>,
}

impl Message {
    /// A message that was not generated.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into(), stored: None, reasoned: None }
    }
}

/// What of a reply was thought rather than said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reasoned {
    /// What was thought, without its marks.
    pub thought: String,
    /// Where in the text the answer begins, bytes.
    pub answer_from: u32,
    /// Whether the marks are part of the text, and not control tokens.
    pub marks_are_text: bool,
}

/// Tokens a text was generated as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredTokens {
    /// Hash of the vocabulary the ids belong to.
    pub vocabulary: String,
    /// Each token's id and number of bytes; together they cover the message's text exactly, but for bytes that belong
    /// to no character, which only the tokens have.
    pub tokens: Vec<(TokenId, u32)>,
}

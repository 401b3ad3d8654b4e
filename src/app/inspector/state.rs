//! The inspector's state: the open station and the step on display.
//!
//! Invariant: a shown step is a copy, so that it stays what it was while the reply grows.

use std::collections::VecDeque;

use super::passes_state::Inside;
use super::stations::Station;
use super::stations::attention::AttentionView;
use super::stations::embedding::EmbeddingView;
use super::stations::ffn::FfnView;
use super::stations::layers::Depths;
use super::stations::position::PositionView;
use super::stations::tokens::Pieced;
use super::stations::why::WhyView;
use crate::app::{Looks, Sandbox, Steer, TokenCursor, TokenList};
use crate::chat::{ConversationId, TurnId};
use crate::token::{Step, TokenId};

/// The inspector.
#[derive(Debug, Default)]
pub struct Inspector {
    /// Whether the pane is wanted.
    pub shown: bool,
    /// The open station.
    pub station: Station,
    /// Steering.
    pub steer: Steer,
    /// Alone, at full width.
    pub zoomed: bool,
    /// Show logits (relative to the largest) rather than percent.
    pub logits: bool,
    /// The user holds the shown step.
    pub held: bool,
    /// Bars on a logarithmic scale.
    pub log_scale: bool,
    /// The strip shows uncertainty rather than surprise, where there is room for one only.
    pub uncertainty_strip: bool,
    /// The sampler station's rows are in the order of its last column.
    pub by_last: bool,
    /// The step written or kept last, as the stations show it.
    pub live: Option<LiveStep>,
    /// The step of the token under the cursor; it goes before `live`.
    pub past: Option<LiveStep>,
    /// The softmax station's list.
    pub list: TokenList,
    /// What was recorded and read again.
    pub looks: Looks,
    /// Sampler settings that are tried out.
    pub sandbox: Option<Sandbox>,
    /// What is known inside the passes, and what of it is shown.
    pub inside: Inside,
    /// The depths of many passes: layers of decision, grids.
    pub depths: Depths,
    /// The tokens station's own.
    pub tokens: Pieced,
    /// The embedding station's own.
    pub embedding: EmbeddingView,
    /// The position station's own.
    pub position: PositionView,
    /// The feed-forward station's own.
    pub ffn: FfnView,
    /// The why station's own.
    pub why: WhyView,
    /// Matrices, rollout and ink of the attention station.
    pub attention: AttentionView,
    /// Watched tokens with their last probability, peak and rank.
    pub watch: Vec<Watched>,
    /// Watched texts whose tokens are to be asked for, the one that is being asked for first.
    pub untold: VecDeque<String>,
    /// What recording for the open station (stages, watched tokens) costs, ms a token, once measured.
    pub price_ms: Option<f32>,
}

/// The step on display and what surrounds it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveStep {
    /// The chat it belongs to.
    pub chat: ConversationId,
    /// The turn.
    pub turn: TurnId,
    /// Index among the turn's tokens, as in [`TokenCursor`].
    pub index: usize,
    /// The step.
    pub step: Step,
    /// Hash of the vocabulary its ids belong to.
    pub vocabulary: Option<String>,
    /// Text before it, for "read "…" → chose".
    pub context_tail: String,
    /// Bytes before it that begin a character and do not end it.
    pub partial: Vec<u8>,
    /// When it was put on display.
    pub shown_at: u64,
    /// One of how many steps since the last change of display.
    pub of: u32,
    /// The least certain step since then, shown next, with its index.
    pub pending: Option<(usize, Step)>,
    /// Steps since the last change of display.
    pub since: u32,
}

impl LiveStep {
    /// The token it is about.
    pub fn cursor(&self) -> TokenCursor {
        TokenCursor { turn: self.turn, index: self.index }
    }
}

/// A watched token.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The token.
    pub id: TokenId,
    /// Probability at the shown step if known.
    pub now: Option<f32>,
    /// Largest seen.
    pub peak: f32,
    /// Rank at the shown step if known.
    pub rank: Option<u32>,
}

//! What the attention station shows beyond one pass: matrices, rollout, what heads usually do, and the ink.
//!
//! Invariant: rows are kept under everything that was read for them, scores under the hash of the model's file.

use std::sync::Arc;

use crate::app::{Asker, Query, Question};
use crate::engine::protocol::{Attend, Attended};
use crate::inspect::scores::HeadScores;

/// Choices within the station, and what was read for them.
#[derive(Debug, Default)]
pub struct AttentionView {
    /// Attention as raw weights rather than weighted by the values' norms.
    pub raw: bool,
    /// What is drawn.
    pub picture: AttentionPicture,
    /// Who reads this token, rather than what it reads.
    pub read_by: bool,
    /// Whose reading colours the text.
    pub ink: Ink,
    /// Token 0 is left out of the ink, and what it held is said.
    pub hides_first: bool,
    /// What the ink is summed over.
    pub grain: Grain,
    /// How much small shares are lifted: γ − 1, 0 to 2.
    pub contrast: u8,
    /// The selected cell of the matrix, reader and read; `None` is the pass's own row at its strongest.
    pub cell: Option<(usize, usize)>,
    /// Rows that were read, newest last, each under what was asked.
    pub stretches: Vec<(Attend, Arc<Attended>)>,
    /// What the heads of the model of this file hash do on random text.
    pub heads: Option<(String, Arc<HeadScores>)>,
    /// The hash whose scores were looked up among the kept ones, and whether the answer has come.
    pub recalled: Option<(String, bool)>,
    /// What the engine is asked.
    pub asking: Query<Stretched>,
}

/// What the engine reads for the station.
#[derive(Clone, Debug, PartialEq)]
pub enum Stretched {
    /// Rows over a stretch of text.
    Rows(Box<Attend>),
    /// What heads do on random text.
    Calibration,
}

impl Question for Stretched {
    const ASKER: Asker = Asker::Attention;
}

/// What the station draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttentionPicture {
    /// All heads at this token, and one of them opened.
    #[default]
    Heads,
    /// One head at all tokens.
    Matrix,
    /// All heads of all layers, multiplied (Abnar & Zuidema 2020).
    Rollout,
}

/// Whose reading colours the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ink {
    /// The opened head's.
    #[default]
    Head,
    /// That of all heads of the opened layer.
    Layer,
    /// The rollout through all layers.
    All,
    /// Nobody's.
    Off,
}

/// What shares are summed over before they colour the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grain {
    /// Each token by itself.
    #[default]
    Token,
    /// A word, with the blanks before it.
    Word,
    /// A sentence.
    Sentence,
}

//! The lens of many passes at once.
//!
//! Invariant: tokens come in the order of the text, each once; what came before a cancel stays true.

use serde::{Deserialize, Serialize};

use crate::chat::Intervention;
use crate::token::TokenId;

/// Tokens of a text to be seen through the lens of the passes that chose them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Depths {
    /// Everything that was read, up to and including the last token that is judged.
    pub ids: Vec<TokenId>,
    /// Index of the first token that is judged, at least 1: nothing chose a text's first token.
    pub from: u32,
    /// Whether every depth's best token is wanted; else only the layer of decision, which takes less time, since
    /// depths are then read from the last one down, for as long as the token stays on top.
    #[serde(default)]
    pub cells: bool,
    /// Changes made to the network.
    #[serde(default)]
    pub interventions: Vec<Intervention>,
}

//! A second model held against the loaded one, token by token of the same texts.
//!
//! Invariant: both read the same ids, so both must have the same vocabulary; the loaded model is the reference.

use serde::{Deserialize, Serialize};

use crate::chat::Intervention;
#[cfg(doc)]
use crate::engine::protocol::Event;
use crate::model_entry::{LoadParams, ModelEntry};
use crate::token::TokenId;

/// A second model, and what both are to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contrasting {
    /// The other model. It is loaded beside the first for as long as the request runs.
    pub other: Box<ModelEntry>,
    /// How it is loaded; its context is as long as the texts need.
    pub params: LoadParams,
    /// The texts, each read by itself.
    pub parts: Vec<Part>,
    /// Changes made to the loaded model's network.
    #[serde(default)]
    pub interventions: Vec<Intervention>,
}

/// A text that both models read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its tokens.
    pub ids: Vec<TokenId>,
    /// The first that the models are held against each other at; at least 1, since nothing stands before the first.
    pub from: u32,
}

/// The end of a comparison; the tokens came before, by [`Event::Contrasts`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contrasted {
    /// What the user should know of the other model.
    pub notes: Vec<String>,
    /// What loading it took, ms.
    pub load_ms: f32,
    /// What all took, loading included, ms.
    pub ms: f32,
}

//! The embedding station's own state.
//!
//! Invariant: a sum names the tokens that were taken for its words.

use crate::token::TokenId;

/// A sum of rows of the embedding table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arithmetic {
    /// As it was typed.
    pub text: String,
    /// The tokens with their signs.
    pub terms: Vec<(TokenId, f32)>,
    /// What is to be said of the choice of tokens.
    pub notes: Vec<String>,
}

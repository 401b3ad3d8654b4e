//! The embedding station's own state.
//!
//! Invariant: a sum names the tokens that were taken for its words.

use std::sync::Arc;

use crate::app::TokenCursor;
use crate::engine::protocol::Embed;
use crate::inspect::trace::EmbeddingFacts;
use crate::token::TokenId;

/// Choices of the embedding station, and what the table told.
#[derive(Debug, Default)]
pub struct EmbeddingView {
    /// Words added and taken away, in place of the token on display.
    pub arithmetic: Option<Arithmetic>,
    /// Tokens that the user put onto the map of embeddings.
    pub added: Vec<TokenId>,
    /// Whether that map shows the token's neighbours rather than the text's tokens.
    pub map_near: bool,
    /// Whether cosines of the matrix have the mean of the table taken off.
    pub centred: bool,
    /// Where the span of the matrix begins.
    pub anchor: Option<TokenCursor>,
    /// Rows of the embedding table that were asked about, newest last, by vocabulary hash.
    pub embeddings: Vec<(String, Embed, Arc<EmbeddingFacts>)>,
}

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

//! The tokens station's own state: a word that is tried, what was tried before, the draft as it was told last.
//!
//! Invariant: what is kept names the text it is of, so that pieces are never shown beside another text.

use std::sync::Arc;

use crate::app::LineEdit;
use crate::inspect::pieces::Pieces;

/// Choices of the tokens station.
#[derive(Debug, Default)]
pub struct Pieced {
    /// Texts whose pieces are known, newest last, by vocabulary hash.
    pub pieces: Vec<(String, String, Arc<Pieces>)>,
    /// The word that is tried, while it is typed.
    pub trying: Option<LineEdit>,
    /// Words that were tried, newest first, under which vocabulary, and what became of them.
    pub tried: Vec<(String, String, Arc<Pieces>)>,
    /// Whether everything that was read is listed, the template's own tokens too.
    pub all: bool,
    /// The draft that was told last, under which vocabulary, and its pieces.
    pub draft: Option<(String, String, Arc<Pieces>)>,
}

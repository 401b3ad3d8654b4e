//! Opening the pass on display: what the stations 1 to 6 and 9 are shown.
//!
//! Invariant: asked only for what the open station shows; the newest wish cancels the one before, and a reply goes
//! before any.

use std::sync::Arc;

use super::App;
use crate::engine::protocol::Inspected;
use crate::inspect::pieces::Pieces;
use crate::inspect::trace::EmbeddingFacts;

impl App {
    /// All that is known of the inside of the pass on display.
    #[must_use]
    pub fn shown_inside(&self) -> Option<&Arc<Inspected>> {
        let at = self.shown_step()?.cursor();
        let inside = &self.inspector.inside;
        let found = inside.passes.iter().rev().find(|pass| pass.at == at && pass.own == inside.own_pass);
        found.map(|pass| &pass.seen)
    }

    /// The pass on display with the chosen parts switched off.
    #[must_use]
    pub fn shown_card(&self) -> Option<&Arc<Inspected>> {
        let at = self.shown_step()?.cursor();
        let inside = &self.inspector.inside;
        let pass = inside.passes.iter().rev().find(|pass| pass.at == at && pass.own == inside.own_pass)?;
        let same = |parts: &[crate::inspect::trace::Part]| parts.iter().eq(inside.off.iter());
        let card =
            pass.cards.iter().find(|(parts, everywhere, _)| same(parts) && *everywhere == inside.everywhere);
        card.map(|(_, _, card)| card)
    }

    /// What the embedding table says of the token on display.
    #[must_use]
    pub fn shown_embedding(&self) -> Option<&Arc<EmbeddingFacts>> {
        let shown = self.shown_step()?;
        let (vocabulary, id) = (shown.vocabulary.as_ref()?, shown.step.id?);
        let known = self.inspector.inside.embeddings.iter().rev();
        let mut found = known.filter(|(hash, embed, _)| hash == vocabulary && embed.sum == [(id, 1.0)]);
        found.next().map(|(_, _, facts)| facts)
    }

    /// How the tokenizer cut and merged a text, if it has been asked.
    #[must_use]
    pub fn known_pieces(&self, text: &str) -> Option<&Arc<Pieces>> {
        let vocabulary = self.shown_step()?.vocabulary.as_ref()?;
        let known = self.inspector.inside.pieces.iter().rev();
        let mut found = known.filter(|(hash, known, _)| hash == vocabulary && known == text);
        found.next().map(|(_, _, pieces)| pieces)
    }
}

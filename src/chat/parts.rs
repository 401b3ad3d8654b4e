//! A turn taken apart: what was thought, the answer, and the marks between them.
//!
//! Invariant: all that is needed is stored with the turn and its runs, so a chat of an earlier version, or of a model
//! that is gone, is taken apart alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Conversation, Intervention, Piece, Role, Run, RunId, Span, Turn, prompt_of};
use crate::reasoning::{Form, Kind, Split, Splitter};
use crate::token::{TokenId, Vocabulary};

/// Vocabularies by their hashes.
pub type Vocabularies = BTreeMap<String, Arc<Vocabulary>>;

/// Tokens at the end of a prompt that can hold an open mark.
const END: usize = 12;

impl Run {
    /// The vocabulary that its tokens belong to.
    fn vocabulary_in<'v>(&self, vocabularies: &'v Vocabularies) -> Option<&'v Vocabulary> {
        vocabularies.get(self.vocabulary.as_ref()?).map(Arc::as_ref)
    }
}

/// Takes a turn apart; one of the user is an answer as a whole.
#[must_use]
pub fn split_of(
    conversation: &Conversation,
    runs: &BTreeMap<RunId, Run>,
    vocabularies: &Vocabularies,
    turn: &Turn,
) -> Split {
    let pieces = conversation.pieces(turn);
    if turn.role != Role::Assistant {
        let whole = pieces.iter().map(|piece| piece.bytes().len()).sum();
        return Split { bytes: whole, pieces: pieces.len(), ..Split::default() };
    }
    let opened = pieces.first().and_then(|piece| opened_before(runs, vocabularies, piece));
    let named = pieces.iter().map(|piece| (piece.bytes(), name_of(runs, vocabularies, piece)));
    Split::of(opened, named)
}

/// What takes a reply apart while it is written, with nothing of it yet.
#[must_use]
pub fn splitter_for(
    runs: &BTreeMap<RunId, Run>,
    vocabularies: &Vocabularies,
    first: Option<&Piece<'_>>,
) -> Splitter {
    Splitter::new(first.and_then(|piece| opened_before(runs, vocabularies, piece)))
}

/// The name of a token without text.
#[must_use]
pub fn name_of<'v>(
    runs: &BTreeMap<RunId, Run>,
    vocabularies: &'v Vocabularies,
    piece: &Piece<'_>,
) -> Option<&'v [u8]> {
    let Piece::Step { run, step } = piece else { return None };
    let id = step.id.filter(|_| step.bytes.is_empty())?;
    runs.get(run)?.vocabulary_in(vocabularies)?.bytes(id)
}

/// The form whose open mark stands at the end of the prompt that a reply was written after.
fn opened_before(
    runs: &BTreeMap<RunId, Run>,
    vocabularies: &Vocabularies,
    first: &Piece<'_>,
) -> Option<Form> {
    let Piece::Step { run: id, .. } = first else { return None };
    let run = runs.get(id)?;
    let vocabulary = run.vocabulary_in(vocabularies)?;
    let whole;
    let ids: &[TokenId] = if run.prompt_ids.len() >= END {
        &run.prompt_ids
    } else {
        whole = prompt_of(runs, *id)?;
        &whole
    };
    let end = &ids[ids.len().saturating_sub(END)..];
    let bytes: Vec<u8> =
        end.iter().flat_map(|id| vocabulary.bytes(*id).unwrap_or_default()).copied().collect();
    Form::opened_by(&String::from_utf8_lossy(&bytes))
}

/// Whether the marks are text of the turn, and not control tokens.
#[must_use]
pub fn marks_are_text(split: &Split) -> bool {
    split.ranges(Kind::Mark).all(|range| range.len() > 1)
}

/// What a reply was written with beside its model, in short: `+lora pirate ×0.5`; empty for nothing.
#[must_use]
pub fn labels_of(turn: &Turn, runs: &BTreeMap<RunId, Run>) -> String {
    let runs = turn.spans.iter().filter_map(|span| match span {
        Span::Generated { run, .. } => runs.get(run),
        Span::Written { .. } | Span::Kept { .. } => None,
    });
    let mut labels: Vec<String> = Vec::new();
    for adapter in runs.flat_map(|run| &run.interventions).filter_map(Intervention::adapter) {
        let label = format!("+{}", adapter.label());
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels.join(" ")
}

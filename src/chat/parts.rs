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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Adapter, AdapterKind, TurnId};
    use crate::token::{Step, TokenKind};

    /// Letters, and the marks around thoughts.
    fn vocabularies() -> Vocabularies {
        let mut all = Vocabulary::default();
        for text in ["a", "<think>", "</think>"] {
            all.push(text.as_bytes(), TokenKind::Normal);
        }
        all.push(b"<end>", TokenKind::Control);
        BTreeMap::from([("v".into(), Arc::new(all))])
    }

    fn runs(all: impl IntoIterator<Item = Run>) -> BTreeMap<RunId, Run> {
        all.into_iter().map(|run| (run.id, run)).collect()
    }

    /// A run after so many letters and an open mark, which it shares with another up to a place, if with any.
    fn run(id: i64, letters: usize, prefix: Option<(RunId, u32)>) -> Run {
        let mut prompt_ids = vec![TokenId(0); letters];
        prompt_ids.push(TokenId(1));
        Run { prefix, prompt_ids, ..Run::of_tests(id, "m") }
    }

    fn splits_as_thought(runs: &BTreeMap<RunId, Run>, run: i64) -> bool {
        let step = Step { id: Some(TokenId(0)), bytes: b"a".to_vec(), ..Step::default() };
        let piece = Piece::Step { run: RunId(run), step: &step };
        let mut splitter = splitter_for(runs, &vocabularies(), Some(&piece));
        splitter.push(b"a", None);
        splitter.finish();
        splitter.parts().iter().any(|part| part.kind == Kind::Thought)
    }

    #[test]
    fn a_mark_that_ends_the_prompt_opens_the_reply_however_the_prompt_is_kept() {
        for letters in [0, 10, 11, 12, 40] {
            assert!(splits_as_thought(&runs([run(1, letters, None)]), 1), "{letters}");
        }
        // All of the prompt but its end is another run's, the mark too.
        let shared = Run { prompt_ids: Vec::new(), ..run(2, 0, Some((RunId(1), 21))) };
        assert!(splits_as_thought(&runs([run(1, 20, None), shared]), 2));
        let shorter = Run { prompt_ids: Vec::new(), ..run(2, 0, Some((RunId(1), 20))) };
        assert!(!splits_as_thought(&runs([run(1, 20, None), shorter]), 2), "the mark is not shared");
        let gone = run(2, 3, Some((RunId(1), 21)));
        assert!(!splits_as_thought(&runs([gone]), 2), "a prompt that is not known opens nothing");
    }

    #[test]
    fn a_token_has_a_name_where_it_has_no_text() {
        let (runs, all) = (runs([run(1, 0, None)]), vocabularies());
        let name = |id: Option<i32>, bytes: &[u8]| {
            let step = Step { id: id.map(TokenId), bytes: bytes.to_vec(), ..Step::default() };
            name_of(&runs, &all, &Piece::Step { run: RunId(1), step: &step }).map(<[u8]>::to_vec)
        };
        assert_eq!(name(Some(3), b""), Some(b"<end>".to_vec()));
        assert_eq!([name(Some(3), b"<end>"), name(None, b""), name(Some(9), b"")], [None, None, None]);
    }

    #[test]
    fn each_adapter_of_a_turn_is_labelled_once() {
        let adapter = |scale| {
            Intervention::Adapter(Adapter { kind: AdapterKind::Lora, path: "x/pirate.gguf".into(), scale })
        };
        let with = |id, interventions| Run { interventions, ..Run::of_tests(id, "m") };
        let runs =
            runs([with(1, vec![adapter(1.0)]), with(2, vec![adapter(1.0), adapter(0.5)]), with(3, vec![])]);
        let spans = |runs: &[i64]| {
            runs.iter().map(|run| Span::Generated { run: RunId(*run), steps: vec![] }).collect()
        };
        let turn =
            |runs: &[i64]| Turn { spans: spans(runs), ..Turn::new(TurnId(1), None, Role::Assistant, 0) };
        assert_eq!(labels_of(&turn(&[3, 9]), &runs), "");
        assert_eq!(labels_of(&turn(&[1, 2, 1]), &runs), "+lora pirate +lora pirate ×0.5");
    }
}

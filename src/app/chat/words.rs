//! Entries of vocabularies that are not known as a whole: learned as an engine tells them, stored with what names them.
//!
//! Invariant: the store gets an entry before the first reply that names it, and never for a temporary chat's sake.

use crate::app::{Outbox, Talk};
use crate::chat::{RunId, Span};
use crate::store;
use crate::token::{Entry, Step, TokenId, Vocabulary};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries that are not in the store yet, by vocabulary.
pub(crate) type Met = BTreeMap<String, BTreeMap<TokenId, Entry>>;

impl Talk {
    /// An engine told entries of a vocabulary.
    pub(crate) fn learn(&mut self, hash: &str, entries: Vec<(TokenId, Entry)>) {
        let known = self
            .vocabularies
            .entry(hash.to_owned())
            .or_insert_with(|| Arc::new(Vocabulary { hash: hash.to_owned(), ..Vocabulary::default() }));
        let new: Vec<_> = entries.into_iter().filter(|(id, _)| !known.learned.contains_key(id)).collect();
        if !new.is_empty() {
            self.met.entry(hash.to_owned()).or_default().extend(new.iter().cloned());
            Arc::make_mut(known).learn(new);
        }
    }

    /// The store has a vocabulary; what was met meanwhile stays.
    pub(crate) fn vocabulary_read(&mut self, hash: String, read: Vocabulary) {
        match self.vocabularies.get_mut(&hash) {
            None => {
                self.vocabularies.insert(hash, Arc::new(read));
            }
            Some(known) if !read.learned.is_empty() => {
                Arc::make_mut(known).learn(read.learned);
            }
            Some(_) => {}
        }
    }

    /// Steps of a run go to the store: with what they are made of, where that is not there yet.
    pub(crate) fn put_words(&mut self, out: &mut Outbox, run: RunId, steps: &[Step]) {
        let candidates = steps.iter().flat_map(|step| &step.candidates).map(|candidate| candidate.id);
        self.put_words_of(out, run, steps.iter().filter_map(|step| step.id).chain(candidates));
    }

    /// The same for ids, such as a prompt's.
    pub(crate) fn put_words_of(&mut self, out: &mut Outbox, run: RunId, ids: impl Iterator<Item = TokenId>) {
        let hash = self.runs.get(&run).and_then(|run| run.vocabulary.as_ref());
        let Some((hash, met)) = hash.and_then(|hash| Some((hash, self.met.get_mut(hash)?))) else { return };
        let named: Vec<(TokenId, Entry)> = ids.filter_map(|id| met.remove_entry(&id)).collect();
        if !named.is_empty() {
            out.store(store::Command::PutWords(hash.clone(), named));
        }
    }

    /// The shown chat goes to the store as a whole.
    pub(crate) fn put_all_words(&mut self, out: &mut Outbox) {
        if self.met.is_empty() {
            return;
        }
        let spans = self.chat.turns.iter().flat_map(|turn| &turn.spans);
        let written: Vec<(RunId, Vec<Step>)> = spans
            .filter_map(|span| match span {
                Span::Generated { run, steps } => Some((*run, steps.clone())),
                Span::Written { .. } | Span::Kept { .. } => None,
            })
            .collect();
        for (run, steps) in written {
            let prompt = self.runs.get(&run).map(|run| run.prompt_ids.clone()).unwrap_or_default();
            self.put_words_of(out, run, prompt.into_iter());
            self.put_words(out, run, &steps);
        }
    }
}

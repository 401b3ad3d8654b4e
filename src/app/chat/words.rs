//! Entries of vocabularies that are not known as a whole: learned as an engine tells them, stored with what names them.
//!
//! Invariant: the store gets an entry before each run that names it, and never for a temporary chat's sake. What an earlier
//! run had put may be gone with its chat.

use crate::app::{Outbox, Talk};
use crate::chat::{RunId, Span};
use crate::store;
use crate::token::{Entry, Step, TokenId, Vocabulary};
use std::collections::HashSet;
use std::sync::Arc;

/// What the store got for the run that was last written to it.
#[derive(Debug, Default)]
pub(crate) struct Put {
    run: Option<RunId>,
    ids: HashSet<TokenId>,
}

impl Talk {
    /// An engine told entries of a vocabulary.
    pub(crate) fn learn(&mut self, hash: &str, entries: Vec<(TokenId, Entry)>) {
        let known = self
            .vocabularies
            .entry(hash.to_owned())
            .or_insert_with(|| Arc::new(Vocabulary { hash: hash.to_owned(), ..Vocabulary::default() }));
        let new: Vec<_> = entries.into_iter().filter(|(id, _)| !known.learned.contains_key(id)).collect();
        if !new.is_empty() {
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
        let known = hash.and_then(|hash| self.vocabularies.get(hash));
        let Some(known) = known.filter(|known| !known.learned.is_empty()) else { return };
        if self.put.run != Some(run) {
            self.put = Put { run: Some(run), ids: HashSet::new() };
        }
        let named = ids.filter_map(|id| Some((id, known.learned.get(&id)?)));
        let new = named.filter(|(id, _)| self.put.ids.insert(*id)).map(|(id, entry)| (id, entry.clone()));
        let new: Vec<(TokenId, Entry)> = new.collect();
        if !new.is_empty() {
            out.store(store::Command::PutWords(known.hash.clone(), new));
        }
    }

    /// The shown chat goes to the store as a whole.
    pub(crate) fn put_all_words(&mut self, out: &mut Outbox) {
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

//! The stored chats, for commands that need no more than one answer after another.
//!
//! Invariant: a question returns with its answer or with the store's own sentence about what is wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::chat::{Conversation, ConversationHead, ConversationId, Run, RunId};
use crate::store::{Command, Event, STILL_SAVING, Store};
use crate::token::Vocabulary;

/// A read takes longer than this only when something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// The store, asked one thing at a time.
pub(super) struct Chats {
    pub(super) store: Store,
    events: Receiver<Event>,
}

impl Chats {
    /// The chats of a database that is there.
    ///
    /// # Errors
    /// When it is not there or cannot be opened.
    pub(super) fn existing(database: &Path) -> anyhow::Result<Self> {
        if !database.is_file() {
            bail!("there is no chat yet: {} is not there", database.display());
        }
        Self::open(database)
    }

    /// The chats of a database, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(database: &Path) -> anyhow::Result<Self> {
        let (sender, events) = channel();
        let store = Store::open(
            database,
            Box::new(move |event| {
                let _ = sender.send(event); // the command may have ended already
            }),
        );
        let reader = Self { store, events };
        reader.wait(|event| match event {
            Event::Ready { .. } => Some(()),
            _ => None,
        })?;
        Ok(reader)
    }

    /// The first event that `wanted` takes.
    pub(super) fn wait<T>(&self, wanted: impl Fn(Event) -> Option<T>) -> anyhow::Result<T> {
        loop {
            let event = self.events.recv_timeout(PATIENCE).context("the database does not answer")?;
            if let Event::Trouble { message, .. } = &event {
                bail!("{message}");
            }
            if let Some(answer) = wanted(event) {
                return Ok(answer);
            }
        }
    }

    /// Writes what waits and ends, however long that takes; says so where it is long.
    ///
    /// # Errors
    /// When something was not saved; in words: what, and why.
    pub(super) fn close(self) -> Result<(), String> {
        self.store.close_patiently(|| super::note(STILL_SAVING))
    }

    /// All that are not in the bin, newest first.
    pub(super) fn heads(&self) -> anyhow::Result<Vec<ConversationHead>> {
        let heads = self.with_bin()?;
        Ok(heads.into_iter().filter(|head| head.binned_ms.is_none()).collect())
    }

    /// All, those in the bin too.
    pub(super) fn with_bin(&self) -> anyhow::Result<Vec<ConversationHead>> {
        self.store.send(Command::List);
        self.wait(|event| match event {
            Event::Listed(heads) => Some(heads),
            _ => None,
        })
    }

    /// The chat looked at last, here or on the screen.
    ///
    /// # Errors
    /// When there is none, or the database does not answer.
    pub(super) fn looked_at_last(&self) -> anyhow::Result<ConversationId> {
        let heads = self.heads()?;
        let last = heads.iter().max_by_key(|head| head.last_look());
        last.map(|head| head.id).context("there is no chat yet")
    }

    /// The chat of that id; `last` is the newest.
    pub(super) fn find(&self, wanted: &str) -> anyhow::Result<ConversationId> {
        let heads = self.heads()?;
        if heads.is_empty() {
            bail!("there is no chat yet");
        }
        let found = match wanted {
            "last" => heads.first(),
            id => heads.iter().find(|head| head.id.0.to_string() == id),
        };
        found
            .map(|head| head.id)
            .with_context(|| format!("there is no chat {wanted}; `glassbox export` without an id lists them"))
    }

    pub(super) fn conversation(
        &self,
        id: ConversationId,
    ) -> anyhow::Result<(Conversation, BTreeMap<RunId, Run>)> {
        self.store.send(Command::Open(id));
        let conversation = self.wait(|event| match event {
            Event::Opened(of, conversation) if of == id => Some(conversation),
            _ => None,
        })?;
        let conversation = conversation.with_context(|| format!("there is no chat {}", id.0))?;
        let runs = self.wait(|event| match event {
            Event::Runs(of, runs) if of == id => Some(runs),
            _ => None,
        })?;
        Ok((*conversation, runs.into_iter().map(|run| (run.id, run)).collect()))
    }

    pub(super) fn vocabularies(
        &self,
        runs: &BTreeMap<RunId, Run>,
    ) -> anyhow::Result<BTreeMap<String, Arc<Vocabulary>>> {
        let mut vocabularies = BTreeMap::new();
        for hash in runs.values().filter_map(|run| run.vocabulary.as_ref()) {
            if vocabularies.contains_key(hash) {
                continue;
            }
            self.store.send(Command::Vocabulary(hash.clone()));
            let vocabulary = self.wait(|event| match event {
                Event::Vocabulary(of, vocabulary) if of == *hash => Some(vocabulary),
                _ => None,
            })?;
            if let Some(vocabulary) = vocabulary {
                vocabularies.insert(hash.clone(), Arc::from(vocabulary));
            }
        }
        Ok(vocabularies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChatSettings, Place};

    #[test]
    fn where_there_is_no_chat_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let chats = Chats::open(&folder.path().join("chats.db")).unwrap();
        for wanted in ["last", "7"] {
            assert_eq!(chats.find(wanted).unwrap_err().to_string(), "there is no chat yet");
        }
    }

    #[test]
    fn of_chats_that_were_never_looked_at_the_one_changed_last_is_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let chats = Chats::open(&folder.path().join("chats.db")).unwrap();
        assert_eq!(chats.looked_at_last().unwrap_err().to_string(), "there is no chat yet");
        for id in [1, 2] {
            let head = ConversationHead { updated_ms: id, ..ConversationHead::new(ConversationId(id)) };
            let settings = ChatSettings::default();
            chats.store.send(Command::PutConversation { head, settings, leaf: None });
        }
        assert_eq!(chats.looked_at_last().unwrap(), ConversationId(2));
        chats.store.send(Command::PutPlace(ConversationId(1), Place::default()));
        assert_eq!(chats.looked_at_last().unwrap(), ConversationId(1));
    }
}

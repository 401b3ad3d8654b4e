//! Which chat the cache holds, and its state kept on disk when the chat is left, to be read back when it is gone on with.
//!
//! The app names the chat ([`Session::goes_on`]); what lies in the cache belongs to the chat of the last reply. The state
//! is copied out when another chat comes or the engine ends, and written by a thread of its own. It is llama.cpp's whole
//! state rather than the sequence's, from which layers with a sliding window would leave out what they no longer see.
//!
//! Invariant: a state is given back only under the shape that it was made under (see [`Place::shape`]) and becomes
//! [`Session::cached`] only where llama.cpp took it and holds each of its positions; else the cache is empty. Under
//! changes of the network, adapters aside, nothing is kept.

use std::fmt::Write as _;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

use super::{CHAT, Prefix, Session, position};
use crate::chat::{ConversationId, Intervention};
use crate::engine::protocol::Loaded;
use crate::engine::snapshot::{Folder, Unusable};
use crate::free_memory;
use crate::model_entry::{LoadParams, at_home};
use crate::token::TokenId;

/// Fewer tokens are read again as quickly.
const WORTH_KEEPING: usize = 64;
/// So many more than the cache has are worth reading a state for.
const WORTH_READING: usize = 32;
/// How long what is still being written of a chat is waited for when that chat is gone on with: less than reading it.
const STILL_WRITING: Duration = Duration::from_secs(2);
/// How long the engine's end may wait for the disk.
const LAST_WORDS: Duration = Duration::from_millis(600);
/// What llama.cpp is, here: another one may lay out or compute a state differently.
const ENGINE: &str = concat!("glassbox ", env!("CARGO_PKG_VERSION"), ", llama-cpp-sys-2 0.1.161");

/// Finds the hash of the loaded model's file; without leave to compute it only where it is known already.
pub type Hash = Arc<dyn Fn(bool) -> Option<String> + Send + Sync>;

/// What is known of the chat in the cache, and where states are kept.
pub struct Keeping {
    place: Place,
    /// The chat that the next reply belongs to.
    named: Option<ConversationId>,
    /// The chat whose tokens the cache holds.
    held: Option<ConversationId>,
    /// What was kept last.
    kept: Option<(ConversationId, Vec<TokenId>)>,
    /// Ends when the last state is on disk.
    writing: Option<Receiver<()>>,
}

/// Where states are kept, and under which shape.
#[derive(Clone)]
struct Place {
    folder: Folder,
    hash: Hash,
    /// What that found.
    known: Arc<OnceLock<String>>,
    /// [`Place::shape`] without the model and the adapters.
    settings: String,
}

impl Keeping {
    /// States in a folder, for a model under these parameters.
    pub fn new(folder: Folder, hash: Hash, params: &LoadParams, loaded: &Loaded) -> Self {
        let settings = format!(
            "{ENGINE}; batch {}, reproducible {}, flash attention {}, k {:?}, v {:?}, rope {:?}, layers on a GPU {}",
            params.batch,
            params.reproducible,
            loaded.flash_attention,
            params.cache_type_k,
            params.cache_type_v,
            params.rope,
            loaded.gpu_layers,
        );
        let tidied = folder.clone();
        let _ = thread::Builder::new().name("snapshots".into()).spawn(move || tidied.tidy(SystemTime::now()));
        let place = Place { folder, hash, known: Arc::default(), settings };
        Self { place, named: None, held: None, kept: None, writing: None }
    }
}

impl Place {
    /// The hash of the model's file, which may take as long as reading that where there is time.
    fn model(&self, has_time: bool) -> Option<&str> {
        if self.known.get().is_none() {
            let _ = self.known.set((self.hash)(has_time)?);
        }
        self.known.get().map(String::as_str)
    }

    /// All that shapes a state: the model's file, the engine's versions, the context, what it computes with. `None`
    /// where that cannot be told, or the network is changed.
    fn shape(&self, hash: &str, cells: u32, changes: &[Intervention]) -> Option<String> {
        let mut shape = format!("model {hash}; {}; cells {cells}", self.settings);
        for change in changes {
            let adapter = change.adapter()?;
            let file = std::fs::metadata(at_home(&adapter.path)).ok()?;
            let time = file.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            let _ = write!(shape, "; {adapter:?} of {} bytes at {}", file.len(), time.as_nanos());
        }
        Some(shape)
    }
}

impl Session {
    /// Keeps the states of chats from here on. Models whose past is one state are left out: it cannot be cut.
    pub fn keep_states(&mut self, keeping: Keeping) {
        if !self.recurrent && self.context.has_state() {
            self.keeping = Some(keeping);
        }
    }

    /// Whether states of chats are kept.
    #[must_use]
    pub fn keeps_states(&self) -> bool {
        self.keeping.is_some()
    }

    /// The next reply belongs to this chat, or to one of which nothing is kept. The state of another in the cache is
    /// kept, as it may soon be gone.
    pub fn goes_on(&mut self, chat: Option<ConversationId>) {
        let Some(keeping) = &mut self.keeping else { return };
        keeping.named = chat;
        if keeping.held != chat {
            self.keep_state();
        }
    }

    /// What is in the cache belongs to the named chat from here on.
    pub(super) fn is_of_named(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.held = keeping.named;
        }
    }

    /// What is in the cache belongs to no chat.
    pub(super) fn is_of_none(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.held = None;
        }
    }

    /// Keeps nothing of a chat any more, and removes what was kept.
    pub fn forget_chat(&mut self, chat: ConversationId) {
        let Some(keeping) = &mut self.keeping else { return };
        wait(&mut keeping.writing, STILL_WRITING);
        keeping.held.take_if(|held| *held == chat);
        keeping.named.take_if(|named| *named == chat);
        keeping.kept.take_if(|(kept, _)| *kept == chat);
        keeping.place.folder.forget(chat);
    }

    /// The engine ends: what is in the cache is kept if the disk is quick enough.
    pub fn end(&mut self) {
        self.keep_state();
        if let Some(keeping) = &mut self.keeping {
            wait(&mut keeping.writing, LAST_WORDS);
        }
    }

    /// Has the cache's state written, if it is a chat's and worth it.
    fn keep_state(&mut self) {
        let Some(keeping) = &self.keeping else { return };
        let (Some(chat), ids) = (keeping.held, &self.prefix.ids) else { return };
        let is_kept = keeping.kept.as_ref().is_some_and(|kept| (kept.0, &kept.1) == (chat, ids));
        let altered = self.prefix.interventions.iter().any(|change| change.adapter().is_none());
        if is_kept || altered || ids.len() < WORTH_KEEPING {
            return;
        }
        // Cells of other sequences would be part of the state.
        self.forget_branch();
        self.forget_unchanged();
        self.guard_held();
        let size = self.context.state_size();
        let Some(keeping) = &mut self.keeping else { return };
        // The copy must not drive the machine into its swap.
        if !keeping.place.folder.takes(size as u64)
            || size as u64 > free_memory::bytes().unwrap_or(u64::MAX) / 2
        {
            return;
        }
        let Some(state) = self.context.state(size) else { return };
        wait(&mut keeping.writing, STILL_WRITING);
        let (ids, changes) = (self.prefix.ids.clone(), self.prefix.interventions.clone());
        keeping.kept = Some((chat, ids.clone()));
        let (whole, cells) = (self.whole as u32, self.context.get().n_ctx());
        let place = keeping.place.clone();
        let (done, writing) = mpsc::sync_channel(1);
        let written = thread::Builder::new().name("snapshot".into()).spawn(move || {
            let hash = place.model(true);
            if let Some(shape) = hash.and_then(|hash| place.shape(hash, cells, &changes))
                && let Err(error) = place.folder.write(chat, &shape, &ids, whole, &state)
            {
                tracing::warn!(%error, "the state of a chat was not kept");
            }
            drop(done);
        });
        keeping.writing = written.is_ok().then_some(writing);
    }

    /// Takes the state of the named chat from the disk where that holds more of the prompt than the cache; how many of
    /// the prompt's tokens it holds.
    pub fn recall(&mut self, prompt: &[TokenId], changes: &[Intervention]) -> Option<usize> {
        let keeping = self.keeping.as_mut()?;
        let chat = keeping.named?;
        if keeping.kept.as_ref().is_some_and(|(kept, _)| *kept == chat) {
            wait(&mut keeping.writing, STILL_WRITING);
        }
        let place = keeping.place.clone();
        let cells = self.context.get().n_ctx();
        let shape = place.shape(place.model(false)?, cells, changes)?;
        let cached = self.usable(self.prefix.common(prompt, changes), self.whole);
        let taken = place.folder.find(chat, &shape).and_then(|found| {
            let prefix = Prefix { ids: found.header.ids.clone(), interventions: changes.to_vec() };
            let whole = found.header.whole as usize;
            let common = self.usable(prefix.common(prompt, changes), whole);
            if common < cached + WORTH_READING || prefix.ids.len() > self.limit {
                return Ok(None);
            }
            Ok(Some((prefix, whole, common, found.state()?)))
        });
        match taken {
            Ok(Some((prefix, whole, common, state))) => {
                self.take_state(prefix, whole, &state).then_some(common)
            }
            Ok(None) => None,
            Err(Unusable::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!("the snapshot of a chat is not used: {error}");
                None
            }
        }
    }

    /// Puts a state into the cache; whether llama.cpp took it. Otherwise nothing is held.
    fn take_state(&mut self, prefix: Prefix, whole: usize, state: &[u8]) -> bool {
        self.reset_cache();
        let last = position(prefix.ids.len()) - 1;
        let taken = self.context.set_state(state) && {
            let context = self.context.get();
            let (chat, scratch) = (i32::from(CHAT), super::sequences::FIRST..=super::sequences::LAST);
            let of_chat = (context.kv_cache_seq_pos_min(chat), context.kv_cache_seq_pos_max(chat));
            let beside = scratch.into_iter().any(|other| context.kv_cache_seq_pos_max(other.into()) >= 0);
            of_chat == (0, last) && !beside
        };
        if taken {
            self.prefix = prefix;
            self.whole = whole;
            self.swa_guard.holds(CHAT);
            // Which cells were guarded when the state was made is of no interest.
            self.swa_guard.distrust();
        } else {
            tracing::warn!("llama.cpp did not take the state of a chat back; it is read again");
            self.reset_cache();
        }
        taken
    }
}

fn wait(writing: &mut Option<Receiver<()>>, at_most: Duration) {
    if let Some(writing) = writing.take() {
        // An error is the sender's end, which is what is waited for; or the time is up.
        let _ = writing.recv_timeout(at_most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// States of one version are not given to another.
    #[test]
    fn the_version_of_llama_is_the_one_that_is_built() {
        let (_, version) = ENGINE.rsplit_once(' ').unwrap();
        let pinned = format!("llama-cpp-sys-2 = {{ version = \"={version}\"");
        assert!(include_str!("../../../Cargo.toml").contains(&pinned), "{pinned}");
    }
}

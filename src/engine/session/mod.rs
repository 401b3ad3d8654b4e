//! Tokens through the model, and the KV cache they leave behind.
//!
//! Invariant: `Session::cached` names exactly the tokens whose keys and values are in the cache's sequence
//! 0, also after a cancelled or failed batch; so the next prompt decodes only what differs. Sequences beside
//! it are `lane`'s. What uses a session is not known here.

mod branch_cache;
mod changed;
mod draft;
pub(crate) mod lane;
mod mtp;
mod prefix;
pub(crate) mod recall;
mod sequences;
mod swa_guard;
mod text;
mod unchanged;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_2::DecodeError;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;

use self::branch_cache::BranchCache;
pub(crate) use self::draft::DraftModel;
pub(crate) use self::lane::Lane;
use self::mtp::MtpLayer;
use self::prefix::Prefix;
use self::recall::Keeping;
use self::swa_guard::SwaGuard;
pub(crate) use self::text::Text;
use crate::chat::{Adapter, Intervention};
use crate::engine::model::adapters::{Adapters, Open};
use crate::engine::model::changes;
use crate::engine::model::ffi::OwnedContext;
use crate::engine::model::load::{self, Opened};
use crate::engine::model::loaded::LoadedModel;
use crate::engine::model::weights_delta::Scaled;
use crate::engine::probe::{Held, Plan, Probe};
use crate::engine::protocol::{Failure, Loaded};
use crate::engine::threads::Threads;
use crate::model_entry::{LoadParams, ModelFacts, Speculative};
use crate::token::TokenId;

/// The sequence of the chat; others are scratch.
const CHAT: u8 = 0;

/// A token of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The token.
    pub id: TokenId,
    /// Where in its sequence, from 0.
    pub position: usize,
    /// The sequence it belongs to.
    pub sequence: u8,
    /// Whether its logits are wanted; at most [`crate::engine::model::fit::OUTPUT_ROWS`] of a batch may.
    pub logits: bool,
}

/// Which tokens of a stretch give logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// None.
    None,
    /// The last.
    Last,
    /// Every one.
    All,
}

impl Rows {
    /// Whether token `index` of `count` gives logits.
    #[must_use]
    pub fn wants(self, index: usize, count: usize) -> bool {
        match self {
            Self::None => false,
            Self::Last => index + 1 == count,
            Self::All => true,
        }
    }
}

/// Why a batch was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The request was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The cache has no room; the caller checks lengths, so this is a fragmented or shared cache.
    #[error("the KV cache has no room for the batch")]
    Full,
    /// llama.cpp's own code.
    #[error("llama.cpp could not decode (code {0}); the engine's log says more")]
    Failed(i32),
}

/// A model, its context, and what is in the cache.
pub struct Session {
    context: OwnedContext,
    batch: LlamaBatch<'static>,
    /// How many threads compute.
    threads: Threads,
    /// What the chat's sequence holds.
    prefix: Prefix,
    /// What is kept beside the chat.
    branch: BranchCache,
    /// How many tokens of the chat were read a second time without changes.
    unchanged: usize,
    /// What is changed in the network while no lane is open.
    changes: Vec<Intervention>,
    /// LoRA adapters and control vectors.
    adapters: Adapters,
    /// Which sequences hold cells.
    swa_guard: SwaGuard,
    /// Where the batch's tokens stand in their sequences.
    positions: Vec<(u32, bool)>,
    /// Tokens decoded together; cancel and progress happen in between.
    slice: usize,
    /// Tokens that a chat may fill.
    limit: usize,
    /// Whether the past can only be taken back as a whole.
    recurrent: bool,
    /// Whether replies are drafted from what stands in their prompt.
    drafts: bool,
    /// What guesses how replies go on, if anything does.
    draft_model: Option<DraftModel>,
    /// The file's own way to guess that, if it is used.
    mtp: Option<MtpLayer>,
    /// How many tokens can be taken back though the past is one state.
    taken_back: usize,
    /// How many of the chat's first tokens were read in whole slices, one after the other from the first.
    whole: usize,
    /// Whether a prompt is always read in the same batches, whatever is cached.
    reproducible: bool,
    /// Where states of chats are kept, if they are.
    keeping: Option<Keeping>,
    stop: Arc<AtomicBool>,
    /// Set while the next batch is to panic, for fault tests.
    #[cfg(feature = "testing")]
    panics: Arc<AtomicBool>,
}

impl Session {
    /// Loads a model; `progress` is given the part that is read, 0 to 1. Setting `stop` ends that, and later every
    /// decode.
    ///
    /// # Errors
    /// A file that llama.cpp refuses, too little memory, or a cancel.
    pub fn load(
        path: &Path,
        facts: &ModelFacts,
        params: &LoadParams,
        stop: Arc<AtomicBool>,
        progress: impl Fn(f32) + Clone + 'static,
    ) -> Result<(Self, Loaded), Failure> {
        let (opened, loaded) = load::load(path, facts, params, &stop, progress)?;
        // A draft's tokens are decoded in other batches than without it.
        let reproducible = params.reproducible;
        let drafts = !reproducible && params.speculative != Speculative::Off;
        Ok((Self { drafts, reproducible, ..Self::new(opened, stop) }, loaded))
    }

    /// Loads a model with nothing of ours around it, not even the probe, to compare with.
    ///
    /// # Errors
    /// As [`Session::load`].
    pub fn load_bare(
        path: &Path,
        facts: &ModelFacts,
        params: &LoadParams,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        Ok(Self::new(load::load_bare(path, facts, params, &stop)?, stop))
    }

    /// An empty cache.
    fn new(opened: Opened, stop: Arc<AtomicBool>) -> Self {
        let Opened { mut context, limit, threads, mtp } = opened;
        let mtp = mtp.and_then(|mtp| MtpLayer::new(mtp, &mut context));
        let slice = context.get().n_batch() as usize;
        let recurrent = context.model.model.is_recurrent() || context.model.model.is_hybrid();
        let taken_back = context.taken_back() as usize;
        let batch = LlamaBatch::new(slice, 1);
        Self {
            context,
            batch,
            threads,
            prefix: Prefix::default(),
            branch: BranchCache::default(),
            unchanged: 0,
            changes: Vec::new(),
            adapters: Adapters::default(),
            swa_guard: SwaGuard::default(),
            positions: Vec::new(),
            slice,
            limit: limit as usize,
            recurrent,
            drafts: false,
            draft_model: None,
            mtp,
            taken_back,
            whole: 0,
            reproducible: false,
            keeping: None,
            stop,
            #[cfg(feature = "testing")]
            panics: Arc::default(),
        }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<LoadedModel> {
        &self.context.model
    }

    /// Tokens that a chat may fill.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Most tokens that one batch takes.
    #[must_use]
    pub fn slice(&self) -> usize {
        self.slice
    }

    /// With how many threads tokens are written, and how these make room.
    pub(crate) fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Set while the running request is to stop.
    pub(crate) fn stop_flag(&self) -> &AtomicBool {
        &self.stop
    }

    /// Has the next batch panic once that is asked for, with nothing put in order after it.
    #[cfg(feature = "testing")]
    pub fn panic_when(&mut self, asked: Arc<AtomicBool>) {
        self.panics = asked;
    }

    /// The tokens in the cache.
    pub(crate) fn cached(&self) -> &[TokenId] {
        &self.prefix.ids
    }

    /// What looks into passes and changes them.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        &self.context.probe
    }

    /// How adapters' files are opened, without which none can be used.
    pub(crate) fn open_adapters_with(&mut self, open: Box<Open>) {
        self.adapters.open_with(open);
    }

    /// Refuses changes that this model does not have the parts for, and reads the adapters among them.
    pub(crate) fn check(&mut self, changes: &[Intervention]) -> Result<(), Failure> {
        changes::check(self.model(), changes)?;
        // What a reply is being written with stays as it is until the reply is done.
        let asked = changes.iter().filter(|change| !self.changes.contains(change));
        let adapters: Vec<_> = asked.filter_map(Intervention::adapter).collect();
        if !adapters.is_empty() && self.adapters.prepare(&mut self.context, &adapters)? {
            self.reset_cache();
        }
        Ok(())
    }

    /// The files of these LoRA adapters, as far as they were read.
    pub(crate) fn adapter_files(&self, loras: &[Adapter]) -> Vec<Scaled> {
        self.adapters.files(loras)
    }

    /// How often an adapter's file was another one when it was read again.
    pub(crate) fn adapter_rereads(&self) -> u32 {
        self.adapters.rereads()
    }

    /// Changes the network from the next batch on, at all its tokens, and in nothing else.
    fn change(&mut self, changes: &[Intervention]) {
        self.adapters.want(changes);
        self.context.probe.change(changes);
    }

    /// How many graph nodes the evaluation callback was asked about.
    #[must_use]
    pub fn probe_asked(&self) -> u64 {
        self.context.probe.asked()
    }

    /// The last decoded token's logits.
    ///
    /// # Panics
    /// Before anything was decoded.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        self.context.get().get_logits_ith(self.batch.n_tokens() - 1)
    }

    /// The logits of token `index` of the last batch.
    ///
    /// # Panics
    /// Where that token's logits were not asked for.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        self.context.get().get_logits_ith(position(index))
    }

    /// Keeps what the cache shares with the prompt and forgets the rest; gives how many tokens were kept.
    pub fn reuse(&mut self, prompt: &[TokenId], interventions: &[Intervention]) -> usize {
        let most = self.usable(self.prefix.common(prompt, interventions), self.whole);
        let kept = self.reuse_at_most(prompt, most, interventions);
        if self.reproducible {
            self.leave_no_gaps(kept);
        }
        self.is_of_named();
        kept
    }

    /// How many of so many tokens need not be read again: where that is to be as if nothing were held, those that were
    /// read in the batches that they would be read in.
    fn usable(&self, common: usize, whole: usize) -> usize {
        if self.reproducible { common.min(whole) / self.slice * self.slice } else { common }
    }

    /// Frees all cells but those of the chat's first tokens, so that the next lie where they would in an empty cache:
    /// sums over cells are rounded in their order.
    fn leave_no_gaps(&mut self, kept: usize) {
        self.forget_branch();
        self.forget_unchanged();
        if kept == 0 {
            let interventions = std::mem::take(&mut self.prefix.interventions);
            self.reset_cache();
            self.prefix.interventions = interventions;
        }
        self.swa_guard.distrust();
    }

    /// Whether a prompt is always read in the same batches.
    pub(crate) fn is_reproducible(&self) -> bool {
        self.reproducible
    }

    /// Keeps at most the first `most` tokens of what the cache shares with the text, so that the rows after
    /// them can be read; gives how many were kept.
    pub fn reuse_at_most(&mut self, ids: &[TokenId], most: usize, interventions: &[Intervention]) -> usize {
        let keep = self.prefix.common(ids, interventions).min(most);
        let kept = self.keep(keep);
        self.prefix.interventions = interventions.to_vec();
        kept
    }

    /// Decodes the prompt from `from` on, in slices; `progress` is told how many tokens of the new part
    /// were read, of how many.
    ///
    /// # Errors
    /// See [`Halt`]; what was read before stays in the cache.
    pub fn read(
        &mut self,
        prompt: &[TokenId],
        from: usize,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<(), Halt> {
        let total = prompt.len() - from;
        let mut done = 0;
        for slice in prompt[from..].chunks(self.slice) {
            let last = done + slice.len() == total;
            let start = self.prefix.ids.len();
            self.append(slice, if last { Rows::Last } else { Rows::None })?;
            if start == self.whole && slice.len() == self.slice {
                self.whole += self.slice;
            }
            done += slice.len();
            progress(done, total);
        }
        Ok(())
    }

    /// Decodes one token.
    ///
    /// # Errors
    /// See [`Halt`]; the token is then not in the cache.
    pub fn step(&mut self, id: TokenId) -> Result<(), Halt> {
        self.append(&[id], Rows::Last)
    }

    /// Decodes tokens after those in the cache, at most a slice.
    ///
    /// # Errors
    /// See [`Halt`]; none of them is then in the cache.
    pub fn append(&mut self, ids: &[TokenId], rows: Rows) -> Result<(), Halt> {
        let start = self.prefix.ids.len();
        self.make_room_for(ids.len());
        let decoded = self.submit(stretch(CHAT, start, ids, rows));
        match decoded {
            Ok(()) => {
                if let Some(mtp) = &mut self.mtp {
                    mtp.follow(&self.context, start, ids);
                }
                self.prefix.ids.extend_from_slice(ids);
            }
            Err(_) => {
                self.keep(start);
            }
        }
        decoded
    }

    /// Decodes a batch, at most [`Session::slice`] tokens. What a batch that failed left behind is the
    /// caller's to remove.
    fn submit(&mut self, items: impl IntoIterator<Item = Item>) -> Result<(), Halt> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Halt::Cancelled);
        }
        self.batch.clear();
        self.positions.clear();
        let mut written: BTreeMap<u8, (u32, u32)> = BTreeMap::new();
        let mut last = None;
        for item in items {
            let place = item.position as u32;
            last = Some(item.sequence);
            let range = written.entry(item.sequence).or_insert((place, place));
            *range = (range.0.min(place), range.1.max(place));
            self.positions.push((place, item.logits));
            self.batch
                .add(LlamaToken(item.id.0), position(item.position), &[i32::from(item.sequence)], item.logits)
                .expect("a slice is never longer than the batch");
        }
        self.guard_held();
        self.adapters.put_in_force(&mut self.context);
        let held = match last {
            Some(sequence) if self.context.probe.asks_where() => self.context.held(sequence),
            _ => Held::default(),
        };
        self.context.probe.begin_batch(self.positions.iter().copied(), held);
        self.context.watch();
        let Self { context, batch, threads, .. } = self;
        let tokens = self.positions.len();
        context.set_threads(threads.before(tokens));
        let result = context.with(|context| context.decode(batch));
        context.settle();
        threads.after(tokens);
        #[cfg(feature = "testing")]
        assert!(!self.panics.swap(false, Ordering::Relaxed), "a fault was asked for");
        for (sequence, (first, last)) in written {
            self.guard_cells(sequence, first, Some(last + 1));
        }
        if result.is_err() {
            self.swa_guard.distrust();
        }
        result.map_err(|error| halt(&error, &self.stop))
    }

    /// The most tokens of a batch that may all give logits.
    pub(crate) fn most_rows(&self) -> usize {
        self.slice.min(crate::engine::model::fit::OUTPUT_ROWS as usize)
    }

    /// Whether the end of what was read can be taken back.
    pub(crate) fn can_be_cut(&self) -> bool {
        !self.recurrent
    }

    /// How many tokens at the end of what was read can be taken back without reading all of it again.
    pub(crate) fn most_taken_back(&self) -> usize {
        if self.recurrent { self.taken_back } else { usize::MAX }
    }

    /// Whether replies are drafted from what stands in their prompt.
    pub(crate) fn drafts(&self) -> bool {
        self.drafts
    }

    /// Has replies drafted by a smaller model.
    pub(crate) fn draft_with(&mut self, draft: DraftModel) {
        self.draft_model = Some(draft);
    }

    /// Whether replies are drafted by a smaller model, or by the file's own layer.
    pub(crate) fn guesses(&self) -> bool {
        self.draft_model.is_some() || (self.drafts && self.mtp.is_some())
    }

    /// How the smaller model, or else the file's own layer, thinks that a text goes on whose last token is not in the
    /// cache yet: at most `most` tokens.
    ///
    /// # Errors
    /// See [`Halt`]; the cache is as it was.
    pub(crate) fn guess(&mut self, ids: &[TokenId], most: usize) -> Result<Vec<TokenId>, Halt> {
        if let Some(draft) = &mut self.draft_model {
            return draft.guess(ids, most);
        }
        Ok(match (&mut self.mtp, ids.last()) {
            (Some(mtp), Some(last)) => mtp.guess(*last, ids.len() - 1, most),
            _ => Vec::new(),
        })
    }

    /// Cuts the cache down to its first `count` tokens; gives how many are really left. A cache that cannot
    /// be cut there, or whose cells are gone although it says otherwise (sliding windows), is emptied.
    pub(crate) fn keep(&mut self, count: usize) -> usize {
        let count = count.min(self.prefix.ids.len());
        let recurrent = self.recurrent;
        let held = self.context.with(|context| {
            let removed = context.clear_kv_cache_seq(Some(u32::from(CHAT)), Some(count as u32), None);
            let first = context.kv_cache_seq_pos_min(i32::from(CHAT));
            let last = context.kv_cache_seq_pos_max(i32::from(CHAT));
            let begins = recurrent || count == 0 || first == 0;
            let whole = removed == Ok(true) && last == position(count) - 1 && begins;
            if !whole {
                context.clear_kv_cache();
            }
            whole
        });
        if !held {
            self.branch = BranchCache::default();
            self.unchanged = 0;
            self.swa_guard.clear();
        } else if count < self.prefix.ids.len() {
            self.branch.chat_was_cut(count);
            self.swa_guard.let_go(CHAT, count == 0);
        }
        self.prefix.ids.truncate(if held { count } else { 0 });
        if let Some(mtp) = &mut self.mtp {
            mtp.cut(self.prefix.ids.len());
        }
        self.whole = self.whole.min(self.prefix.ids.len() / self.slice * self.slice);
        self.prefix.ids.len()
    }

    /// Empties the cache, changes nothing and copies nothing any more: as after loading. For when it is not known what
    /// was done, since who used the session panicked.
    pub fn reset(&mut self) {
        self.reset_cache();
        if let Some(draft) = &mut self.draft_model {
            draft.reset();
        }
        self.changes.clear();
        self.change(&[]);
        self.probe().plan(Plan::default());
        drop(self.probe().take());
    }

    fn reset_cache(&mut self) {
        self.context.clear();
        self.prefix = Prefix::default();
        if let Some(mtp) = &mut self.mtp {
            mtp.reset();
        }
        self.whole = 0;
        self.branch = BranchCache::default();
        self.unchanged = 0;
        self.swa_guard.clear();
    }
}

/// Tokens of one sequence, one after the other from `start` on.
fn stretch(sequence: u8, start: usize, ids: &[TokenId], rows: Rows) -> impl Iterator<Item = Item> + '_ {
    ids.iter().enumerate().map(move |(index, &id)| Item {
        id,
        position: start + index,
        sequence,
        logits: rows.wants(index, ids.len()),
    })
}

fn position(index: usize) -> i32 {
    i32::try_from(index).expect("a context has fewer than 2^31 cells")
}

fn halt(error: &DecodeError, stop: &AtomicBool) -> Halt {
    match error {
        DecodeError::Unknown(2) => Halt::Cancelled,
        _ if stop.load(Ordering::Relaxed) => Halt::Cancelled,
        DecodeError::NoKvCacheSlot => Halt::Full,
        DecodeError::NTokensZero => Halt::Failed(-1),
        DecodeError::Unknown(code) => Halt::Failed(*code),
    }
}

//! What every part speaks through: effects for the runtime, requests to the engine, the notice row, ids, the clock.
//!
//! Invariant: ids come from a seeded generator (splitmix64) and counters, so that a test can foresee them.

use std::collections::BTreeMap;

use super::chat::unstored::Unstored;
use super::{Effect, Level, Notice, Now, Requests};
use crate::chat::{ConversationId, TurnId};
use crate::config::Warning;
use crate::model_entry::without_secrets;
use crate::store;

/// How long a plain notice stays, ms.
const PLAIN_MS: u64 = 4000;
/// How long a caution stays, ms.
const WARN_MS: u64 = 8000;

/// What can fail and work later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Having a reply written.
    Reply,
    /// Having a model loaded.
    Load,
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    /// Time of the last message.
    pub now: Now,
    /// The notice row: the newest is shown.
    pub notice: Option<Notice>,
    /// What the notice says has failed, where doing it once more would show that it works.
    failed_at: Option<Doing>,
    /// Whether drawing is worth it (state changed since the last frame).
    pub dirty: bool,
    /// Revision of each turn's text, raised by every change, for the render cache.
    pub revisions: BTreeMap<TurnId, u64>,
    /// What is asked of the engine.
    pub(crate) requests: Requests,
    /// State of the id generator.
    pub(crate) seed: u64,
    /// Last use of the model, for unloading when idle, ms.
    pub(crate) last_use: u64,
    /// Whether quitting was asked for once already.
    pub(crate) quit_asked: bool,
    /// Whether the guided tour's chat is shown, of which nothing is stored.
    pub(crate) on_tour: bool,
    /// Chats of which nothing is stored.
    pub(crate) unstored: Unstored,
}

impl Outbox {
    /// One that gives ids out from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Now::default(),
            notice: None,
            failed_at: None,
            dirty: true,
            revisions: BTreeMap::new(),
            requests: Requests::default(),
            seed,
            last_use: 0,
            quit_asked: false,
            on_tour: false,
            unstored: Unstored::default(),
        }
    }

    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A new positive id.
    pub(crate) fn id(&mut self) -> i64 {
        i64::try_from(self.random() >> 1).expect("63 bits fit").max(1)
    }

    /// A seed for the sampler.
    pub(crate) fn sampler_seed(&mut self) -> u32 {
        (self.random() >> 32) as u32
    }

    /// Asks the runtime for something.
    pub(crate) fn emit(&mut self, effect: Effect) {
        self.requests.out.push(effect);
    }

    /// Asks the store for something; what is about the tour's own chat or a temporary one is not kept.
    pub(crate) fn store(&mut self, command: store::Command) {
        let kept_out = (self.on_tour && command.writes_chat()) || self.unstored.holds(&command);
        if !kept_out {
            self.emit(Effect::Store(command));
        }
    }

    /// Whether nothing of a chat goes to the store.
    pub(crate) fn keeps_nothing_of(&self, chat: ConversationId) -> bool {
        self.on_tour || self.unstored.has(chat)
    }

    /// Hands out what the update asked for.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        if self.requests.take_used() {
            self.last_use = self.now.mono_ms;
        }
        std::mem::take(&mut self.requests.out)
    }

    /// Raises a turn's revision: its text, state or note changed.
    pub(crate) fn touch(&mut self, turn: TurnId) {
        *self.revisions.entry(turn).or_default() += 1;
    }

    /// Shows a plain notice.
    pub(crate) fn say(&mut self, text: impl Into<String>) {
        self.show(text.into(), Level::Info, Some(PLAIN_MS));
    }

    /// Shows a caution.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.show(text.into(), Level::Warn, Some(WARN_MS));
    }

    /// Shows a failure; it stays until something replaces it.
    pub(crate) fn fail(&mut self, text: impl Into<String>) {
        self.show(text.into(), Level::Error, None);
    }

    /// The same for one that stays only until that works.
    pub(crate) fn fail_at(&mut self, doing: Doing, text: impl Into<String>) {
        self.fail(text);
        self.failed_at = Some(doing);
    }

    /// Something worked: that it failed before is not said any longer.
    pub(crate) fn succeeded_at(&mut self, doing: Doing) {
        if self.failed_at.take_if(|failed| *failed == doing).is_some() {
            self.notice = None;
        }
    }

    fn show(&mut self, text: String, level: Level, stays: Option<u64>) {
        self.failed_at = None;
        let text = without_secrets(text);
        self.notice = Some(Notice { text, level, until: stays.map(|ms| self.now.mono_ms + ms) });
    }

    /// Says the first of what was wrong with configuration or theme, and how much more there is. It has one
    /// row: the count comes first, and of the file its name.
    pub fn tell(&mut self, warnings: &[Warning]) {
        let Some(first) = warnings.first() else { return };
        let name = std::path::Path::new(&first.file).file_name().and_then(std::ffi::OsStr::to_str);
        let first = Warning { file: name.unwrap_or(&first.file).to_owned(), ..first.clone() };
        self.warn(match warnings.len() {
            1 => first.to_string(),
            all => format!("1 of {all} (all: `glassbox config check`): {first}"),
        });
    }

    /// The next line is run or sent: what was said of the one before goes, but for a failure.
    pub(crate) fn line_done(&mut self) {
        if self.notice.as_ref().is_some_and(|notice| notice.level != Level::Error) {
            self.notice = None;
            self.quit_asked = false;
        }
    }

    /// Lets a notice go whose time is over.
    pub(crate) fn expire_notice(&mut self) {
        let over = self.notice.as_ref().and_then(|notice| notice.until);
        if over.is_some_and(|until| until <= self.now.mono_ms) {
            self.notice = None;
            self.quit_asked = false;
            self.dirty = true;
        }
    }
}

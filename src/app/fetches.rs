//! Fetching models beside the chat: several at once, the rest in a row; pausing, going on, giving up.
//!
//! Invariant: a model is fetched once at a time, and never more than [`AT_ONCE`] models are; what was stopped is told by
//! its own end, never assumed.

use super::{AfterStop, App, Effect, Fetch, FetchState, Licence, ModelState, ModelStatus, Outbox};
use crate::command::Command;
use crate::model_entry::{ModelEntry, Source};
use crate::models::{FetchEvent, Unfinished};

/// How many models are fetched at once.
pub(crate) const AT_ONCE: usize = 3;

impl ModelState {
    /// The fetch of a model, if there is one.
    pub fn fetch_of(&self, name: &str) -> Option<&Fetch> {
        self.fetches.iter().find(|fetch| fetch.entry.name == name)
    }

    /// The fetch of the model that is wanted.
    pub fn fetch(&self) -> Option<&Fetch> {
        self.fetch_of(&self.name)
    }

    /// Whether anything is fetched or waits to be.
    pub(crate) fn fetches_something(&self) -> bool {
        self.fetches.iter().any(|fetch| fetch.failed().is_none())
    }

    fn fetch_mut(&mut self, name: &str) -> Option<&mut Fetch> {
        self.fetches.iter_mut().find(|fetch| fetch.entry.name == name)
    }

    fn take_fetch(&mut self, name: &str) -> Option<Fetch> {
        let at = self.fetches.iter().position(|fetch| fetch.entry.name == name)?;
        Some(self.fetches.remove(at))
    }

    /// Fetches a model as soon as there is a place for it; one that is being stopped goes on after all.
    fn begin_fetch(&mut self, out: &mut Outbox, entry: ModelEntry) {
        match self.fetch_mut(&entry.name).map(|fetch| &mut fetch.state) {
            Some(FetchState::Stopping(then)) => *then = AfterStop::GoOn,
            Some(FetchState::Waiting | FetchState::Running) => {}
            Some(FetchState::Failed(_)) | None => {
                self.take_fetch(&entry.name);
                self.fetches.push(Fetch::new(entry));
            }
        }
        self.begin_waiting(out);
    }

    /// Begins what waits, as far as there are places.
    fn begin_waiting(&mut self, out: &mut Outbox) {
        let mut places = AT_ONCE.saturating_sub(self.fetches.iter().filter(|fetch| fetch.is_busy()).count());
        for fetch in self.fetches.iter_mut().filter(|fetch| fetch.state == FetchState::Waiting) {
            if places == 0 {
                return;
            }
            places -= 1;
            fetch.state = FetchState::Running;
            fetch.seen.clear();
            out.emit(Effect::Fetch(Box::new(fetch.entry.clone())));
        }
    }

    /// Stops the fetch of a model; whether there was one to stop.
    pub(crate) fn stop_fetch(&mut self, out: &mut Outbox, name: &str, then: AfterStop) -> bool {
        let Some(fetch) = self.fetch_mut(name) else { return false };
        match fetch.state {
            FetchState::Running | FetchState::Stopping(_) => {
                fetch.state = FetchState::Stopping(then);
                out.emit(Effect::StopFetch(name.to_owned()));
            }
            FetchState::Waiting | FetchState::Failed(_) => {
                self.take_fetch(name);
            }
        }
        true
    }

    /// What has arrived of a model is shown before the catalogue is read again.
    fn has_arrived(&mut self, name: &str, left: Option<Unfinished>) {
        for item in self.catalogue.iter_mut().filter(|item| item.entry.name == name && item.path.is_none()) {
            item.unfinished = left.filter(|left| left.done > 0);
        }
    }
}

impl App {
    /// Fetches a model, after its terms were accepted where it has any.
    pub(crate) fn fetch_or_ask(&mut self, entry: ModelEntry) {
        if entry.name == self.model.name {
            self.model.status = ModelStatus::Fetching;
        }
        if !self.model.has_accepted(&entry) {
            self.overlays.push(Licence { entry, scroll: 0 });
            return;
        }
        let name = entry.name.clone();
        self.model.begin_fetch(&mut self.out, entry);
        let waits = self.model.fetch_of(&name).is_some_and(|fetch| fetch.state == FetchState::Waiting);
        if waits {
            self.out.say(format!("{name} waits: {AT_ONCE} models are fetched at a time"));
        } else if name != self.model.name {
            self.out.say(format!("{name} is fetched beside the chat"));
        }
    }

    /// Stops the fetch of a model and keeps what has arrived.
    pub(crate) fn pause_fetch(&mut self, name: &str) {
        let waited = self.model.fetch_of(name).is_some_and(|fetch| fetch.state == FetchState::Waiting);
        if self.model.stop_fetch(&mut self.out, name, AfterStop::Keep) && waited {
            self.out.say(format!("{name} is not fetched"));
        }
        self.model.begin_waiting(&mut self.out);
    }

    /// Stops the fetch of a model, if there is one, and drops what has arrived.
    pub(crate) fn discard_fetch(&mut self, entry: ModelEntry) {
        let busy = self.model.fetch_of(&entry.name).is_some_and(Fetch::is_busy);
        self.model.stop_fetch(&mut self.out, &entry.name, AfterStop::Discard);
        if !busy {
            self.discarded(entry);
        }
        self.model.begin_waiting(&mut self.out);
    }

    fn discarded(&mut self, entry: ModelEntry) {
        self.model.has_arrived(&entry.name, None);
        self.out.emit(Effect::DiscardFetch(Box::new(entry)));
        self.out.emit(Effect::ReadCatalogue);
    }

    /// A fetch went on, or is over.
    pub(crate) fn fetched(&mut self, event: FetchEvent) {
        match event {
            FetchEvent::Progress { name, stage, done, total } => {
                let now = self.out.now.mono_ms;
                if let Some(fetch) = self.model.fetch_mut(&name) {
                    fetch.progress(now, stage, done, total);
                }
            }
            FetchEvent::Noted { message, .. } => self.out.warn(message),
            FetchEvent::Finished { name, path } => {
                self.model.take_fetch(&name);
                if let Some(item) = self.model.catalogue.iter_mut().find(|item| item.entry.name == name) {
                    (item.path, item.unfinished) = (Some(path), None);
                }
                self.out.emit(Effect::ReadCatalogue);
                match self.config.model_named(&name) {
                    Some(entry) if name == self.model.name && self.model.status == ModelStatus::Fetching => {
                        self.start_engine(entry);
                    }
                    _ => {
                        let key = self.keymap.shown(Command::Models);
                        self.out.say(format!("{name} is here; {key} switches to it"));
                    }
                }
            }
            FetchEvent::Failed { name, message, cancelled } => self.fetch_ended(&name, message, cancelled),
        }
        self.model.begin_waiting(&mut self.out);
    }

    /// A fetch ended without its file: it was stopped, or it failed.
    fn fetch_ended(&mut self, name: &str, message: String, cancelled: bool) {
        let state = self.model.fetch_of(name).map(|fetch| fetch.state.clone());
        let said = match (state, cancelled) {
            (Some(FetchState::Stopping(AfterStop::GoOn)), _) => {
                if let Some(fetch) = self.model.fetch_mut(name) {
                    fetch.state = FetchState::Waiting;
                }
                return;
            }
            (Some(FetchState::Stopping(AfterStop::Discard)), _) => {
                if let Some(fetch) = self.model.take_fetch(name) {
                    self.discarded(fetch.entry);
                }
                format!("fetching {name} was given up; nothing of it is kept")
            }
            (_, true) => self.paused(name),
            (_, false) => {
                if let Some(fetch) = self.model.fetch_mut(name) {
                    let arrived = fetch.arrived();
                    fetch.state = FetchState::Failed(message.clone());
                    self.model.has_arrived(name, Some(arrived));
                }
                message
            }
        };
        if name == self.model.name && self.model.status == ModelStatus::Fetching {
            self.model.status = ModelStatus::Failed { message: said.clone(), log_tail: Vec::new() };
        }
        if cancelled { self.out.say(said) } else { self.out.fail(said) }
    }

    /// A fetch was stopped and what has arrived is kept, where its source can be gone on with.
    fn paused(&mut self, name: &str) -> String {
        let key = self.keymap.shown(Command::Models);
        let fetch_key = self.keymap.shown(Command::FetchModel);
        let fetch = self.model.take_fetch(name);
        let arrived = fetch.as_ref().map(Fetch::arrived).unwrap_or_default();
        self.out.emit(Effect::ReadCatalogue);
        if fetch.is_some_and(|fetch| matches!(fetch.entry.source, Source::Pip(_))) || arrived.done == 0 {
            return format!("fetching {name} was stopped; {key}, {fetch_key} fetches it");
        }
        self.model.has_arrived(name, Some(arrived));
        let kept = mebibytes(arrived.done);
        format!(
            "fetching {name} is paused, {kept} are kept; {key}, {fetch_key} goes on, also after a restart"
        )
    }
}

/// Sizes of what is fetched.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

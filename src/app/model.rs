//! The model: wanting one, starting its engine, loading, unloading.
//!
//! Invariant: only the engine named in [`super::Outbox::requests`] is listened to; starting one ends the one before.

use super::{App, Asker, ChatView, Doing, Effect, Level, ModelState, ModelStatus, Outbox, Talk};
use crate::app::input::fuzzy;
use crate::app::view::With;
use crate::chat::{ConversationId, Role, Span};
use crate::config::Config;
use crate::elsewhere::Elsewhere;
use crate::engine::protocol::{Event, FailureKind, Immediate, Job, Loaded, Request, VERSION};
use crate::model_entry::{ModelEntry, Source, without_secrets};
use crate::models::machine::Machine;
use crate::models::{CatalogueItem, recommended};
use crate::store;
use crate::token::Vocabulary;
use std::sync::Arc;

impl ModelState {
    /// What is said where something needs a model that is ready, and none is.
    pub(crate) fn not_ready(&self) -> &'static str {
        match self.status {
            ModelStatus::Loading(_) => "the model is still being loaded",
            ModelStatus::Fetching => "the model is still being fetched",
            _ => "the model is not loaded; F5 (or /reload) loads it",
        }
    }

    pub(crate) fn is_on_disk(&self, entry: &ModelEntry) -> bool {
        entry.engine.is_some()
            || matches!(entry.source, Source::Path(_) | Source::Server(_))
            || self.catalogue.iter().any(|item| item.entry.name == entry.name && item.path.is_some())
    }

    /// Whether the terms of a model, if it has any, were accepted, now or at an earlier time.
    pub(crate) fn has_accepted(&self, entry: &ModelEntry) -> bool {
        let terms = entry.licence.as_ref().is_some_and(|licence| licence.terms.is_some());
        let mut catalogue = self.catalogue.iter();
        !terms
            || self.accepted.contains(&entry.name)
            || catalogue.any(|item| item.entry == *entry && item.terms_accepted)
    }

    /// Puts the models to recommend behind the catalogue.
    fn add_offers(&mut self, config: &Config) {
        self.catalogue.retain(|item| item.offered.is_none());
        if let Some(machine) = &self.machine {
            self.catalogue.extend(recommended::offered(machine, &config.models));
        }
    }

    pub(crate) fn engine_ready(&mut self, config: &Config, out: &mut Outbox, version: u32) {
        if version != VERSION {
            let message = format!("the engine speaks version {version}, this program {VERSION}");
            self.failed(out, message);
            out.emit(Effect::StopEngine(out.requests.engine()));
            return;
        }
        let Some(entry) = config.model_named(&self.name) else { return };
        let params = config.load_params_for(&entry);
        out.requests.ask(Asker::Load, Request::Job(Job::Load { entry: Box::new(entry), params }));
    }

    pub(crate) fn failed(&mut self, out: &mut Outbox, message: String) {
        let message = without_secrets(message);
        out.fail_at(Doing::Load, message.clone());
        self.status = ModelStatus::Failed { message, log_tail: Vec::new() };
    }

    /// The entry of the wanted model, with what its file recommends once that is known.
    pub fn entry(&self, config: &Config) -> Option<ModelEntry> {
        let entry = config.model_named(&self.name)?;
        let read = self.catalogue.iter().find(|item| item.entry.name == entry.name);
        let read = read.and_then(|item| item.facts.as_ref().ok()?.as_ref());
        let facts = self.ready().map(|loaded| &loaded.facts).or(read);
        Some(match facts {
            Some(facts) => entry.advised_by(facts),
            None => entry,
        })
    }

    /// Where the wanted model's engine runs, if not here.
    pub(crate) fn place(&self, config: &Config) -> Option<Elsewhere> {
        Elsewhere::of(&config.model_named(&self.name)?)
    }

    /// The loaded model, when it is ready.
    pub fn ready(&self) -> Option<&Loaded> {
        match &self.status {
            ModelStatus::Ready(loaded) => Some(loaded),
            _ => None,
        }
    }
}

impl ChatView<'_> {
    /// Tokens in the context of the shown chat, as its last reply left it.
    pub(crate) fn context_used(&self) -> u32 {
        let branch = self.chat.branch();
        let last = branch.iter().rev().find(|turn| turn.role == Role::Assistant);
        let run = last.and_then(|turn| turn.spans.iter().rev().find_map(super::inspector::run_of));
        let usage = run.and_then(|run| self.runs.get(&run)).map(|run| run.usage).unwrap_or_default();
        let written: usize = last.map_or(0, |turn| {
            turn.spans
                .iter()
                .map(|span| match span {
                    Span::Generated { run: of, steps } if Some(*of) == run => steps.len(),
                    _ => 0,
                })
                .sum()
        });
        usage.prompt_tokens + written as u32
    }
}

impl App {
    /// The catalogue was read. The first time, the configured model is loaded or fetched.
    pub(crate) fn catalogue_read(&mut self, items: Vec<CatalogueItem>) {
        self.model.catalogue = items;
        self.model.add_offers(&self.config);
        self.refill_overlay();
        if self.model.status == ModelStatus::None {
            let resumed = self.talk.opening.model_of.take().and_then(|chat| self.view().goes_on_with(chat));
            let name = resumed.unwrap_or_else(|| self.config.model.clone());
            self.want(&name);
            if self.model.status == ModelStatus::Fetching {
                self.out.emit(Effect::MeasureMachine);
            }
        }
    }

    /// What this machine can run is known.
    pub(crate) fn machine_measured(&mut self, machine: Machine) {
        self.model.machine = Some(machine);
        self.model.add_offers(&self.config);
        self.refill_overlay();
    }

    /// Makes a model the current one: loads it, or fetches it first.
    pub(crate) fn want(&mut self, name: &str) {
        let Some(entry) = self.config.model_named(name) else {
            let message = format!("there is no model {name} in the configuration; Ctrl+L chooses another");
            name.clone_into(&mut self.model.name);
            self.model.failed(&mut self.out, message);
            return;
        };
        self.model.name.clone_from(&entry.name);
        self.model.hash = None;
        if self.model.is_on_disk(&entry) {
            self.start_engine(entry);
            return;
        }
        if matches!(self.model.status, ModelStatus::Ready(_) | ModelStatus::Loading(_)) {
            self.out.emit(Effect::StopEngine(self.out.requests.engine()));
            self.out.requests.next_engine();
        }
        self.fetch_or_ask(entry);
    }

    pub(crate) fn start_engine(&mut self, entry: ModelEntry) {
        let id = self.out.requests.next_engine();
        self.model.status = ModelStatus::Loading(0.0);
        self.model.hash = None;
        self.model.workers.clone_from(&entry.rpc);
        self.model.left_out.clear();
        self.composer.tokens = None;
        self.talk.left_out.clear();
        self.out.emit(Effect::StartEngine(id, Box::new(entry)));
    }

    /// The load goes on, or is over.
    pub(crate) fn load_event(&mut self, event: Event) {
        match event {
            Event::LoadProgress(done) => self.model.status = ModelStatus::Loading(done),
            Event::Loaded(loaded) => self.loaded(*loaded),
            Event::Failed(failure) => {
                let entry = self.config.model_named(&self.model.name);
                let message = match entry.and_then(|entry| Some((Elsewhere::of(&entry)?, entry))) {
                    Some((place, entry)) => {
                        place.not_loaded(&entry, failure.kind == FailureKind::NotFetched, &failure.message)
                    }
                    None => failure.message,
                };
                self.model.failed(&mut self.out, message);
            }
            _ => {}
        }
    }

    fn loaded(&mut self, loaded: Loaded) {
        let loaded = match self.model.place(&self.config) {
            Some(place) => loaded.at(&place.host),
            None => loaded,
        };
        self.out.succeeded_at(Doing::Load);
        self.out.requests.engine_can(loaded.capabilities.clone());
        self.out.last_use = self.out.now.mono_ms;
        let known = self.talk.update_vocabulary(&loaded);
        let notes: Vec<&str> = loaded.notes_for(true).collect();
        if !notes.is_empty() {
            self.out.warn(notes.join("; "));
        } else if self.out.notice.as_ref().is_some_and(|notice| notice.level == Level::Error) {
            self.out.say(format!("{} is loaded again", self.config.model_title(&self.model.name)));
        }
        self.model.left_out.clone_from(&loaded.left_out);
        self.model.status = ModelStatus::Ready(Box::new(loaded));
        if let Some(entry) = self.config.model_named(&self.model.name).filter(|_| self.model.hash.is_none()) {
            self.out.emit(Effect::HashModel(self.out.requests.engine(), Box::new(entry)));
        }
        if known {
            self.inspector.resolve_watch(view!(self), &mut self.out);
        } else {
            self.out.requests.ask(Asker::Vocabulary, Request::Immediate(Immediate::Vocabulary));
        }
        self.composer.count(&self.model, &mut self.out);
        self.composer.count_chips(&self.model, &mut self.out);
        self.send_waiting();
    }

    /// Switches the shown chat to a model.
    pub(crate) fn switch_model(&mut self, name: &str) {
        self.talk.end_run(with!(self), &mut self.out, "stopped: the model was switched");
        self.talk.chat.settings.model = Some(name.to_owned());
        if !self.talk.chat.turns.is_empty() {
            self.talk.put_conversation(with!(self), &mut self.out, self.talk.chat.head.id);
        }
        let current = name == self.model.name;
        if !(current && matches!(self.model.status, ModelStatus::Ready(_) | ModelStatus::Loading(_))) {
            self.want(name);
        }
    }

    /// `/model NAME`: the exact name, else the only one that matches.
    pub(crate) fn model_named(&mut self, name: &str) -> bool {
        let names: Vec<String> = self.config.models.iter().map(|entry| entry.name.clone()).collect();
        let begun = |at: &usize| fuzzy::begins(&names[*at], name);
        let matching: Vec<usize> = (0..names.len()).filter(begun).collect();
        let exact = names.iter().position(|other| other == name);
        match (exact, matching.as_slice()) {
            (Some(at), _) | (None, &[at]) => {
                self.switch_model(&names[at]);
                true
            }
            // One of a server's models, or an address.
            (None, _) if self.config.model_named(name).is_some_and(|entry| entry.server().is_some()) => {
                self.switch_model(name);
                true
            }
            (None, begun) => {
                self.out.say_unclear_model(name, &names, begun);
                false
            }
        }
    }

    /// Loads the current model again, whatever its state.
    pub(crate) fn reload(&mut self) {
        self.talk.end_run(with!(self), &mut self.out, "stopped: the model was loaded again");
        let name = self.model.name.clone();
        self.want(&name);
    }

    /// Gives the model's memory back.
    pub(crate) fn unload(&mut self) {
        if self.view().ready().is_none() {
            self.out.say("no model is loaded");
            return;
        }
        self.talk.end_run(with!(self), &mut self.out, "stopped: the model was unloaded");
        self.out.emit(Effect::StopEngine(self.out.requests.engine()));
        self.out.requests.next_engine();
        self.model.status = ModelStatus::Unloaded;
        self.composer.tokens = None;
        self.out.say("the model is unloaded; it loads again when needed");
    }

    /// A message waits: an unloaded model is loaded, a failed one is named.
    pub(crate) fn wake_model(&mut self) {
        match &self.model.status {
            ModelStatus::Unloaded => {
                let name = self.model.name.clone();
                self.want(&name);
            }
            ModelStatus::Failed { message, .. } => {
                let message = format!("the message is kept and waits: {message}");
                self.out.fail_at(Doing::Load, message);
            }
            ModelStatus::None | ModelStatus::Fetching | ModelStatus::Loading(_) | ModelStatus::Ready(_) => {}
        }
    }
}

impl Outbox {
    /// Says which models a name could mean that is none's, nor begins a single one's.
    fn say_unclear_model(&mut self, name: &str, names: &[String], begun: &[usize]) {
        let like = fuzzy::rank(name, names);
        let meant = if begun.is_empty() { &like } else { begun };
        let meant: Vec<&str> = meant.iter().map(|at| names[*at].as_str()).collect();
        let near = fuzzy::nearest(name, names.iter().map(String::as_str));
        self.warn(match (near, meant.as_slice()) {
            (None, several @ [_, _, ..]) => format!("{name} could be {}", several.join(", ")),
            (Some(near), _) | (None, &[near]) => {
                format!("there is no model {name}; did you mean {near}? Ctrl+L shows all")
            }
            (None, []) => format!("there is no model {name}; Ctrl+L shows all"),
        });
    }
}

impl Talk {
    /// The engine is told which chat it reads for from here on, where it keeps what it has read: of a temporary chat, the
    /// tour and what is no chat's nothing is kept.
    pub(crate) fn reads_for(&self, with: With<'_>, out: &mut Outbox, chat: Option<ConversationId>) {
        if self.view(with).ready().is_some_and(|loaded| loaded.keeps_states) {
            let kept = chat.filter(|chat| !out.on_tour && !out.unstored.has(*chat));
            out.requests.tell(Request::Job(Job::Chat(kept)));
        }
    }

    /// Brings what the vocabulary has of this model alone up to date; whether it is known.
    fn update_vocabulary(&mut self, loaded: &Loaded) -> bool {
        let Some(known) = self.vocabularies.get_mut(&loaded.vocabulary) else { return false };
        if (&known.marks, &known.suppressed) != (&loaded.marks, &loaded.suppressed) {
            let known = Arc::make_mut(known);
            known.marks.clone_from(&loaded.marks);
            known.suppressed.clone_from(&loaded.suppressed);
        }
        true
    }

    /// The engine gave its vocabulary: kept, so that old chats show without their model.
    pub(crate) fn keep_vocabulary(&mut self, out: &mut Outbox, vocabulary: Vocabulary) {
        if !vocabulary.is_whole() {
            // Not known as a whole; the store gets what chats name of it.
            return self.learn(&vocabulary.hash, vocabulary.learned.into_iter().collect());
        }
        out.store(store::Command::PutVocabulary(Box::new(vocabulary.clone())));
        self.vocabularies.insert(vocabulary.hash.clone(), Arc::new(vocabulary));
    }

    /// When an idle model is unloaded, ms; `None` for never.
    pub(crate) fn unloads_at(&self, with: With<'_>, out: &Outbox) -> Option<u64> {
        let minutes = u64::from(with.config.engine.unload_after_minutes);
        let idle = self.run.is_none() && self.queued.is_none() && self.view(with).ready().is_some();
        (idle && minutes > 0).then(|| out.last_use + minutes * 60_000)
    }
}

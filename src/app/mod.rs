//! The app's state, and how messages change it: `update(now, msg) -> Vec<Effect>`.
//!
//! A command is a method on the part that it changes. [`Talk`] holds what is said: chats, runs, scores, the reply being
//! written. `Inspector`, `Transcript`, `Composer`, `ModelState` and the state of each overlay are parts as well.
//! What a part says to anyone else goes into the [`Outbox`]; what it reads of the others comes as a view that borrows
//! them field by field: `ChatView` (chats with the model that can read them), `Display` (the token on display). Only
//! what changes several parts is a method of [`App`].
//!
//! Invariants: no IO, no clock, no channel, no ratatui drawing type here. Effects are data that the runtime
//! performs; what drawing learned comes back as [`Geometry`]. A run that is over ignores late events.

#[macro_use]
mod view;
mod book;
mod chat;
mod experiments;
mod fetches;
mod input;
mod inspector;
mod look;
mod message;
mod missing;
mod model;
mod outbox;
mod overlays;
mod requests;
mod settings;
mod state;
mod talk;
#[cfg(test)]
mod tests;
mod tour;
mod transcript;

pub(crate) use book::Book;
pub(crate) use chat::chats::empty_chat;
pub(crate) use chat::prompt::{message_of, without_oldest};
pub(crate) use chat::reply::stop_note;
pub(crate) use chat::send::Target;
pub(crate) use fetches::AT_ONCE as FETCHED_AT_ONCE;
pub use input::letters::Letter;
pub(crate) use inspector::stations::Keys;
pub use message::{Effect, EngineId, Msg, Now};
pub(crate) use outbox::Doing;
pub use outbox::Outbox;
pub(crate) use overlays::*;
pub(crate) use requests::{Asker, Query, Question, Requests, Status};
pub(crate) use settings::{
    choices as setting_choices, keys as setting_keys, label as setting_label, meaning as setting_meaning,
    note as setting_note, range as setting_range, section as setting_section,
};
pub(crate) use state::{
    ActiveRun, AfterStop, Ahead, AheadOf, Alternatives, Area, Change, ChatLine, ChatList, Chats, Colouring,
    Completion, Composer, ConfirmAction, Edit, Fetch, FetchState, Find, Focus, HoldAgainst, Ledger, LeftOut,
    Level, LineEdit, LineOf, LookAt, LookedAt, Looks, Microscope, ModelState, ModelStatus, Notice, Offers,
    Part, Paste, Phase, Picker, Preview, PromptAction, Queued, Record, ReplyOdds, RereadReply, Sandbox,
    Scroll, Steer, SteerField, SteerWish, StepMode, TextEdit, TokenList, Transcript, Tree, TreeRow, WIDE,
    Weights, WhatIf, WholeOf, Writing,
};
pub(crate) use transcript::cursor::SplitCharacter;

pub(crate) use chat::look_ahead::AheadRow;
pub(crate) use chat::tree::{LETTERS as TREE_LETTERS, Pair};
pub(crate) use inspector::export::Picture;
pub(crate) use inspector::stations::attention::{AttentionPicture, Grain, Ink, InkPlace, Inked};
pub(crate) use inspector::stations::layers::Grid;
pub(crate) use inspector::stations::named as part_name;
pub(crate) use inspector::stations::sampler::SANDBOX_KEYS;
pub(crate) use inspector::stations::softmax::Listed;
pub(crate) use inspector::stations::why::{Picking, Pin, Trial, Unit, in_words as change_words};
pub(crate) use inspector::{InsidePass, Inspector, LiveStep, Station, Watched, Wish};
pub use state::{Apart, FileRead, FilesWanted, Geometry, PathOffer};
pub use talk::Talk;
pub(crate) use tour::{STEPS as TOUR, Tour};
pub(crate) use view::{ChatView, Display};
#[cfg(test)]
pub(crate) use {
    inspector::stations::{embedding::state::Arithmetic, why::state::Source},
    state::LedgerOrder,
};

pub(crate) use transcript::tokens::{Origin, Pass, TokenCursor, TurnScore, TurnToken};

use crate::app::view::With;
use crate::chat::ConversationId;
use crate::command::Command;
use crate::config::keymap::Keymap;
use crate::config::{Config, Warning};
use crate::store;

/// While something runs, the clock in the header moves this often, ms.
const CLOCK_MS: u64 = 1000;

/// The whole state. Panes own their part; what several need is here.
pub struct App {
    /// The configuration in use.
    pub config: Config,
    /// Width and height of the terminal, cells.
    pub size: (u16, u16),
    /// Where keys go first.
    pub focus: Focus,
    /// Open overlays, the last on top.
    pub overlays: Overlays,
    /// The transcript's own state.
    pub transcript: Transcript,
    /// The composer.
    pub composer: Composer,
    /// The guided tour under way.
    pub(crate) tour: Option<Box<Tour>>,
    /// The inspector.
    pub inspector: Inspector,
    /// The model.
    pub model: ModelState,
    /// Names of the themes there are, told by the runtime at start.
    pub themes: Vec<String>,
    /// The folder that the app was started in, told by the runtime at start.
    pub folder: String,
    /// A message changed on trial, while that is open.
    pub what_if: Option<Box<WhatIf>>,
    /// Another model held against the loaded one, while that is open.
    pub microscope: Option<Box<Microscope>>,
    /// What each sentence of a prompt weighs, as far as it was asked.
    pub weights: Option<Box<Weights>>,
    /// What drawing learned last.
    pub geometry: Geometry,
    /// The keymap made of the command table and `[keys]`.
    pub keymap: crate::config::keymap::Keymap,
    /// Free memory at the last look, bytes.
    pub free_memory: Option<u64>,
    /// Whether nothing is being saved (store failed), and why.
    pub unsaved: Option<String>,
    /// Whether the app is on its way out.
    pub quitting: bool,
    /// The chats, and the reply being written.
    pub talk: Talk,
    /// What every part speaks through.
    pub out: Outbox,
    /// Private bookkeeping: what is kept back for a moment.
    pub(crate) book: Book,
}

impl Composer {
    fn draft_at(&self) -> Option<u64> {
        self.changed_at.map(|at| at + chat::composer::DRAFT_MS)
    }
}

impl Talk {
    fn flush_at(&self) -> Option<u64> {
        let Some(ActiveRun { phase: Phase::Writing(writing), .. }) = &self.run else { return None };
        writing.unsaved_since.map(|at| at + chat::reply::FLUSH_MS)
    }
}

impl App {
    /// The app at start, and what it asks for first. `seed` starts the generator of ids and sampler seeds;
    /// `size` is the terminal's, in cells.
    #[must_use]
    pub fn new(config: Config, keymap: Keymap, seed: u64, size: (u16, u16)) -> (Self, Vec<Effect>) {
        let mut out = Outbox::new(seed);
        let chats = Chats { shown: config.ui.chats, ..Chats::default() };
        let talk = Talk::new(ConversationId(out.id()), chats);
        let mut app = Self {
            size,
            focus: Focus::Composer,
            overlays: Overlays::default(),
            transcript: Transcript::default(),
            composer: Composer::default(),
            tour: None,
            inspector: Inspector { shown: config.ui.inspector, ..Inspector::default() },
            model: ModelState { name: config.model.clone(), ..ModelState::default() },
            themes: vec!["auto".into()],
            folder: String::new(),
            what_if: None,
            microscope: None,
            weights: None,
            geometry: Geometry::default(),
            keymap,
            free_memory: None,
            unsaved: None,
            quitting: false,
            talk,
            out,
            book: Book::default(),
            config,
        };
        app.out.unstored.shown = Some(app.talk.chat.head.id);
        app.out.store(store::Command::List);
        app.out.store(store::Command::History);
        app.out.emit(Effect::ReadCatalogue);
        app.out.show_title(view!(app));
        if app.config.ui.mouse {
            app.out.emit(Effect::Mouse(true));
        }
        let effects = app.out.take_effects();
        (app, effects)
    }

    /// Takes one message: changes the state, gives what is to be done.
    pub fn update(&mut self, now: Now, msg: Msg) -> Vec<Effect> {
        self.out.now = now;
        if self.quitting {
            return Vec::new();
        }
        self.out.dirty |= !matches!(msg, Msg::Tick);
        match msg {
            Msg::Key(key) => self.key(key),
            Msg::Paste(_) | Msg::Burst(_) if self.tour.is_some() && self.overlays.is_empty() => {}
            Msg::Paste(text) => self.paste(&text),
            Msg::Burst(text) => self.burst(&text),
            Msg::Mouse(event) => self.mouse(event),
            Msg::Resize(width, height) => self.size = (width, height),
            Msg::Focus(gained) => self.terminal_focus(gained),
            Msg::Engine(id, envelope) => self.engine(id, envelope),
            Msg::Store(event) => self.stored(event),
            Msg::Fetch(event) => self.fetched(event),
            Msg::Catalogue(items) => self.catalogue_read(items),
            Msg::Machine(machine) => self.machine_measured(machine),
            Msg::Config(config, warnings) => self.config_read(*config, &warnings),
            Msg::Edited(result) => self.edited(result),
            Msg::FilesRead(files, wanted) => self.files_read(files, wanted),
            Msg::Paths(typed, found) => self.composer.paths_listed(self.focus, &typed, &found),
            Msg::Noted(text) => self.out.warn(text),
            Msg::Copied(result) => self.out.copied(result),
            Msg::Served(name, models) => self.served_read(&name, models),
            Msg::Hub(name, offer) => self.hub_read(&name, offer.map(|offer| *offer)),
            Msg::Grammar(result) => self.talk.grammar_read(with!(self), &mut self.out, result),
            Msg::Heads(hash, scores) => {
                self.inspector.heads_recalled(view!(self), hash, scores.map(|scores| *scores));
            }
            Msg::Memory(free) => self.free_memory = Some(free),
            Msg::Coloured => {}
            Msg::Tick => self.out.dirty |= self.talk.is_working(with!(self)),
            Msg::Terminate => self.quit(),
        }
        if !self.quitting {
            self.sync();
            self.answer_impossible();
        }
        self.out.take_effects()
    }

    /// Does what its time has come for.
    fn sync(&mut self) {
        let now = self.out.now.mono_ms;
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now);
        self.sync_tour();
        self.transcript.sync_cursor(view!(self), &mut self.out, &mut self.focus);
        self.talk.sync_scores(with!(self), &mut self.out, &mut self.transcript);
        self.out.expire_notice();
        self.talk.sync_pace(&mut self.out, self.inspector.held);
        self.inspector.refresh_live(view!(self), &mut self.out);
        self.inspector.follow_cursor(view!(self), &mut self.out, self.transcript.cursor);
        match self.overlays.find_mut::<Alternatives>() {
            Some(open) => open.sync(view!(self), &mut self.out),
            None => self.out.requests.give_up_all(Asker::Alternatives),
        }
        match self.overlays.find_mut::<Ahead>() {
            Some(open) => open.sync(view!(self), &mut self.out),
            None => self.out.requests.give_up_all(Asker::LookAhead),
        }
        self.inspector.sync_look(view!(self), &mut self.out);
        self.inspector.sync_inside(view!(self), &mut self.out);
        self.inspector.sync_attention(view!(self), &mut self.out);
        let steers = self.overlays.find::<SteerPanel>().is_some();
        self.inspector.sync_steer(view!(self), &mut self.out, steers);
        self.inspector.sync_depths(view!(self), &mut self.out, &self.transcript, &self.geometry);
        self.sync_reread();
        if due(self.composer.draft_at()) {
            self.talk.keep_draft(&mut self.composer, &mut self.out);
        }
        if due(self.talk.flush_at()) {
            self.talk.flush_steps(&mut self.out);
        }
        if due(self.talk.unloads_at(with!(self), &self.out)) {
            self.unload();
            self.out.dirty = true;
        }
    }

    /// When a [`Msg::Tick`] is wanted, on the clock of [`Now::mono_ms`]; `None` while nothing is happening.
    pub fn wakes_at(&self) -> Option<u64> {
        if self.quitting {
            return None;
        }
        let clock = self.talk.is_working(with!(self)).then_some(self.out.now.mono_ms + CLOCK_MS);
        let notice = self.out.notice.as_ref().and_then(|notice| notice.until);
        let draft = self.composer.draft_at();
        [
            clock,
            notice,
            draft,
            self.talk.flush_at(),
            self.inspector.refreshes_at(view!(self)),
            self.talk.unloads_at(with!(self), &self.out),
            self.talk.slow_at(self.inspector.held),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The terminal gained the focus (files may have changed meanwhile) or lost it (a good time to save).
    fn terminal_focus(&mut self, gained: bool) {
        if gained {
            self.out.emit(Effect::ReadConfig);
        } else {
            self.keep_draft_and_place();
        }
    }

    /// What was wrong with the configuration at start.
    pub fn tell_config(&mut self, warnings: &[Warning]) {
        self.book.config_warned = !warnings.is_empty();
        self.book.keep_of_keys(warnings);
        self.out.tell(warnings);
    }

    /// The configuration was read again; what was wrong with it is said.
    fn config_read(&mut self, config: Config, warnings: &[Warning]) {
        let asked = std::mem::take(&mut self.book.config_asked);
        let changed = config != self.config;
        let other_model = (config.model != self.config.model && config.model != self.model.name)
            .then(|| config.model.clone());
        if changed {
            let mouse = self.config.ui.mouse;
            self.keymap = Keymap::build(crate::command::TABLE, &config.keys).0;
            self.config = config;
            if self.config.ui.mouse != mouse {
                self.out.emit(Effect::Mouse(self.config.ui.mouse));
            }
            self.inspector.resolve_watch(view!(self), &mut self.out);
            self.out.emit(Effect::ReadCatalogue);
        }
        let mended = std::mem::replace(&mut self.book.config_warned, !warnings.is_empty());
        self.book.keep_of_keys(warnings);
        if !(changed || asked || mended || !warnings.is_empty()) {
            return;
        }
        if let Some(name) = other_model {
            let key = self.keymap.shown(Command::Models);
            self.out.say(format!("model = {name:?} is for the next start; {key} switches this chat now"));
        } else if warnings.is_empty() {
            self.out.say("configuration read again");
        }
        self.out.tell(warnings);
    }
}

impl Talk {
    /// Whether something runs whose time is shown.
    fn is_working(&self, with: With<'_>) -> bool {
        self.run.is_some()
            || matches!(with.model.status, ModelStatus::Loading(_))
            || with.model.fetches_something()
    }
}

//! Opening and beginning chats, what happens to the one that is left, and where one goes on in it.
//!
//! Invariant: a chat that writes, waits or is temporary stays in memory in `others`; all else is read from the store
//! again.

use crossterm::event::{KeyCode, KeyEvent};

use crate::app::{
    App, ChatList, ChatView, Composer, Effect, Focus, ModelState, ModelStatus, Outbox, Scroll, Search,
    Station, Talk, Transcript, chat::send,
};
use crate::chat::{ChatSettings, Conversation, ConversationHead, ConversationId, Place, Role, TurnId, Typed};
use crate::store;

/// A chat that holds nothing yet.
pub fn empty_chat(id: ConversationId) -> Conversation {
    Conversation {
        head: ConversationHead::new(id),
        settings: ChatSettings::default(),
        leaf: None,
        turns: Vec::new(),
        place: Place::default(),
    }
}

impl App {
    /// Opens a chat: at once when it is in memory, else when the store has read it.
    pub fn open(&mut self, id: ConversationId) -> Vec<Effect> {
        self.open_chat(id, None);
        self.out.take_effects()
    }

    /// Opens a chat; with a turn, at that byte of its text.
    pub(crate) fn open_chat(&mut self, id: ConversationId, at: Option<(TurnId, usize)>) {
        self.talk.opening.at = at;
        if id == self.talk.chat.head.id {
            self.arrive();
            return;
        }
        self.talk.keep_draft(&mut self.composer, &mut self.out);
        if let Some(conversation) = self.talk.others.remove(&id) {
            self.show_chat(conversation);
        } else {
            self.talk.opening.next = Some(id);
            self.out.store(store::Command::Open(id));
        }
    }

    fn show_chat(&mut self, conversation: Conversation) {
        self.end_tour();
        self.leave();
        self.talk.chat = conversation;
        let draft = self.talk.chat.head.draft.clone();
        let waiting = self.talk.queued.as_ref().filter(|queued| queued.chat == self.talk.chat.head.id);
        let waiting =
            waiting.map(|queued| Typed::joined(&queued.texts).text).filter(|waiting| !waiting.is_empty());
        let typed = waiting.map_or(draft.clone(), |waiting| send::without_waiting(&draft, &waiting));
        self.composer.set(&typed);
        self.composer.walking = None;
        self.composer.count(&self.model, &mut self.out);
        self.transcript.scroll = match self.talk.chat.place.top {
            Some((turn, row)) if self.talk.chat.turn(turn).is_some() => {
                Scroll::Anchor { turn, row, moved: 0 }
            }
            _ => Scroll::Bottom,
        };
        self.go_on();
        self.arrive();
        self.out.store(store::Command::PutPlace(self.talk.chat.head.id, self.talk.chat.place.clone()));
    }

    /// At start: the station and the model with which the chat was left.
    fn go_on(&mut self) {
        let Some(with_model) = self.talk.opening.resuming.take() else { return };
        if let Some(station) = self.talk.chat.place.station.as_deref().and_then(Station::named) {
            self.inspector.station = station;
        }
        if with_model && self.model.status == ModelStatus::None {
            self.talk.opening.model_of = Some(self.talk.chat.head.id); // until it is known which models are there
        } else if let Some(name) = self.view().goes_on_with(self.talk.chat.head.id).filter(|_| with_model) {
            self.want(&name);
        }
    }

    /// Keeps what is written unsent in the shown chat, and where it is left.
    pub(crate) fn keep_draft_and_place(&mut self) {
        self.talk.keep_draft(&mut self.composer, &mut self.out);
        self.talk.keep_place(&mut self.out, &self.transcript, self.inspector.station);
    }

    /// Keeps the draft and the place, and the chat itself while something is written or waits there.
    fn leave(&mut self) {
        self.keep_draft_and_place();
        self.composer.give_up_edit();
        let id = self.talk.chat.head.id;
        let left = std::mem::replace(&mut self.talk.chat, empty_chat(id));
        if self.view().is_busy(id) || (self.out.unstored.has(id) && !left.turns.is_empty()) {
            self.talk.others.insert(id, left);
        }
        self.talk.leave_scores(&mut self.out);
        self.transcript = Transcript {
            colouring: self.transcript.colouring,
            special: self.transcript.special,
            raw: self.transcript.raw,
            ..Transcript::default()
        };
    }

    /// The chat is shown: titles, marks, the inspector and the turn looked for.
    fn arrive(&mut self) {
        self.talk.chats.unseen.remove(&self.talk.chat.head.id);
        self.out.unstored.shown = Some(self.talk.chat.head.id);
        self.talk.reads_for(with!(self), &mut self.out, Some(self.talk.chat.head.id));
        self.overlays.close_branching();
        self.composer.completion = None;
        self.focus = Focus::Composer;
        self.out.show_title(view!(self));
        self.inspector.show_last_step(view!(self), &mut self.out);
        self.model.used = self.view().context_used();
        let there = self.talk.opening.at.take().filter(|(turn, _)| self.talk.chat.turn(*turn).is_some());
        if let Some((turn, byte)) = there {
            if !self.talk.chat.branch().iter().any(|other| other.id == turn) {
                let leaf = self.talk.chat.newest_leaf(turn);
                self.show_leaf(Some(leaf));
            }
            self.transcript.go_to(view!(self), &mut self.focus, turn, byte);
        }
    }

    pub(crate) fn new_chat(&mut self) {
        if self.talk.chat.turns.is_empty() && !self.out.unstored.has(self.talk.chat.head.id) {
            self.set_focus(Focus::Composer);
            return;
        }
        self.begin_chat();
    }

    /// Leaves the shown chat for one that holds nothing.
    pub(crate) fn begin_chat(&mut self) {
        self.leave();
        self.talk.chat = empty_chat(ConversationId(self.out.id()));
        let draft = self.talk.new_draft.clone();
        self.composer.set(&draft);
        self.composer.count(&self.model, &mut self.out);
        self.talk.opening.forget();
        self.arrive();
    }

    pub(crate) fn open_selected(&mut self) {
        if self.talk.chats.list == ChatList::Bin {
            return self.restore_chat();
        }
        if let Some(id) = self.talk.chats.at().map(|head| head.id) {
            self.talk.chats.filter = None;
            self.talk.chats.point_at(id);
            self.open_chat(id, None);
        }
    }

    /// A key of a one-line input that lies over the panes: the new title, or what is looked for.
    pub(crate) fn line_key(&mut self, key: KeyEvent) -> bool {
        if self.transcript.find.is_some() {
            return self.transcript.find_key(view!(self), &mut self.focus, key);
        }
        if key.code == KeyCode::Enter && self.talk.chats.narrows(self.focus) {
            self.open_selected();
            return true;
        }
        self.talk.chat_line_key(with!(self), &mut self.out, key)
    }

    /// What the store says.
    pub(crate) fn stored(&mut self, event: store::Event) {
        match event {
            store::Event::Ready { interrupted, draft, notes } => {
                if self.talk.chat.turns.is_empty() {
                    self.composer.put_before(&self.model, &mut self.out, &draft);
                }
                self.talk.new_draft = draft;
                self.out.say_ready(interrupted, &notes);
            }
            store::Event::Listed(heads) => {
                if let Some(last) = self.talk.listed(heads) {
                    self.open_chat(last, None);
                }
            }
            store::Event::Opened(id, conversation) => {
                if self.talk.opened(&mut self.out, id, conversation.as_deref()) {
                    match conversation {
                        Some(conversation) => self.show_chat(*conversation),
                        None => self.out.warn("that chat is not there any more"),
                    }
                }
            }
            store::Event::Runs(_, runs) => {
                for run in runs {
                    self.talk.runs.entry(run.id).or_insert(run);
                }
                self.talk.ask_vocabularies(&mut self.out);
                if self.talk.run.is_none() {
                    self.inspector.show_last_step(view!(self), &mut self.out);
                    self.model.used = self.view().context_used();
                }
            }
            store::Event::History(messages) => self.composer.history = messages,
            store::Event::Vocabulary(hash, vocabulary) => {
                if let Some(vocabulary) = vocabulary {
                    self.talk.vocabulary_read(hash, *vocabulary);
                }
            }
            store::Event::Scores(chat, scores) => {
                self.talk.scores_read(with!(self), &mut self.out, chat, scores);
            }
            store::Event::Found { query, hits } => {
                if let Some(open) = self.overlays.top_mut::<Search>() {
                    open.found(&query, hits);
                }
            }
            store::Event::Trouble { message, lost } => {
                if lost {
                    self.unsaved = Some(message.clone());
                }
                self.out.fail(message);
            }
            store::Event::Recovered => {
                self.unsaved = None;
                self.out.say("saving works again");
            }
            store::Event::Closed => {}
        }
    }
}

impl ChatView<'_> {
    /// The model that a chat goes on with: the one chosen there, else the one that wrote its last reply, if it is there
    /// to be loaded.
    pub(crate) fn goes_on_with(&self, id: ConversationId) -> Option<String> {
        let chat = self.conversation(id)?;
        let last = || chat.upwards().find(|turn| turn.role == Role::Assistant)?.model.clone();
        let there = |name: &String| {
            let named = self.config.models.iter().any(|entry| entry.name == *name);
            named && self.config.model_named(name).is_some_and(|entry| self.model.is_on_disk(&entry))
        };
        let wanted = chat.settings.model.clone().filter(|name| self.config.model_named(name).is_some());
        wanted.or_else(|| last().filter(there)).filter(|name| *name != self.model.name)
    }
}

impl Talk {
    /// Asks the store for the vocabularies that the loaded chats' tokens belong to.
    fn ask_vocabularies(&mut self, out: &mut Outbox) {
        let wanted: std::collections::BTreeSet<String> =
            self.runs.values().filter_map(|run| run.vocabulary.clone()).collect();
        for hash in wanted {
            if !self.vocabularies.contains_key(&hash) && self.vocabularies_asked.insert(hash.clone()) {
                out.store(store::Command::Vocabulary(hash));
            }
        }
    }
}

impl Composer {
    /// What was typed before the store was open goes after the draft that was kept.
    fn put_before(&mut self, model: &ModelState, out: &mut Outbox, draft: &str) {
        if draft.is_empty() {
            return;
        }
        let typed = self.text();
        self.set(&if typed.is_empty() { draft.to_owned() } else { format!("{draft}\n\n{typed}") });
        self.count(model, out);
    }
}

impl Outbox {
    /// Says what the store found when it was opened.
    fn say_ready(&mut self, interrupted: usize, notes: &[String]) {
        if !notes.is_empty() {
            self.warn(notes.join("; "));
        } else if interrupted > 0 {
            let replies = if interrupted == 1 { "reply was" } else { "replies were" };
            self.warn(format!(
                "{interrupted} {replies} cut off when glassbox ended; what was written is kept"
            ));
        }
    }

    /// Tells the terminal what the window is called.
    pub(crate) fn show_title(&mut self, view: ChatView<'_>) {
        let title = match view.chat.head.title.as_str() {
            "" => "glassbox".to_owned(),
            title => format!("{title} · glassbox"),
        };
        self.emit(Effect::Title(title));
    }
}

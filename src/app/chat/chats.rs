//! Opening and beginning chats, what happens to the one that is left, and where one goes on in it.
//!
//! Invariant: a chat that writes, waits or is temporary stays in memory in `others`; all else is read from the store
//! again.

use crossterm::event::KeyEvent;

use crate::app::{
    App, ChatList, ChatView, Effect, Focus, ModelStatus, Outbox, Scroll, Station, Talk, Transcript,
    chat::send,
};
use crate::chat::{ChatSettings, Conversation, ConversationHead, ConversationId, Place, Role, TurnId};
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

    /// Opens the chat that was looked at last, once the list is there.
    pub fn open_last(&mut self) {
        self.book.open_last = true;
    }

    /// The next chat is gone on with as it was left, its station and its model too, unless the user named a model.
    pub fn resume(&mut self, model_named: bool) {
        self.book.resuming = Some(!model_named);
    }

    /// Opens a chat; with a turn, at that byte of its text.
    pub(crate) fn open_chat(&mut self, id: ConversationId, at: Option<(TurnId, usize)>) {
        self.book.open_at = at;
        if id == self.talk.chat.head.id {
            self.arrive();
            return;
        }
        self.keep_draft();
        if let Some(conversation) = self.talk.others.remove(&id) {
            self.show_chat(conversation);
        } else {
            self.book.open_next = Some(id);
            self.out.store(store::Command::Open(id));
        }
    }

    /// The store has read a chat.
    pub(crate) fn opened(&mut self, id: ConversationId, conversation: Option<Box<Conversation>>) {
        if let Some((title, conversation)) = self.talk.renames.remove(&id).zip(conversation.clone()) {
            let Conversation { head, settings, leaf, .. } = *conversation;
            let head = ConversationHead { title, ..head };
            self.out.store(store::Command::PutConversation { head, settings, leaf });
        }
        if self.book.open_next != Some(id) {
            return;
        }
        self.book.open_next = None;
        match conversation {
            Some(conversation) => self.show_chat(*conversation),
            None => self.out.warn("that chat is not there any more"),
        }
    }

    fn show_chat(&mut self, conversation: Conversation) {
        self.end_tour();
        self.leave();
        self.talk.chat = conversation;
        let draft = self.talk.chat.head.draft.clone();
        let waiting = self.talk.queued.as_ref().filter(|queued| queued.chat == self.talk.chat.head.id);
        let waiting = waiting.map(|queued| queued.texts.join("\n\n")).filter(|waiting| !waiting.is_empty());
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
        let Some(with_model) = self.book.resuming.take() else { return };
        if let Some(station) = self.talk.chat.place.station.as_deref().and_then(Station::named) {
            self.inspector.station = station;
        }
        if with_model && self.model.status == ModelStatus::None {
            self.book.model_of = Some(self.talk.chat.head.id); // until it is known which models are there
        } else if let Some(name) = self.view().goes_on_with(self.talk.chat.head.id).filter(|_| with_model) {
            self.want(&name);
        }
    }

    /// Keeps where the shown chat is left.
    pub(crate) fn keep_place(&mut self) {
        if self.talk.chat.turns.is_empty() || self.tour.is_some() {
            return;
        }
        let top = match self.transcript.scroll {
            Scroll::Anchor { turn, row, .. } => self.talk.chat.turn(turn).is_some().then_some((turn, row)),
            Scroll::Bottom => None,
        };
        let station = Some(self.inspector.station.about().name.to_owned());
        let place = Place { top, station };
        if self.talk.chat.place != place {
            self.talk.chat.place = place.clone();
            self.out.store(store::Command::PutPlace(self.talk.chat.head.id, place));
        }
    }

    /// Keeps the draft and the place, and the chat itself while something is written or waits there.
    fn leave(&mut self) {
        self.keep_draft();
        self.keep_place();
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
        self.close_branching();
        self.composer.completion = None;
        self.focus = Focus::Composer;
        self.out.show_title(view!(self));
        self.inspector.show_last_step(view!(self), &mut self.out);
        self.model.used = self.view().context_used();
        let there = self.book.open_at.take().filter(|(turn, _)| self.talk.chat.turn(*turn).is_some());
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
        self.book.open_at = None;
        self.book.open_next = None;
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
        self.chat_line_key(key)
    }

    /// What the store says.
    pub(crate) fn stored(&mut self, event: store::Event) {
        match event {
            store::Event::Ready { interrupted, draft, notes } => self.store_ready(interrupted, draft, &notes),
            store::Event::Listed(heads) => self.listed(heads),
            store::Event::Opened(id, conversation) => self.opened(id, conversation),
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
                    self.talk.vocabularies.entry(hash).or_insert_with(|| std::sync::Arc::from(vocabulary));
                }
            }
            store::Event::Scores(chat, scores) => {
                self.talk.scores_read(with!(self), &mut self.out, chat, scores);
            }
            store::Event::Found { query, hits } => self.found(&query, hits),
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

    fn store_ready(&mut self, interrupted: usize, draft: String, notes: &[String]) {
        if self.talk.chat.turns.is_empty() && !draft.is_empty() {
            // What was typed before the store was open goes after what was kept.
            let typed = self.composer.text();
            let both = if typed.is_empty() { draft.clone() } else { format!("{draft}\n\n{typed}") };
            self.composer.set(&both);
            self.composer.count(&self.model, &mut self.out);
        }
        self.talk.new_draft = draft;
        if !notes.is_empty() {
            self.out.warn(notes.join("; "));
        } else if interrupted > 0 {
            let replies = if interrupted == 1 { "reply was" } else { "replies were" };
            self.out.warn(format!(
                "{interrupted} {replies} cut off when glassbox ended; what was written is kept"
            ));
        }
    }

    fn listed(&mut self, heads: Vec<ConversationHead>) {
        self.talk.chats.fill(heads);
        let temporary: Vec<ConversationHead> = self
            .talk
            .others
            .values()
            .chain([&self.talk.chat])
            .filter(|chat| self.out.unstored.has(chat.head.id) && !chat.turns.is_empty())
            .map(|chat| chat.head.clone())
            .collect();
        for head in temporary {
            self.talk.chats.put(head);
        }
        let stored = self.talk.chats.heads.iter().chain(&self.talk.chats.archived);
        let last = stored.max_by_key(|head| (head.looked, head.updated_ms)).map(|head| head.id);
        if let Some(last) = last.filter(|_| std::mem::take(&mut self.book.open_last)) {
            self.open_chat(last, None);
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

impl Outbox {
    /// Tells the terminal what the window is called.
    pub(crate) fn show_title(&mut self, view: ChatView<'_>) {
        let title = match view.chat.head.title.as_str() {
            "" => "glassbox".to_owned(),
            title => format!("{title} · glassbox"),
        };
        self.emit(Effect::Title(title));
    }
}

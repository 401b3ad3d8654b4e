//! The list of chats: opening, beginning, renaming, deleting, and what happens to the one that is left.
//!
//! Invariant: a chat that writes or waits stays in memory in `others`; all else is read from the store again.

use crossterm::event::{KeyCode, KeyEvent};

use crate::app::view::With;
use crate::app::{App, ChatView, Chats, Edit, Effect, Focus, LineEdit, Outbox, Talk, Transcript, chat::send};
use crate::chat::{ChatSettings, Conversation, ConversationHead, ConversationId, TurnId};
use crate::command::Command;
use crate::store;

/// A chat that holds nothing yet.
pub fn empty_chat(id: ConversationId) -> Conversation {
    let head =
        ConversationHead { id, title: String::new(), created_ms: 0, updated_ms: 0, draft: String::new() };
    Conversation { head, settings: ChatSettings::default(), leaf: None, turns: Vec::new() }
}

impl Chats {
    pub(crate) fn select_chat(&mut self, down: bool) {
        let last = self.heads.len().saturating_sub(1);
        let at = self.selected;
        self.selected = if down { (at + 1).min(last) } else { at.saturating_sub(1) };
    }
}

impl App {
    /// Opens a chat: at once when it is in memory, else when the store has read it.
    pub fn open(&mut self, id: ConversationId) -> Vec<Effect> {
        self.open_chat(id, None);
        self.out.take_effects()
    }

    /// Opens the newest chat once the list is there.
    pub fn open_newest(&mut self) {
        self.book.open_newest = true;
    }

    /// Opens a chat, and selects a turn in it.
    pub(crate) fn open_chat(&mut self, id: ConversationId, at: Option<TurnId>) {
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
        let waiting = waiting.and_then(|queued| queued.text.clone());
        let typed = waiting.map_or(draft.clone(), |waiting| send::without_waiting(&draft, &waiting));
        self.composer.set(&typed);
        self.composer.walking = None;
        self.composer.count(&self.model, &mut self.out);
        self.arrive();
    }

    /// Keeps the draft, and the chat itself while something is written or waits there.
    fn leave(&mut self) {
        self.keep_draft();
        self.composer.give_up_edit();
        let id = self.talk.chat.head.id;
        let left = std::mem::replace(&mut self.talk.chat, empty_chat(id));
        if self.view().is_busy(id) {
            self.talk.others.insert(id, left);
        }
        self.talk.leave_scores(&mut self.out);
        self.transcript = Transcript {
            colouring: self.transcript.colouring,
            special: self.transcript.special,
            ..Transcript::default()
        };
    }

    /// The chat is shown: titles, marks, the inspector and the turn looked for.
    fn arrive(&mut self) {
        self.talk.chats.unseen.remove(&self.talk.chat.head.id);
        self.close_branching();
        self.composer.completion = None;
        self.focus = Focus::Composer;
        self.out.show_title(view!(self));
        self.inspector.show_last_step(view!(self), &mut self.out);
        self.model.used = self.view().context_used();
        if let Some(turn) = self.book.open_at.take().filter(|turn| self.talk.chat.turn(*turn).is_some()) {
            if !self.talk.chat.branch().iter().any(|other| other.id == turn) {
                let leaf = self.talk.chat.newest_leaf(turn);
                self.show_leaf(Some(leaf));
            }
            self.transcript.select(view!(self), &mut self.focus, turn);
        }
    }

    pub(crate) fn new_chat(&mut self) {
        if self.talk.chat.turns.is_empty() {
            self.set_focus(Focus::Composer);
            return;
        }
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
        if let Some(head) = self.talk.chats.heads.get(self.talk.chats.selected) {
            self.open_chat(head.id, None);
        }
    }

    pub(crate) fn begin_rename(&mut self) {
        match self.talk.meant_chat(with!(self)) {
            Some(head) => {
                self.talk.chats.shown = true;
                self.set_focus(Focus::Chats);
                if let Some(at) = self.talk.chats.heads.iter().position(|other| other.id == head.id) {
                    self.talk.chats.selected = at;
                }
                self.talk.chats.rename = Some((head.id, LineEdit::new(head.title)));
            }
            None => self.out.say("a chat gets its title with its first message"),
        }
    }

    pub(crate) fn delete_chat(&mut self) {
        let Some(head) = self.talk.meant_chat(with!(self)) else {
            self.out.say("there is no chat here yet to delete");
            return;
        };
        if self.view().is_busy(head.id) {
            self.out.say("a reply is being written there; stop it first");
            return;
        }
        let at = self.talk.chats.heads.iter().position(|other| other.id == head.id).unwrap_or(0);
        self.out.store(store::Command::DeleteConversation(head.id, true));
        self.talk.chats.heads.retain(|other| other.id != head.id);
        self.talk.chats.unseen.remove(&head.id);
        self.talk.chats.selected = at.min(self.talk.chats.heads.len().saturating_sub(1));
        let focus = self.focus;
        if head.id == self.talk.chat.head.id {
            self.new_chat();
            self.focus = focus;
        }
        let how = self.view().way(Focus::Chats, Command::RestoreChat);
        self.out.say(format!("deleted “{}”; {how} takes it back", head.title));
        self.talk.chats.deleted = Some(head);
    }

    /// A key of a one-line input that lies over the panes: the new title, or what is looked for.
    pub(crate) fn line_key(&mut self, key: KeyEvent) -> bool {
        if self.transcript.find.is_some() {
            return self.transcript.find_key(view!(self), &mut self.focus, key);
        }
        let Some((id, input)) = &mut self.talk.chats.rename else { return false };
        match key.code {
            KeyCode::Esc => self.talk.chats.rename = None,
            KeyCode::Enter => {
                let (id, title) = (*id, input.text.clone());
                self.talk.chats.rename = None;
                self.talk.rename(with!(self), &mut self.out, id, &title);
            }
            _ => return input.key(key) != Edit::Ignored,
        }
        true
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
        self.talk.chats.heads = heads;
        self.talk.chats.selected =
            self.talk.chats.selected.min(self.talk.chats.heads.len().saturating_sub(1));
        if std::mem::take(&mut self.book.open_newest)
            && let Some(newest) = self.talk.chats.heads.first()
        {
            self.open_chat(newest.id, None);
        }
    }
}

impl Talk {
    /// The chat that a command about chats means: the row under the cursor, or the shown one.
    fn meant_chat(&self, with: With<'_>) -> Option<ConversationHead> {
        match with.focus {
            Focus::Chats => self.chats.heads.get(self.chats.selected).cloned(),
            _ => self.chats.heads.iter().find(|head| head.id == self.chat.head.id).cloned(),
        }
    }

    /// Gives a chat another title.
    pub(crate) fn rename(&mut self, with: With<'_>, out: &mut Outbox, id: ConversationId, title: &str) {
        let title = crate::chat::title_of(title);
        let Some(head) = self.chats.heads.iter_mut().find(|head| head.id == id) else {
            out.say("a chat gets its title with its first message");
            return;
        };
        if title.is_empty() {
            return;
        }
        head.title.clone_from(&title);
        if let Some(conversation) = self.conversation_mut(id) {
            conversation.head.title.clone_from(&title);
            self.put_conversation(with, out, id);
        } else {
            // What the chat sets for itself is written with its title, so it is read first.
            self.renames.insert(id, title);
            out.store(store::Command::Open(id));
        }
        if id == self.chat.head.id {
            out.show_title(self.view(with));
        }
    }

    pub(crate) fn restore_chat(&mut self, out: &mut Outbox) {
        let Some(head) = self.chats.deleted.take() else {
            out.say("no chat was deleted");
            return;
        };
        out.store(store::Command::DeleteConversation(head.id, false));
        let at = self.chats.heads.partition_point(|other| other.updated_ms > head.updated_ms);
        out.say(format!("“{}” is back", head.title));
        self.chats.heads.insert(at, head);
        self.chats.selected = at;
    }

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

//! What is kept of chats and how: titles, pins, tags, the archive, copies, the bin, and chats of which nothing is kept.
//!
//! Invariant: nothing that the user can delete here is gone before it was in the bin, but for a temporary chat.

use crossterm::event::{KeyCode, KeyEvent};

use crate::app::view::With;
use crate::app::{
    App, ChatLine, ChatList, Confirm, ConfirmAction, Edit, Focus, LineEdit, LineOf, Outbox, Talk,
};
use crate::chat::{ConversationHead, ConversationId, Marks};
use crate::command::Command;
use crate::store;

impl App {
    pub(crate) fn begin_rename(&mut self) {
        if let Some(head) = self.chat_in_list("a chat gets its title with its first message") {
            let input = LineEdit::new(head.title);
            self.talk.chats.line = Some(ChatLine { chat: head.id, of: LineOf::Title, input });
        }
    }

    /// Begins the line that a chat's tags are typed into.
    pub(crate) fn begin_tags(&mut self) {
        if let Some(head) = self.chat_in_list("there is no chat here yet to tag") {
            let tags = head.marks.tags.iter().fold(String::new(), |line, tag| line + tag + " ");
            self.talk.chats.line =
                Some(ChatLine { chat: head.id, of: LineOf::Tags, input: LineEdit::new(tags) });
        }
    }

    /// Begins the line that narrows the list.
    pub(crate) fn begin_chat_filter(&mut self) {
        self.show_chats();
        self.talk.chats.filter.get_or_insert_default();
    }

    /// Shows the archived chats or the bin in the list's place, or the list again.
    pub(crate) fn show_chat_list(&mut self, list: ChatList) {
        self.show_chats();
        self.talk.chats.show_list(list);
    }

    fn show_chats(&mut self) {
        self.talk.chats.shown = true;
        if self.focus != Focus::Chats {
            self.set_focus(Focus::Chats);
        }
    }

    /// The chat that a command means, with its row under the cursor.
    fn chat_in_list(&mut self, none: &str) -> Option<ConversationHead> {
        let Some(head) = self.talk.meant_chat(with!(self)) else {
            self.out.say(none);
            return None;
        };
        self.show_chats();
        self.talk.chats.point_at(head.id);
        Some(head)
    }

    pub(crate) fn pin_chat(&mut self) {
        let Some(head) = self.talk.meant_chat(with!(self)) else { return self.no_chat() };
        let pinned = !head.marks.pinned;
        self.talk.mark(&mut self.out, head.id, |marks| marks.pinned = pinned);
        self.out.say(if pinned { "pinned: it stands first" } else { "not pinned any more" });
    }

    pub(crate) fn archive_chat(&mut self) {
        let Some(head) = self.talk.meant_chat(with!(self)) else { return self.no_chat() };
        let archived = !head.marks.archived;
        self.talk.mark(&mut self.out, head.id, |marks| marks.archived = archived);
        let how = self.view().way(Focus::Chats, Command::Archive);
        self.out.say(if archived {
            format!("archived; search still finds it, {how} lists it")
        } else {
            "back in the list of chats".to_owned()
        });
    }

    /// `/tag-chat WORDS`: the tags of the chat that is meant, in place of those it had.
    pub(crate) fn tag_chat(&mut self, line: &str) {
        let Some(head) = self.talk.meant_chat(with!(self)) else { return self.no_chat() };
        self.talk.tag(&mut self.out, head.id, line);
    }

    pub(crate) fn duplicate_chat(&mut self) {
        let Some(head) = self.talk.meant_chat(with!(self)) else { return self.no_chat() };
        if self.out.unstored.has(head.id) {
            self.out.say("a temporary chat has no copy; /temporary keeps it first");
        } else if self.view().is_busy(head.id) {
            self.out.say("a reply is being written there; stop it first");
        } else {
            let (copy, title) = (ConversationId(self.out.id()), format!("{} (copy)", head.title));
            self.out.store(store::Command::DuplicateConversation(head.id, copy, title));
            self.out.store(store::Command::List);
            self.open_chat(copy, None);
            self.out.say("this is the copy");
        }
    }

    fn no_chat(&mut self) {
        self.out.say("there is no chat here yet");
    }

    /// Into the bin; in the bin, for good after a question.
    pub(crate) fn delete_chat(&mut self) {
        let Some(head) = self.talk.meant_chat(with!(self)) else {
            self.out.say("there is no chat here yet to delete");
            return;
        };
        if self.view().is_busy(head.id) {
            self.out.say("a reply is being written there; stop it first");
            return;
        }
        if head.binned_ms.is_some() {
            let question = format!("Remove “{}” for good? It cannot be taken back.", head.title);
            self.overlays.push(Confirm { question, action: ConfirmAction::PurgeChat(head.id) });
            return;
        }
        self.out.store(store::Command::DeleteConversation(head.id, true));
        self.talk.chats.forget(head.id);
        if head.id == self.talk.chat.head.id {
            let focus = self.focus;
            self.begin_chat();
            self.focus = focus;
        }
        self.talk.others.remove(&head.id);
        if self.out.unstored.has(head.id) {
            self.out.say(format!("“{}” is gone: it was temporary", head.title));
            return;
        }
        let how = self.view().way(Focus::Chats, Command::RestoreChat);
        let days = store::BIN_DAYS;
        self.out.say(format!("“{}” is in the bin for {days} days; {how} takes it back", head.title));
        self.talk.chats.put(ConversationHead { binned_ms: Some(self.out.now.wall_ms), ..head });
    }

    /// The question was answered with yes.
    pub(crate) fn purge_chat(&mut self, id: ConversationId) {
        self.talk.chats.forget(id);
        self.out.store(store::Command::PurgeConversation(id));
        self.out.say("removed for good");
    }

    /// Takes a chat out of the bin and opens it: the one under the cursor there, else the one deleted last.
    pub(crate) fn restore_chat(&mut self) {
        let in_bin = self.focus == Focus::Chats && self.talk.chats.list == ChatList::Bin;
        let chosen = if in_bin { self.talk.chats.at() } else { self.talk.chats.bin.first() };
        let Some(head) = chosen.cloned() else {
            self.out.say("the bin is empty");
            return;
        };
        self.out.store(store::Command::DeleteConversation(head.id, false));
        self.talk.chats.put(ConversationHead { binned_ms: None, ..head.clone() });
        self.talk.chats.list = ChatList::Chats;
        self.talk.chats.point_at(head.id);
        self.open_chat(head.id, None);
        self.out.say(format!("“{}” is back", head.title));
    }

    /// A key of the line in the list: a new title, tags, or what the list is narrowed to.
    pub(crate) fn chat_line_key(&mut self, key: KeyEvent) -> bool {
        let Some(line) = &mut self.talk.chats.line else {
            return self.focus == Focus::Chats && self.filter_key(key);
        };
        if !matches!(key.code, KeyCode::Esc | KeyCode::Enter) {
            return line.input.key(key) != Edit::Ignored;
        }
        let line = self.talk.chats.line.take().filter(|_| key.code == KeyCode::Enter);
        match line {
            Some(ChatLine { chat, of: LineOf::Title, input }) => {
                self.talk.rename(with!(self), &mut self.out, chat, &input.text);
            }
            Some(ChatLine { chat, of: LineOf::Tags, input }) => {
                self.talk.tag(&mut self.out, chat, &input.text);
            }
            None => {}
        }
        true
    }

    fn filter_key(&mut self, key: KeyEvent) -> bool {
        let chats = &mut self.talk.chats;
        let Some(filter) = &mut chats.filter else { return false };
        match key.code {
            KeyCode::Esc => {
                let id = chats.at().map(|head| head.id);
                chats.filter = None;
                if let Some(id) = id {
                    chats.point_at(id);
                }
            }
            KeyCode::Enter => self.open_selected(),
            KeyCode::Up | KeyCode::Down => chats.select_chat(key.code == KeyCode::Down),
            _ => match filter.key(key) {
                Edit::Changed => chats.selected = 0,
                Edit::Moved => {}
                Edit::Ignored => return false,
            },
        }
        true
    }

    /// Begins a chat of which nothing is kept; in one, keeps it after all.
    pub(crate) fn temporary_chat(&mut self) {
        let shown = self.talk.chat.head.id;
        if self.out.unstored.has(shown) {
            return self.keep_temporary(shown);
        }
        if self.talk.run.is_some() && self.talk.chat.turns.is_empty() {
            self.out.say_busy(view!(self));
            return;
        }
        self.keep_draft();
        self.begin_chat();
        self.out.unstored.add(self.talk.chat.head.id);
        self.composer.replace(&self.model, &mut self.out, "");
        let how = self.view().way(Focus::Composer, Command::Temporary);
        self.out.say(format!(
            "a temporary chat: nothing of it is stored, and it ends with the app; {how} keeps it"
        ));
    }

    fn keep_temporary(&mut self, id: ConversationId) {
        if self.view().is_busy(id) {
            self.out.say("a reply is being written here; stop it first");
            return;
        }
        self.out.unstored.remove(id);
        let chat = self.talk.chat.clone();
        if chat.turns.is_empty() {
            self.out.say("this chat will be stored");
            return;
        }
        self.talk.put_conversation(with!(self), &mut self.out, id);
        for turn in &chat.turns {
            for run in turn.spans.iter().filter_map(crate::app::inspector::run_of) {
                if let Some(run) = self.talk.runs.get(&run) {
                    self.out.store(store::Command::PutRun(Box::new(run.clone())));
                }
            }
            self.out.store(store::Command::PutTurn(id, Box::new(turn.clone())));
        }
        self.talk.mark(&mut self.out, id, |_| {});
        self.out.say("this chat is stored from now on");
    }
}

impl Talk {
    /// The chat that a command about chats means: the row under the cursor, or the shown one.
    fn meant_chat(&self, with: With<'_>) -> Option<ConversationHead> {
        match with.focus {
            Focus::Chats => self.chats.at().cloned(),
            _ => self.chats.find(self.chat.head.id).cloned(),
        }
    }

    /// Changes what the user says of a chat.
    pub(crate) fn mark(&mut self, out: &mut Outbox, id: ConversationId, change: impl FnOnce(&mut Marks)) {
        let Some(mut head) = self.chats.find(id).cloned() else { return };
        change(&mut head.marks);
        if let Some(conversation) = self.conversation_mut(id) {
            conversation.head.marks = head.marks.clone();
        }
        out.store(store::Command::PutMarks(id, head.marks.clone()));
        self.chats.put(head);
    }

    fn tag(&mut self, out: &mut Outbox, id: ConversationId, line: &str) {
        let tags = Marks::tags_in(line);
        out.say(if tags.is_empty() {
            "this chat has no tags".to_owned()
        } else {
            format!("tagged {}; Ctrl+G finds it by tag:{}", tags.join(" "), tags[0])
        });
        self.mark(out, id, |marks| marks.tags = tags);
    }

    /// Gives a chat another title.
    pub(crate) fn rename(&mut self, with: With<'_>, out: &mut Outbox, id: ConversationId, title: &str) {
        let title = crate::chat::title_of(title);
        let Some(head) = self.chats.find_mut(id) else {
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
}

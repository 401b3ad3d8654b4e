//! What is kept of chats and how: titles, pins, tags, the archive, copies, the bin, and chats of which nothing is kept.
//!
//! Invariant: nothing that the user can delete here is gone before it was in the bin, but for a temporary chat.

use crossterm::event::{KeyCode, KeyEvent};

use crate::app::view::With;
use crate::app::{
    App, ChatLine, ChatList, Chats, Confirm, ConfirmAction, Edit, Focus, LineEdit, LineOf, Outbox, Talk,
};
use crate::chat::{ConversationHead, ConversationId, Marks};
use crate::command::Command;
use crate::engine::protocol::{Job, Request};
use crate::store;

/// Said where a chat without messages is to get another title.
const UNTITLED: &str = "a chat gets its title with its first message";

impl App {
    /// Shows the list of chats and gives it the keys; the list.
    pub(crate) fn show_chats(&mut self) -> &mut Chats {
        self.talk.chats.shown = true;
        if self.focus != Focus::Chats {
            self.set_focus(Focus::Chats);
        }
        &mut self.talk.chats
    }

    /// Begins the line that a chat's title or tags are typed into.
    pub(crate) fn begin_chat_line(&mut self, of: LineOf) {
        match self.talk.meant_chat(with!(self)) {
            Some(head) => self.show_chats().begin_line(&head, of),
            None => self.out.say(match of {
                LineOf::Title => UNTITLED,
                LineOf::Tags => "there is no chat here yet to tag",
            }),
        }
    }

    pub(crate) fn duplicate_chat(&mut self) {
        let Some(head) = self.talk.chat_to_keep(with!(self), &mut self.out) else { return };
        if self.out.unstored.has(head.id) {
            self.out.say("a temporary chat has no copy; /temporary keeps it first");
        } else if !self.talk.says_busy(with!(self), &mut self.out, head.id) {
            let (copy, title) = (ConversationId(self.out.id()), format!("{} (copy)", head.title));
            self.out.store(store::Command::DuplicateConversation(head.id, copy, title));
            self.out.store(store::Command::List);
            self.open_chat(copy, None);
            self.out.say("this is the copy");
        }
    }

    /// Into the bin; in the bin, for good after a question.
    pub(crate) fn delete_chat(&mut self) {
        let Some(head) = self.talk.meant_chat(with!(self)) else {
            self.out.say("there is no chat here yet to delete");
            return;
        };
        if self.talk.says_busy(with!(self), &mut self.out, head.id) {
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
        self.talk.binned(with!(self), &mut self.out, head);
    }

    /// Takes a chat out of the bin and opens it: the one under the cursor there, else the one deleted last.
    pub(crate) fn restore_chat(&mut self) {
        let Some(head) = self.talk.chats.to_restore(self.focus).cloned() else {
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

    /// Begins a chat of which nothing is kept; in one, keeps it after all.
    pub(crate) fn temporary_chat(&mut self) {
        let shown = self.talk.chat.head.id;
        if self.out.unstored.has(shown) {
            return self.talk.keep_temporary(with!(self), &mut self.out, shown);
        }
        if self.talk.run.is_some() && self.talk.chat.turns.is_empty() {
            self.out.say_busy(view!(self));
            return;
        }
        self.talk.keep_draft(&mut self.composer, &mut self.out);
        self.begin_chat();
        self.out.unstored.add(self.talk.chat.head.id);
        self.composer.replace(&self.model, &mut self.out, "");
        let how = self.view().way(Focus::Composer, Command::Temporary);
        self.out.say(format!(
            "a temporary chat: nothing of it is stored, and it ends with the app; {how} keeps it"
        ));
    }
}

impl Chats {
    /// Begins the line of a chat's row.
    fn begin_line(&mut self, head: &ConversationHead, of: LineOf) {
        let text = match of {
            LineOf::Title => head.title.clone(),
            LineOf::Tags => head.marks.tags.iter().fold(String::new(), |line, tag| line + tag + " "),
        };
        self.point_at(head.id);
        self.line = Some(ChatLine { chat: head.id, of, input: LineEdit::new(text) });
    }

    /// The chat that comes back from the bin: the one under the cursor there, else the one deleted last.
    fn to_restore(&self, focus: Focus) -> Option<&ConversationHead> {
        let in_bin = focus == Focus::Chats && self.list == ChatList::Bin;
        if in_bin { self.at() } else { self.bin.first() }
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

    /// The same; where there is none, that is said.
    fn chat_to_keep(&self, with: With<'_>, out: &mut Outbox) -> Option<ConversationHead> {
        let head = self.meant_chat(with);
        if head.is_none() {
            out.say("there is no chat here yet");
        }
        head
    }

    /// Whether a reply is being written in a chat, which can be neither copied nor deleted then; that is said.
    fn says_busy(&self, with: With<'_>, out: &mut Outbox, id: ConversationId) -> bool {
        let busy = self.view(with).is_busy(id);
        if busy {
            out.say("a reply is being written there; stop it first");
        }
        busy
    }

    pub(crate) fn pin_chat(&mut self, with: With<'_>, out: &mut Outbox) {
        let Some(head) = self.chat_to_keep(with, out) else { return };
        let pinned = !head.marks.pinned;
        self.mark(out, head.id, |marks| marks.pinned = pinned);
        out.say(if pinned { "pinned: it stands first" } else { "not pinned any more" });
    }

    pub(crate) fn archive_chat(&mut self, with: With<'_>, out: &mut Outbox) {
        let Some(head) = self.chat_to_keep(with, out) else { return };
        let archived = !head.marks.archived;
        self.mark(out, head.id, |marks| marks.archived = archived);
        let how = self.view(with).way(Focus::Chats, Command::Archive);
        out.say(if archived {
            format!("archived; search still finds it, {how} lists it")
        } else {
            "back in the list of chats".to_owned()
        });
    }

    /// `/tag-chat WORDS`: the tags of the chat that is meant, in place of those it had.
    pub(crate) fn tag_chat(&mut self, with: With<'_>, out: &mut Outbox, line: &str) {
        if let Some(head) = self.chat_to_keep(with, out) {
            self.tag(out, head.id, line);
        }
    }

    /// A chat was deleted: it is in the bin, or gone if it was temporary.
    fn binned(&mut self, with: With<'_>, out: &mut Outbox, head: ConversationHead) {
        self.others.remove(&head.id);
        if out.unstored.has(head.id) {
            out.say(format!("“{}” is gone: it was temporary", head.title));
            return;
        }
        let how = self.view(with).way(Focus::Chats, Command::RestoreChat);
        let days = store::BIN_DAYS;
        out.say(format!("“{}” is in the bin for {days} days; {how} takes it back", head.title));
        self.chats.put(ConversationHead { binned_ms: Some(out.now.wall_ms), ..head });
    }

    /// A chat of the bin is to go for good; the question was answered with yes.
    pub(crate) fn purge_chat(&mut self, with: With<'_>, out: &mut Outbox, id: ConversationId) {
        self.chats.forget(id);
        out.store(store::Command::PurgeConversation(id));
        // Without its messages.
        out.store(store::Command::History);
        if self.view(with).ready().is_some_and(|loaded| loaded.keeps_states) {
            out.requests.tell(Request::Job(Job::Forget(id)));
        }
        out.say("removed for good");
    }

    /// A key of the line in the list: a new title, tags, or what the list is narrowed to.
    pub(crate) fn chat_line_key(&mut self, with: With<'_>, out: &mut Outbox, key: KeyEvent) -> bool {
        let Some(line) = &mut self.chats.line else {
            return self.chats.narrows(with.focus) && self.chats.filter_key(key);
        };
        if !matches!(key.code, KeyCode::Esc | KeyCode::Enter) {
            return line.input.key(key) != Edit::Ignored;
        }
        let line = self.chats.line.take().filter(|_| key.code == KeyCode::Enter);
        match line {
            Some(ChatLine { chat, of: LineOf::Title, input }) => self.rename(with, out, chat, &input.text),
            Some(ChatLine { chat, of: LineOf::Tags, input }) => self.tag(out, chat, &input.text),
            None => {}
        }
        true
    }

    /// Stores a temporary chat after all.
    fn keep_temporary(&mut self, with: With<'_>, out: &mut Outbox, id: ConversationId) {
        if self.view(with).is_busy(id) {
            out.say("a reply is being written here; stop it first");
            return;
        }
        out.unstored.remove(id);
        if self.chat.turns.is_empty() {
            out.say("this chat will be stored");
            return;
        }
        self.put_conversation(with, out, id);
        self.put_all_words(out);
        for turn in &self.chat.turns {
            let runs = turn.spans.iter().filter_map(crate::app::inspector::run_of);
            for run in runs.filter_map(|run| self.runs.get(&run)) {
                out.store(store::Command::PutRun(Box::new(run.clone())));
            }
            out.store(store::Command::PutTurn(id, Box::new(turn.clone())));
        }
        self.mark(out, id, |_| {});
        out.say("this chat is stored from now on");
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
            out.say(UNTITLED);
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

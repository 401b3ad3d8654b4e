//! Versions of messages: regenerate, edit, continue, walk siblings, delete and take back.
//!
//! Invariant: nothing is overwritten; each of these adds a sibling, appends a span or hides a turn.

use crate::app::{App, ChatView, Composer, Focus, Outbox, Talk, Transcript};
use crate::chat::{Role, TurnId};
use crate::command::Command;
use crate::store;

impl Composer {
    /// The composer holds a new message again.
    pub(crate) fn give_up_edit(&mut self) {
        self.editing = None;
        self.kept = None;
    }
}

impl ChatView<'_> {
    /// What does a command from here: its key where the pane that knows the key has the focus, else its name.
    pub(crate) fn way(&self, focus: Focus, command: Command) -> String {
        let key = self.keymap.shown(command);
        if self.focus == focus && !key.is_empty() { key } else { format!("/{}", command.entry().name) }
    }
}

impl App {
    /// Another version of a reply: of the given one, else of the last.
    pub(crate) fn regenerate(&mut self, at: Option<TurnId>) {
        let Some(turn) = at.or(self.talk.chat.leaf).and_then(|id| self.talk.chat.turn(id)) else {
            self.out.say("there is no reply yet to write again");
            return;
        };
        let reply_to = match turn.role {
            Role::Assistant => turn.parent,
            Role::User | Role::System => Some(turn.id),
        };
        match reply_to {
            Some(_) if self.view().busy_here() => self.out.say_busy(view!(self)),
            Some(turn) => self.reply(self.talk.chat.head.id, turn),
            None => self.out.say("this message answers nothing"),
        }
    }

    /// Takes the selected message of the user into the composer.
    pub(crate) fn edit_selected(&mut self) {
        let branch = self.talk.chat.branch();
        let last = branch.iter().rev().find(|turn| turn.role == Role::User).map(|turn| turn.id);
        let Some(turn) = self.transcript.selected.or(last).and_then(|id| self.talk.chat.turn(id)) else {
            self.out.say("there is no message yet to edit");
            return;
        };
        if turn.role != Role::User {
            self.out.say("only your own messages can be edited; r writes a reply again");
            return;
        }
        let id = turn.id;
        let typed = turn.typed();
        let draft = self.composer.kept.take().unwrap_or_else(|| self.composer.text());
        self.composer.replace_typed(&self.model, &mut self.out, typed);
        self.composer.kept = Some(draft);
        self.composer.editing = Some(id);
        self.transcript.selected = None;
        self.focus = Focus::Composer;
        self.out.say("Enter sends it as another version, Esc gives up");
    }

    /// Gives an edit up and brings the draft back. What was changed stays in the prompt history.
    pub(crate) fn cancel_edit(&mut self) {
        let text = self.composer.text();
        let before = self.composer.editing.map(|id| self.view().turn_text(id)).unwrap_or_default();
        if text != before && !text.trim().is_empty() {
            self.composer.remember(&mut self.out, &text);
        }
        let draft = self.composer.kept.clone().unwrap_or_default();
        self.composer.give_up_edit();
        self.composer.replace(&self.model, &mut self.out, &draft);
    }

    /// Goes on with the selected reply, if it is the last message.
    pub(crate) fn continue_selected(&mut self) {
        let Some(id) = self.transcript.selected.or(self.talk.chat.leaf) else { return };
        let is_reply = self.talk.chat.turn(id).is_some_and(|turn| turn.role == Role::Assistant);
        if self.talk.run.is_some() {
            self.out.say_busy(view!(self));
        } else if !is_reply || self.talk.chat.leaf != Some(id) {
            self.out.say("only the last reply can be continued");
        } else if self.view().ready().is_none() {
            self.out.say(self.model.not_ready());
        } else {
            self.talk.start_run(
                with!(self),
                &mut self.out,
                self.talk.chat.head.id,
                crate::app::Target::Continue(id),
            );
            self.transcript.keep_selection(view!(self));
        }
    }

    /// Shows the earlier or later version of the selected message.
    pub(crate) fn version(&mut self, later: bool) {
        let Some(id) = self.transcript.selected_or_last(view!(self)) else { return };
        let versions = self.talk.chat.versions(id);
        let Some(at) = versions.iter().position(|other| *other == id) else { return };
        let next = if later { at.checked_add(1) } else { at.checked_sub(1) };
        match next.and_then(|next| versions.get(next)).copied() {
            Some(turn) => {
                self.show_leaf(Some(self.talk.chat.newest_leaf(turn)));
                if self.focus == Focus::Transcript {
                    self.transcript.select(view!(self), &mut self.focus, turn);
                }
            }
            None if versions.len() < 2 => {
                let own = self.talk.chat.turn(id).is_some_and(|turn| turn.role == Role::User);
                let another = if own { Command::Edit } else { Command::RegenerateHere };
                let how = self.view().way(Focus::Transcript, another);
                self.out.say(format!("this message has one version; {how} writes another"));
            }
            None => self.out.say(format!("version {} of {}", at + 1, versions.len())),
        }
    }

    /// Changes which leaf is shown.
    pub(crate) fn show_leaf(&mut self, leaf: Option<TurnId>) {
        self.talk.chat.leaf = leaf;
        self.transcript.keep_selection(view!(self));
        self.talk.put_conversation(with!(self), &mut self.out, self.talk.chat.head.id);
        self.inspector.show_last_step(view!(self), &mut self.out);
        self.model.used = self.view().context_used();
    }

    /// Hides the selected message and what answers it.
    pub(crate) fn delete_selected(&mut self) {
        let Some(id) = self.transcript.selected else {
            self.out.say("select a message first: Tab, then j and k");
            return;
        };
        let branch: Vec<TurnId> = self.talk.chat.branch().iter().map(|turn| turn.id).collect();
        let Some(at) = branch.iter().position(|other| *other == id) else { return };
        let writing = self.talk.run.as_ref().map(|run| run.turn);
        let awaited = self.talk.queued.as_ref().and_then(|queued| queued.reply_to);
        if writing.into_iter().chain(awaited).any(|turn| branch[at..].contains(&turn)) {
            self.out.say_busy(view!(self));
            return;
        }
        let before = self.talk.chat.leaf;
        let parent = self.talk.chat.turn(id).and_then(|turn| turn.parent);
        self.talk.hide(&mut self.out, id, true);
        self.transcript.deleted.push((id, before));
        let other = self.talk.chat.versions(id).last().copied();
        let leaf = other.map(|other| self.talk.chat.newest_leaf(other)).or(parent);
        self.show_leaf(leaf);
        if self.talk.chat.leaf.is_none() {
            self.set_focus(Focus::Composer);
        }
        let view = self.view();
        let how = view.way(Focus::Transcript, Command::Restore);
        let unanswered =
            view.chat.leaf.and_then(|leaf| view.chat.turn(leaf)).is_some_and(|turn| turn.role == Role::User);
        // What is shown is what is read: the next message stands behind one that nobody has answered.
        let then = if unanswered {
            let again = view.way(Focus::Transcript, Command::RegenerateHere);
            format!(", {again} writes another; the next message joins yours")
        } else {
            String::new()
        };
        self.out.say(format!("deleted; {how} takes it back{then}"));
    }

    /// Takes the last deletion of this chat back.
    pub(crate) fn restore_turn(&mut self) {
        let Some((turn, leaf)) = self.transcript.deleted.pop() else {
            self.out.say("nothing was deleted here");
            return;
        };
        let shown = self.talk.chat.leaf;
        self.talk.hide(&mut self.out, turn, false);
        self.show_leaf(leaf);
        self.transcript.select(view!(self), &mut self.focus, turn);
        let stays = |shown: TurnId| self.talk.chat.branch().iter().any(|turn| turn.id == shown);
        if shown.is_some_and(|shown| !stays(shown)) {
            let how = self.view().way(Focus::Transcript, Command::Tree);
            self.out.say(format!("taken back; what was written since is another branch, which {how} shows"));
        }
    }
}

impl Talk {
    pub(crate) fn hide(&mut self, out: &mut Outbox, id: TurnId, hidden: bool) {
        if let Some(turn) = self.chat.turn_mut(id) {
            turn.deleted = hidden;
        }
        out.touch(id);
        out.store(store::Command::SetDeleted(id, hidden));
    }
}

impl Outbox {
    /// Says what stops the reply from wherever one is: Esc may close something else first.
    pub(crate) fn say_busy(&mut self, view: ChatView<'_>) {
        let here = view.run.as_ref().is_none_or(|run| run.chat == view.chat.head.id);
        let key = view.keymap.shown(Command::Interrupt);
        match (here, key.as_str()) {
            (false, _) | (_, "") => self.say("a reply is being written; /stop stops it"),
            (true, key) => self.say(format!("a reply is being written; {key} stops it")),
        }
    }
}

impl Transcript {
    /// Moves the selection to the end of the branch if it is not on it any more.
    pub(crate) fn keep_selection(&mut self, view: ChatView<'_>) {
        let branch: Vec<TurnId> = view.chat.branch().iter().map(|turn| turn.id).collect();
        if self.selected.is_some_and(|id| !branch.contains(&id)) {
            self.selected = branch.last().copied();
        }
    }
}

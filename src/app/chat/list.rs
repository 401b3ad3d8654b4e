//! The list of chats: which are in it, in what order, what a filter leaves of them.
//!
//! Invariant: a chat is in exactly one of the lists; the row under the cursor stays on its chat when the list changes.

use crossterm::event::{KeyCode, KeyEvent};

use crate::app::input::fuzzy;
use crate::app::{ChatList, Chats, Edit};
use crate::chat::{ConversationHead, ConversationId};

/// What a chat stands in a list by, the highest first.
fn rank(head: &ConversationHead) -> (Option<i64>, bool, i64) {
    (head.binned_ms, head.marks.pinned, head.updated_ms)
}

impl Chats {
    /// All chats, as the store lists them.
    pub(crate) fn fill(&mut self, heads: Vec<ConversationHead>) {
        (self.heads, self.archived, self.bin) = (Vec::new(), Vec::new(), Vec::new());
        for head in heads {
            let list = list_of(&head);
            self.list_mut(list).push(head);
        }
        for list in [&mut self.heads, &mut self.archived, &mut self.bin] {
            list.sort_by_key(|head| std::cmp::Reverse(rank(head)));
        }
        self.selected = self.selected.min(self.rows().len().saturating_sub(1));
    }

    /// Puts a chat where it belongs: the pinned ones first, then the one with the newest message.
    pub(crate) fn put(&mut self, head: ConversationHead) {
        let selected = self.at().map(|head| head.id);
        for list in [&mut self.heads, &mut self.archived, &mut self.bin] {
            list.retain(|other| other.id != head.id);
        }
        let list = list_of(&head);
        let list = self.list_mut(list);
        let at = list.partition_point(|other| rank(other) > rank(&head));
        list.insert(at, head);
        self.selected = self.selected.min(self.rows().len().saturating_sub(1));
        if let Some(id) = selected {
            self.point_at(id);
        }
    }

    /// Takes a chat out of all lists; the cursor stays where it is.
    pub(crate) fn forget(&mut self, id: ConversationId) {
        for list in [&mut self.heads, &mut self.archived, &mut self.bin] {
            list.retain(|other| other.id != id);
        }
        self.unseen.remove(&id);
        self.selected = self.selected.min(self.rows().len().saturating_sub(1));
    }

    /// A chat, wherever it is listed.
    pub(crate) fn find(&self, id: ConversationId) -> Option<&ConversationHead> {
        [&self.heads, &self.archived, &self.bin].into_iter().flatten().find(|head| head.id == id)
    }

    /// The same, to change what does not move it.
    pub(crate) fn find_mut(&mut self, id: ConversationId) -> Option<&mut ConversationHead> {
        let lists = [&mut self.heads, &mut self.archived, &mut self.bin];
        lists.into_iter().flatten().find(|head| head.id == id)
    }

    /// The chats that the pane lists, best first while a filter is typed.
    pub fn rows(&self) -> Vec<&ConversationHead> {
        let list = match self.list {
            ChatList::Chats => &self.heads,
            ChatList::Archive => &self.archived,
            ChatList::Bin => &self.bin,
        };
        let Some(filter) = self.filter.as_ref().filter(|filter| !filter.text.trim().is_empty()) else {
            return list.iter().collect();
        };
        let texts: Vec<String> = list.iter().map(said).collect();
        fuzzy::rank(&filter.text, &texts).into_iter().map(|at| &list[at]).collect()
    }

    /// The chat under the cursor.
    pub(crate) fn at(&self) -> Option<&ConversationHead> {
        self.rows().get(self.selected).copied()
    }

    /// Moves the cursor to a chat, if it is listed.
    pub(crate) fn point_at(&mut self, id: ConversationId) {
        if let Some(at) = self.rows().iter().position(|head| head.id == id) {
            self.selected = at;
        }
    }

    pub(crate) fn select_chat(&mut self, down: bool) {
        let last = self.rows().len().saturating_sub(1);
        let at = self.selected;
        self.selected = if down { (at + 1).min(last) } else { at.saturating_sub(1) };
    }

    /// Begins the line that narrows the list.
    pub(crate) fn begin_filter(&mut self) {
        self.filter.get_or_insert_default();
    }

    /// A key of that line; whether it was one. Enter opens a chat, which is not done here.
    pub(crate) fn filter_key(&mut self, key: KeyEvent) -> bool {
        let Some(filter) = &mut self.filter else { return false };
        match key.code {
            KeyCode::Esc => {
                let id = self.at().map(|head| head.id);
                self.filter = None;
                if let Some(id) = id {
                    self.point_at(id);
                }
            }
            KeyCode::Up | KeyCode::Down => self.select_chat(key.code == KeyCode::Down),
            _ => match filter.key(key) {
                Edit::Changed => self.selected = 0,
                Edit::Moved => {}
                Edit::Ignored => return false,
            },
        }
        true
    }

    /// Shows another list, or the usual one where that is shown already.
    pub(crate) fn show_list(&mut self, list: ChatList) {
        self.list = if self.list == list { ChatList::Chats } else { list };
        (self.selected, self.filter) = (0, None);
    }

    fn list_mut(&mut self, list: ChatList) -> &mut Vec<ConversationHead> {
        match list {
            ChatList::Chats => &mut self.heads,
            ChatList::Archive => &mut self.archived,
            ChatList::Bin => &mut self.bin,
        }
    }
}

fn list_of(head: &ConversationHead) -> ChatList {
    match (head.binned_ms, head.marks.archived) {
        (Some(_), _) => ChatList::Bin,
        (None, true) => ChatList::Archive,
        (None, false) => ChatList::Chats,
    }
}

/// What a filter looks at: the title and the tags.
fn said(head: &ConversationHead) -> String {
    head.marks.tags.iter().fold(head.title.clone(), |said, tag| said + " #" + tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Marks;

    fn head(id: i64, updated_ms: i64, marks: Marks) -> ConversationHead {
        let title = format!("chat {id}");
        ConversationHead { title, updated_ms, marks, ..ConversationHead::new(ConversationId(id)) }
    }

    fn ids(chats: &Chats) -> Vec<i64> {
        chats.rows().iter().map(|head| head.id.0).collect()
    }

    #[test]
    fn what_was_imported_today_stands_at_its_day_from_the_start() {
        let mut chats = Chats::default();
        // As the store lists them: what was written last first, here an old chat of another program.
        chats.fill([(1, 5), (2, 30), (3, 40)].map(|(id, at)| head(id, at, Marks::default())).into());
        assert_eq!(ids(&chats), [3, 2, 1]);
    }

    #[test]
    fn pinned_chats_stand_first_and_the_cursor_stays_on_its_chat() {
        let mut chats = Chats::default();
        chats.fill(vec![head(1, 30, Marks::default()), head(2, 20, Marks::default())]);
        chats.selected = 0;
        chats.put(head(2, 20, Marks { pinned: true, ..Marks::default() }));
        assert_eq!((ids(&chats), chats.selected), (vec![2, 1], 1));
        chats.put(head(3, 40, Marks::default()));
        assert_eq!(ids(&chats), [2, 3, 1]);
        chats.put(head(1, 30, Marks { archived: true, ..Marks::default() }));
        assert_eq!(ids(&chats), [2, 3]);
        chats.put(ConversationHead { binned_ms: Some(5), ..head(3, 40, Marks::default()) });
        assert_eq!((ids(&chats), chats.bin.len(), chats.archived.len()), (vec![2], 1, 1));
    }

    #[test]
    fn a_filter_looks_at_titles_and_tags() {
        let mut chats = Chats::default();
        let tagged = Marks { tags: vec!["garden".into()], ..Marks::default() };
        chats.fill(vec![head(1, 2, Marks::default()), head(2, 1, tagged)]);
        chats.filter = Some(crate::app::LineEdit::new("gard"));
        assert_eq!(ids(&chats), [2]);
        chats.filter = Some(crate::app::LineEdit::new("chat 1"));
        assert_eq!(ids(&chats), [1]);
    }
}

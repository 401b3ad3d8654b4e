//! Search over all chats.
//!
//! Invariant: only what the newest words found is listed.

use crossterm::event::KeyEvent;

use super::{Opens, OverlayUnit, list};
use crate::app::{App, Edit, LineEdit, Outbox};
use crate::command::{Command, Context};
use crate::store;

/// Search over all chats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// The input.
    pub input: LineEdit,
    /// What was found.
    pub hits: Vec<store::Hit>,
    /// Which is selected.
    pub selected: usize,
}

impl OverlayUnit for Search {
    const CONTEXTS: &'static [Context] = &[Context::Overlay];
    const OPENS: Opens = &[(Command::Search, |app| app.open_search(""))];

    fn types(&self, _app: &App) -> bool {
        true
    }

    fn command(app: &mut App, command: Command) -> bool {
        let Some(open) = app.overlays.top_mut::<Self>() else { return false };
        if let Some(to) = list::moved(command, open.selected, open.hits.len()) {
            open.selected = to;
        } else if command == Command::Choose {
            let hit = open.hits.get(open.selected).map(|hit| (hit.conversation, hit.turn, hit.at));
            if let Some((chat, turn, byte)) = hit {
                app.overlays.pop();
                app.open_chat(chat, Some((turn, byte)));
            }
        } else {
            return false;
        }
        true
    }

    fn key(app: &mut App, key: KeyEvent) -> bool {
        let Some(open) = app.overlays.top_mut::<Self>() else { return false };
        let edit = open.input.key(key);
        if edit == Edit::Changed {
            open.selected = 0;
            open.look(&mut app.out);
        }
        edit != Edit::Ignored
    }

    fn paste(app: &mut App, text: &str) {
        if let Some(open) = app.overlays.top_mut::<Self>() {
            open.input.insert(&text.replace('\n', " "));
            open.look(&mut app.out);
        }
    }
}

impl App {
    pub(crate) fn open_search(&mut self, text: &str) {
        if self.overlays.top::<Search>().is_some() {
            return;
        }
        let mut search = Search { input: LineEdit::new(text), ..Search::default() };
        search.look(&mut self.out);
        self.overlays.push(search);
    }
}

impl Search {
    /// Looks for the words in the input.
    fn look(&mut self, out: &mut Outbox) {
        let text = self.input.text.clone();
        if text.trim().is_empty() {
            self.hits.clear();
        } else {
            out.store(store::Command::Search(text));
        }
    }

    /// What a search found; only the newest counts.
    pub(crate) fn found(&mut self, query: &str, found: Vec<store::Hit>) {
        if self.input.text == query {
            (self.selected, self.hits) = (0, found);
        }
    }
}

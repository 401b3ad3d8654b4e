//! Search over all chats.
//!
//! Invariant: only what the newest words found is listed.

use crossterm::event::KeyEvent;

use super::{Opens, OverlayUnit, list};
use crate::app::{App, Edit, LineEdit};
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
            app.search_typed();
        }
        edit != Edit::Ignored
    }

    fn paste(app: &mut App, text: &str) {
        if let Some(open) = app.overlays.top_mut::<Self>() {
            open.input.insert(&text.replace('\n', " "));
            app.search_typed();
        }
    }
}

impl App {
    pub(crate) fn open_search(&mut self, text: &str) {
        if self.overlays.top::<Search>().is_some() {
            return;
        }
        self.overlays.push(Search { input: LineEdit::new(text), ..Search::default() });
        if !text.is_empty() {
            self.search_typed();
        }
    }

    /// Looks for the words in the input.
    fn search_typed(&mut self) {
        let Some(open) = self.overlays.top_mut::<Search>() else { return };
        let text = open.input.text.clone();
        if text.trim().is_empty() {
            open.hits.clear();
        } else {
            self.out.store(store::Command::Search(text));
        }
    }

    /// What a search found; only the newest counts.
    pub(crate) fn found(&mut self, query: &str, found: Vec<store::Hit>) {
        if let Some(open) = self.overlays.top_mut::<Search>()
            && open.input.text == query
        {
            (open.selected, open.hits) = (0, found);
        }
    }
}

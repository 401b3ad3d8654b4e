//! The help's pages: one a group of commands, one a station, one for steering; turning and scrolling them.
//!
//! Invariant: a station that can be opened has a page.

use crossterm::event::{KeyCode, KeyEvent};

use crate::app::{App, Overlay, Station};
use crate::command::Group;

/// What a page of the help is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelpPage {
    /// The commands of a group, and its title.
    Group(Group, &'static str),
    /// A station of the inspector.
    Station(Station),
    /// The steering panel.
    Steering,
}

/// The groups in the order of their pages.
const GROUPS: [(Group, &str); 6] = [
    (Group::Writing, "Writing and sending"),
    (Group::Replies, "Replies"),
    (Group::Chats, "Chats"),
    (Group::Inspector, "The inspector"),
    (Group::Models, "Models"),
    (Group::App, "The app"),
];

/// How many pages there are.
pub const HELP_PAGES: usize = STEERING + 1;
/// The number of the steering panel's page.
const STEERING: usize = GROUPS.len() + Station::ALL.len();

impl HelpPage {
    /// The page of that number, from 0; the last one beyond the end.
    #[must_use]
    pub fn at(page: usize) -> Self {
        match (GROUPS.get(page), Station::ALL.get(page.saturating_sub(GROUPS.len()))) {
            (Some((group, title)), _) => Self::Group(*group, title),
            (None, Some(station)) => Self::Station(*station),
            (None, None) => Self::Steering,
        }
    }

    /// The number of a station's page.
    #[must_use]
    pub fn of_station(station: Station) -> usize {
        let at = Station::ALL.iter().position(|other| *other == station);
        GROUPS.len() + at.unwrap_or_default()
    }
}

impl App {
    pub(crate) fn open_help(&mut self, page: usize) {
        if !matches!(self.top_overlay(), Some(Overlay::Help { .. })) {
            self.overlays.push(Overlay::Help { page, scroll: 0 });
        }
    }

    /// The help: the page of the panel that is open, else the first.
    pub(crate) fn help(&mut self) {
        self.open_help(if self.top_overlay() == Some(&Overlay::Steer) { STEERING } else { 0 });
    }

    /// The open station's page.
    pub(crate) fn explain(&mut self) {
        self.open_help(HelpPage::of_station(self.inspector.station));
    }
}

/// A key of the help; `furthest` is the last row that its page can begin at.
pub(super) fn key(key: KeyEvent, page: &mut usize, scroll: &mut u16, furthest: u16) -> bool {
    match key.code {
        KeyCode::Right | KeyCode::Char('l') | KeyCode::Tab => {
            (*page, *scroll) = ((*page + 1) % HELP_PAGES, 0);
            true
        }
        KeyCode::Left | KeyCode::Char('h') | KeyCode::BackTab => {
            (*page, *scroll) = ((*page + HELP_PAGES - 1) % HELP_PAGES, 0);
            true
        }
        _ => scroll_key(key, scroll, furthest),
    }
}

/// A key that scrolls a text.
pub(super) fn scroll_key(key: KeyEvent, scroll: &mut u16, furthest: u16) -> bool {
    let moved = match key.code {
        KeyCode::Down | KeyCode::Char('j') => scroll.saturating_add(1),
        KeyCode::Up | KeyCode::Char('k') => scroll.saturating_sub(1),
        KeyCode::PageDown => scroll.saturating_add(10),
        KeyCode::PageUp => scroll.saturating_sub(10),
        KeyCode::Home => 0,
        KeyCode::End => furthest,
        _ => return false,
    };
    *scroll = moved.min(furthest);
    true
}

//! The help's pages: one a group of commands, one a station, one for steering; turning and scrolling them.
//!
//! Invariant: a station that can be opened has a page.

use super::{Opens, OverlayUnit, SteerPanel, list};
use crate::app::{App, Station};
use crate::command::{Command, Context, Group};

/// The open help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// Which page.
    pub page: usize,
    /// First row shown.
    pub scroll: u16,
}

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
const GROUPS: [(Group, &str); 7] = [
    (Group::Writing, "Writing and sending"),
    (Group::Replies, "Replies"),
    (Group::Chats, "Chats"),
    (Group::Inspector, "The inspector"),
    (Group::Models, "Models"),
    (Group::App, "The app"),
    (Group::Lists, "Inside lists and windows"),
];

/// How many pages there are.
pub const HELP_PAGES: usize = STEERING + 1;
/// The number of the steering panel's page.
const STEERING: usize = GROUPS.len() + Station::ALL.len();

impl HelpPage {
    /// The page of that number, from 0; the last one beyond the end.
    pub fn at(page: usize) -> Self {
        match (GROUPS.get(page), Station::ALL.get(page.saturating_sub(GROUPS.len()))) {
            (Some((group, title)), _) => Self::Group(*group, title),
            (None, Some(station)) => Self::Station(*station),
            (None, None) => Self::Steering,
        }
    }

    /// The number of a station's page.
    pub fn of_station(station: Station) -> usize {
        let at = Station::ALL.iter().position(|other| *other == station);
        GROUPS.len() + at.unwrap_or_default()
    }
}

impl OverlayUnit for Help {
    const CONTEXTS: &'static [Context] = &[Context::Help, Context::Reader, Context::Overlay];
    const OPENS: Opens = &[(Command::Help, Self::of_panel), (Command::Explain, Self::of_station)];

    fn command(app: &mut App, command: Command) -> bool {
        let furthest = app.geometry.overlay_rows;
        let Some(open) = app.overlays.top_mut::<Self>() else { return false };
        let by = match command {
            Command::HelpNext => 1,
            Command::HelpPrevious => HELP_PAGES - 1,
            _ => return list::scrolled(command, &mut open.scroll, furthest),
        };
        (open.page, open.scroll) = ((open.page + by) % HELP_PAGES, 0);
        true
    }
}

impl Help {
    /// Opens the page of the steering panel where that is open, else the first.
    fn of_panel(app: &mut App) {
        let steering = app.overlays.top::<SteerPanel>().is_some();
        Self::at(app, if steering { STEERING } else { 0 });
    }

    fn of_station(app: &mut App) {
        Self::at(app, HelpPage::of_station(app.inspector.station));
    }

    fn at(app: &mut App, page: usize) {
        if app.overlays.top::<Self>().is_none() {
            app.overlays.push(Self { page, scroll: 0 });
        }
    }
}

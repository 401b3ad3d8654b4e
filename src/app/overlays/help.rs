//! The help: pages that are turned and scrolled, and a search over all of them for which one only types.
//!
//! Invariant: a station that can be opened has a page; every command stands on exactly one of the pages of keys.

mod contents;
mod page;

use crossterm::event::KeyEvent;

pub use contents::{HelpPage, HelpPart};

use super::{Opens, OverlayUnit, SteerPanel, list};
use crate::app::{App, Edit, LineEdit, Station};
use crate::command::{Command, Context};

/// The open help.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Help {
    /// Which page.
    pub page: usize,
    /// First row shown.
    pub scroll: u16,
    /// What is looked for on all pages; empty while one is read.
    pub search: LineEdit,
}

impl OverlayUnit for Help {
    const CONTEXTS: &'static [Context] = &[Context::Help, Context::Reader, Context::Overlay];
    const OPENS: Opens = &[(Command::Help, Self::of_panel), (Command::Explain, Self::of_station)];

    fn types(&self, _app: &App) -> bool {
        true
    }

    fn command(app: &mut App, command: Command) -> bool {
        let furthest = app.geometry.overlay_rows;
        let first = app.overlays.top::<Self>().and_then(|open| open.found(app).first().map(|found| found.0));
        let Some(open) = app.overlays.top_mut::<Self>() else { return false };
        let pages = HelpPage::count();
        match command {
            // In what was found there are no pages to turn.
            Command::HelpNext | Command::HelpPrevious if open.searches() => {}
            Command::HelpNext => *open = Self::at_page((open.page + 1) % pages),
            Command::HelpPrevious => *open = Self::at_page((open.page + pages - 1) % pages),
            Command::Choose => *open = first.map_or_else(|| open.clone(), Self::at_page),
            _ => return list::scrolled(command, &mut open.scroll, furthest),
        }
        true
    }

    fn key(app: &mut App, key: KeyEvent) -> bool {
        let Some(open) = app.overlays.top_mut::<Self>() else { return false };
        let edit = open.search.key(key);
        if edit == Edit::Changed {
            open.scroll = 0;
            // The stroke that begins a search elsewhere, and a blank, are no part of what is looked for.
            let begun = open.search.text.trim_start_matches(['/', ' ']).to_owned();
            if begun.len() < open.search.text.len() {
                open.search = LineEdit::new(begun);
            }
        }
        edit != Edit::Ignored
    }

    fn paste(app: &mut App, text: &str) {
        if let Some(open) = app.overlays.top_mut::<Self>() {
            open.search.insert(&text.replace('\n', " "));
            open.scroll = 0;
        }
    }

    fn leave(&mut self) -> bool {
        let searched = self.searches();
        (self.search, self.scroll) = (LineEdit::default(), if searched { 0 } else { self.scroll });
        searched
    }
}

impl Help {
    /// The help at a page.
    pub fn at_page(page: usize) -> Self {
        Self { page, ..Self::default() }
    }

    /// Whether it shows what was found, not a page.
    pub fn searches(&self) -> bool {
        !self.search.text.trim().is_empty()
    }

    /// What was found, best first, each with its page; empty while nothing is looked for.
    pub fn found(&self, app: &App) -> Vec<(usize, HelpPart)> {
        if self.searches() { contents::search(app, &self.search.text) } else { Vec::new() }
    }

    /// Opens the page of the steering panel where that is open, else the first.
    fn of_panel(app: &mut App) {
        let steering = app.overlays.top::<SteerPanel>().is_some();
        Self::open(app, if steering { HelpPage::Steering } else { HelpPage::Start });
    }

    fn of_station(app: &mut App) {
        let station: Station = app.inspector.station;
        Self::open(app, HelpPage::Station(station));
    }

    fn open(app: &mut App, page: HelpPage) {
        if app.overlays.top::<Self>().is_none() {
            app.overlays.push(Self::at_page(page.number()));
        }
    }
}

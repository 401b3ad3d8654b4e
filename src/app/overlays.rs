//! Overlays: each one a unit that says which keys are its own, what they do, what Enter does and what closing it means.
//! The rest of the app asks the list.
//!
//! Invariant: an overlay takes every key but commands; closing one leaves the state as it was, unless a
//! choice was made.

mod ahead;
mod alternatives;
mod confirm;
mod help;
mod hub;
mod ledger;
mod licence;
mod list;
mod microscope;
mod models;
mod palette;
mod personas;
mod search;
mod served;
mod settings;
mod sheet;
mod stack;
mod steer;
mod text_box;
mod themes;
mod tree;
mod weights;
mod what_if;

use crossterm::event::{KeyCode, KeyEvent};

pub use confirm::Confirm;
pub use help::{Help, HelpPage, HelpPart};
pub use hub::Hub;
pub use licence::Licence;
pub(crate) use microscope::open as open_others;
pub use microscope::{MicroscopePanel, Others};
#[cfg(test)]
pub(crate) use models::select_model;
pub use models::{Models, Typed};
pub use palette::{Item, Palette};
pub use personas::Personas;
pub use search::Search;
pub use served::Served;
pub use settings::Settings;
pub use sheet::Sheet;
pub use stack::Overlays;
pub use steer::SteerPanel;
pub use text_box::TextBox;
pub use themes::Themes;
pub use weights::WeightsPanel;
pub use what_if::WhatIfPanel;

use super::{Ahead, Alternatives, App, Ledger, Tree};
use crate::command::{Command, Context};
use crate::config::chord;
use crate::config::keymap::is_plain;

/// All overlays by the type of their state; `ui/overlays` draws the same list.
macro_rules! overlay_list {
    ($with:ident) => {
        $with! {
            Palette Models Hub Served Themes Settings Help Ledger Search Licence TextBox Alternatives Tree WhatIfPanel
            WeightsPanel SteerPanel Ahead Confirm Sheet Personas Others MicroscopePanel
        }
    };
}
pub(crate) use overlay_list;

/// Commands that open an overlay, and how each does.
type Opens = &'static [(Command, fn(&mut App))];

/// All that the rest of the app asks of an overlay; how it is drawn is in `ui/overlays`.
pub(crate) trait OverlayUnit: Kind {
    /// The contexts of its keys, innermost first; [`Context::Global`] comes after them.
    const CONTEXTS: &'static [Context];

    /// Whether it stands beside the transcript, whose words it is about, instead of over it.
    const DOCKS: bool = false;

    /// The commands that open it.
    const OPENS: Opens = &[];

    /// Whether characters go into a line of it now, so that none of them is a command.
    fn types(&self, _app: &App) -> bool {
        false
    }

    /// Does what a command of its contexts says; whether it means something now.
    fn command(app: &mut App, command: Command) -> bool;

    /// A key that is typed into it, or is the label of a row; whether it means something.
    fn key(_app: &mut App, _key: KeyEvent) -> bool {
        false
    }

    /// Text that was pasted.
    fn paste(_app: &mut App, _text: &str) {}

    /// Works its rows out, after what they are made of has changed.
    fn refill(_app: &mut App) {}

    /// Esc: the innermost of its own things is closed; whether there was one.
    fn leave(&mut self) -> bool {
        false
    }

    /// It was closed as if nothing had been chosen.
    fn closed(self, _app: &mut App) {}
}

/// How an overlay's state is found among those that are open.
pub(crate) trait Kind: Sized + Into<Overlay> {
    /// The state, where the overlay is of this kind.
    fn of(overlay: &Overlay) -> Option<&Self>;

    /// The same, to be changed.
    fn of_mut(overlay: &mut Overlay) -> Option<&mut Self>;
}

/// What an overlay does, without its state.
struct Unit {
    contexts: &'static [Context],
    docks: bool,
    opens: Opens,
    command: fn(&mut App, Command) -> bool,
    key: fn(&mut App, KeyEvent) -> bool,
    paste: fn(&mut App, &str),
    refill: fn(&mut App),
}

impl Unit {
    const fn of<T: OverlayUnit>() -> Self {
        Self {
            contexts: T::CONTEXTS,
            docks: T::DOCKS,
            opens: T::OPENS,
            command: T::command,
            key: T::key,
            paste: T::paste,
            refill: T::refill,
        }
    }
}

macro_rules! kinds {
    ($($kind:ident)+) => {
        /// An open overlay.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Overlay {
            $( #[doc = concat!("[`", stringify!($kind), "`]")] $kind(Box<$kind>), )+
        }

        const UNITS: &[Unit] = &[$( Unit::of::<$kind>(), )+];

        impl Overlay {
            fn unit(&self) -> Unit {
                match self { $( Self::$kind(_) => Unit::of::<$kind>(), )+ }
            }

            fn types(&self, app: &App) -> bool {
                match self { $( Self::$kind(open) => open.types(app), )+ }
            }

            fn leave(&mut self) -> bool {
                match self { $( Self::$kind(open) => open.leave(), )+ }
            }

            fn closed(self, app: &mut App) {
                match self { $( Self::$kind(open) => open.closed(app), )+ }
            }
        }

        $(
            impl From<$kind> for Overlay {
                fn from(open: $kind) -> Self {
                    Self::$kind(Box::new(open))
                }
            }

            impl Kind for $kind {
                fn of(overlay: &Overlay) -> Option<&Self> {
                    match overlay { Overlay::$kind(open) => Some(open), _ => None }
                }

                fn of_mut(overlay: &mut Overlay) -> Option<&mut Self> {
                    match overlay { Overlay::$kind(open) => Some(open), _ => None }
                }
            }
        )+
    };
}
overlay_list!(kinds);

impl Overlay {
    /// Whether it stands beside the transcript instead of over it.
    pub fn docks(&self) -> bool {
        self.unit().docks
    }
}

impl App {
    /// Opens the overlay that a command is about; whether there is one.
    pub(crate) fn open_overlay(&mut self, command: Command) -> bool {
        let opens = UNITS.iter().flat_map(|unit| unit.opens).find(|(opens, _)| *opens == command);
        if let Some((_, open)) = opens {
            open(self);
        }
        opens.is_some()
    }

    /// A key while an overlay is open.
    pub(crate) fn overlay_key(&mut self, key: KeyEvent) {
        let Some(top) = self.overlays.last() else { return };
        let (unit, typed) = (top.unit(), is_plain(chord::of(key)) && top.types(self));
        if typed && (unit.key)(self, key) {
            return;
        }
        let commands: Vec<Command> =
            unit.contexts.iter().filter_map(|context| self.keymap.lookup(*context, key)).collect();
        if commands.into_iter().any(|command| (unit.command)(self, command)) {
            return;
        }
        if !typed && (unit.key)(self, key) {
            return;
        }
        match self.keymap.lookup(Context::Global, key) {
            Some(command) => self.run_command(command),
            // Whatever the keymap says, there is a way out.
            None if key.code == KeyCode::Esc => self.leave_overlay(),
            None => {}
        }
    }

    /// Esc in the overlay on top: the innermost of its own things is closed, else the overlay.
    pub(crate) fn leave_overlay(&mut self) {
        if !self.overlays.last_mut().is_some_and(Overlay::leave) {
            self.close_overlay();
        }
    }

    /// Closes the overlay on top as if nothing had been chosen.
    pub(crate) fn close_overlay(&mut self) {
        if let Some(overlay) = self.overlays.pop() {
            overlay.closed(self);
        }
    }

    /// Works the rows of the overlay on top out.
    pub(crate) fn refill_overlay(&mut self) {
        if let Some(unit) = self.overlays.last().map(Overlay::unit) {
            (unit.refill)(self);
        }
    }

    /// Pasted text goes into the input that has the keys; says whether there is one.
    pub(crate) fn line_paste(&mut self, text: &str) -> bool {
        if let Some(unit) = self.overlays.last().map(Overlay::unit) {
            (unit.paste)(self, text);
            return true;
        }
        let line = text.replace('\n', " ");
        if let Some(find) = &mut self.transcript.find {
            find.input.insert(&line);
            self.transcript.find_matches(view!(self));
            return true;
        }
        self.talk.chats.typed_line(self.focus).map(|input| input.insert(&line)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::TABLE;

    #[test]
    fn every_command_inside_overlays_is_of_one_in_the_list() {
        let known: Vec<Context> = UNITS.iter().flat_map(|unit| unit.contexts.iter().copied()).collect();
        for entry in TABLE.iter().filter(|entry| entry.group == crate::command::Group::Lists) {
            assert!(entry.contexts().all(|context| known.contains(&context)), "{}", entry.name);
        }
    }
}

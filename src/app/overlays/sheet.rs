//! A short table to be read: names with what is to be said of each.
//!
//! Invariant: it is made once, when it opens; nothing in it can be changed.

use super::{Opens, OverlayUnit, list};
use crate::app::App;
use crate::command::{Command, Context};

/// A short table to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// Title of the box.
    pub title: String,
    /// Names with what is said of each.
    pub rows: Vec<(String, String)>,
    /// First row shown.
    pub scroll: u16,
}

impl OverlayUnit for Sheet {
    const CONTEXTS: &'static [Context] = &[Context::Reader, Context::Overlay];
    const OPENS: Opens = &[(Command::Usage, App::open_usage)];

    fn command(app: &mut App, command: Command) -> bool {
        if command == Command::Choose {
            app.close_overlay();
            return true;
        }
        let furthest = app.geometry.overlay_rows;
        let open = app.overlays.top_mut::<Self>();
        open.is_some_and(|open| list::scrolled(command, &mut open.scroll, furthest))
    }
}

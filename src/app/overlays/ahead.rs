//! The keys of a look ahead; what is asked and taken is in `app/chat/look_ahead.rs`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Opens, OverlayUnit, list};
use crate::app::{Ahead, App};
use crate::command::{Command, Context};

impl OverlayUnit for Ahead {
    const CONTEXTS: &'static [Context] = &[Context::Overlay];
    const OPENS: Opens = &[(Command::LookAhead, App::look_ahead_here)];

    fn command(app: &mut App, command: Command) -> bool {
        let Some(open) = app.overlays.top_mut::<Self>() else { return false };
        if let Some(to) = list::moved(command, open.selected, open.found.paths.len()) {
            open.selected = to;
        } else if command == Command::Choose {
            let selected = open.selected;
            open.take_path(view!(app), &mut app.out, selected);
        } else {
            return false;
        }
        true
    }

    /// Digits are the labels of the first paths.
    fn key(app: &mut App, key: KeyEvent) -> bool {
        match key.code {
            KeyCode::Char(digit @ '1'..='9')
                if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) =>
            {
                if let Some(open) = app.overlays.top_mut::<Self>() {
                    open.take_path(view!(app), &mut app.out, digit as usize - '1' as usize);
                }
                true
            }
            _ => false,
        }
    }
}

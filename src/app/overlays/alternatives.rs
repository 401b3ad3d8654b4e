//! The keys of the alternatives of a token; what they do is in `app/chat/alternatives.rs`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Opens, OverlayUnit, list};
use crate::app::{Alternatives, App, Edit};
use crate::command::{Command, Context};

impl OverlayUnit for Alternatives {
    const CONTEXTS: &'static [Context] = &[Context::Alternatives, Context::Overlay];
    const OPENS: Opens = &[(Command::Alternatives, App::open_alternatives)];

    fn types(&self, _app: &App) -> bool {
        self.typing
    }

    fn command(app: &mut App, command: Command) -> bool {
        let Some(open) = app.overlays.top_mut::<Self>() else { return false };
        let selected = open.rows.get(open.selected).copied();
        let vocabulary = open.vocabulary.clone();
        if let Some(to) = list::moved(command, open.selected, open.rows.len()) {
            open.selected = to;
            return true;
        }
        match (command, selected) {
            (Command::AlternativesFilter, _) => open.typing = !open.typing,
            (Command::LookAhead, _) => {
                let at = open.at;
                app.overlays.pop();
                app.open_look_ahead(at);
            }
            (Command::Choose, Some(id)) => app.take_alternative(id),
            (Command::BanToken, Some(id)) => {
                app.talk.toggle_ban(with!(app), &mut app.out, id, vocabulary.as_ref());
            }
            (Command::BoostToken | Command::DampToken, Some(id)) => {
                app.talk.boost(
                    with!(app),
                    &mut app.out,
                    id,
                    vocabulary.as_ref(),
                    command == Command::BoostToken,
                );
            }
            (Command::Choose | Command::BanToken | Command::BoostToken | Command::DampToken, None) => {}
            _ => return false,
        }
        true
    }

    /// Digits are the labels of the first rows until something is typed.
    fn key(app: &mut App, key: KeyEvent) -> bool {
        let Some(open) = app.overlays.top_mut::<Self>() else { return false };
        let plain = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        if let KeyCode::Char(digit @ '1'..='9') = key.code
            && plain
            && !open.typing
        {
            if let Some(id) = open.rows.get(digit as usize - '1' as usize).copied() {
                app.take_alternative(id);
            }
            return true;
        }
        let edit = open.filter.key(key);
        if edit == Edit::Changed {
            open.typing = true;
            open.selected = 0;
            open.refill(view!(app));
        }
        edit != Edit::Ignored
    }

    fn paste(app: &mut App, text: &str) {
        if let Some(open) = app.overlays.top_mut::<Self>() {
            open.filter.insert(&text.replace('\n', " "));
            open.typing = true;
            open.refill(view!(app));
        }
    }
}

//! What the keys do at the open station, for the hint line.
//!
//! Invariant: only keys that do something there, the station's own first.

use crate::app::{App, Focus};
use crate::command::Command;

/// Keys with what they do, most useful first.
pub fn offered(app: &App) -> Vec<(String, &'static str)> {
    let key = |command| app.keymap.shown(command);
    let mut keys = app.display().station_hints();
    if app.talk.run.as_ref().is_some_and(|run| run.chat == app.talk.chat.head.id) {
        keys.retain(|(own, _)| *own != key(Command::Hold));
        keys.splice(0..0, pace(app));
    }
    keys.push((stations(app), "station"));
    keys.push((key(Command::Zoom), "zoom"));
    keys.push((key(Command::Escape), "back to the chat"));
    keys.push((key(Command::Explain), "explain"));
    keys
}

/// The keys of the first and the last station: digits where they are enough.
pub fn stations(app: &App) -> String {
    let key = |command| match app.focus {
        Focus::Inspector => app.keymap.shown_all(command).pop().unwrap_or_default(),
        _ => app.keymap.shown(command),
    };
    match (key(Command::StationTokens), key(Command::StationWhy)) {
        (first, last) if first.ends_with('1') && last.ends_with('9') => format!("{first}…9"),
        (first, last) => format!("{first} {last}").trim().to_owned(),
    }
}

/// How the reply that is being written is slowed down.
fn pace(app: &App) -> Vec<(String, &'static str)> {
    let key = |command| app.keymap.shown(command);
    let hold = if app.talk.steps.every_ms.is_some() { "pause, go on" } else { "hold" };
    vec![(key(Command::Hold), hold), (key(Command::Step), "step by step"), ("/slow".to_owned(), "pace")]
}

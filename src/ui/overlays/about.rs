//! The palette's bottom line: what the selected command does to the chat, and what it costs where that is known.
//!
//! Invariant: a cost is said only if it was measured here; else the line says what happens, without a figure.

use crate::app::{App, ModelStatus};
use crate::command::{Command, Context, Entry};
use crate::engine::protocol::Loaded;
use crate::ui::header;
use crate::ui::widgets::number;

/// One line on a command.
pub(super) fn about(app: &App, entry: &Entry) -> String {
    let loaded = match &app.model.status {
        ModelStatus::Ready(loaded) => Some(&**loaded),
        _ => None,
    };
    if let Some(why) = app.view().lacking_for(entry.command) {
        return why;
    }
    match entry.command {
        Command::Regenerate | Command::RegenerateHere => {
            priced("the reply there is stays, as another version", token(app))
        }
        Command::Continue => priced("goes on after the last token", token(app)),
        Command::Edit => "the message there is stays, as another version".into(),
        Command::Stop | Command::Escape => "what was written is kept".into(),
        Command::DeleteTurn | Command::DeleteChat => undone(app, entry.command),
        Command::Models | Command::Model => {
            let read = (app.model.used > 0)
                .then(|| format!("{} tokens are read again", number::grouped(app.model.used.into())));
            priced("the chat goes on with the model chosen", read)
        }
        Command::Reload => priced("the chat stays as it is", loaded.map(load_time)),
        Command::Unload => priced("the next message loads it again", loaded.map(memory)),
        Command::StationSoftmax => {
            let price = app
                .inspector
                .price_ms
                .map(|ms| format!("{} a token while it is open", number::milliseconds(ms)));
            priced("what could have come, live", price)
        }
        Command::System => "holds for this chat; the whole chat is then read again".into(),
        Command::Preset | Command::Set => "holds for this chat, from the next reply on".into(),
        Command::Settings => "changes hold at once; the chat stays as it is".into(),
        Command::NewChat => "this chat stays in the list".into(),
        Command::Interrupt | Command::Quit => "chat and draft are kept".into(),
        Command::Editor => "the screen comes back when the editor ends".into(),
        Command::Mouse => "on: clicks choose, and the terminal selects text with Shift".into(),
        Command::ReloadConfig => "the chat stays as it is; keys and looks change at once".into(),
        command if command.takes_argument() => format!("takes {}", command.argument()),
        _ => entry.contexts().next().map_or("", Context::said).into(),
    }
}

/// What a command does, and its price where there is one.
fn priced(does: &str, price: Option<String>) -> String {
    price.map_or_else(|| format!("{does}."), |price| format!("{does}; {price}."))
}

fn token(app: &App) -> Option<String> {
    header::speed(app).map(|speed| format!("about {:.0} ms a token", (1000.0 / speed).max(1.0)))
}

fn load_time(loaded: &Loaded) -> String {
    format!("loading took {:.1} s", loaded.load_ms / 1000.0)
}

fn memory(loaded: &Loaded) -> String {
    let held = loaded.memory.weights + loaded.memory.context + loaded.memory.compute;
    format!("frees {}", number::bytes(held))
}

fn undone(app: &App, command: Command) -> String {
    let back = if command == Command::DeleteChat { Command::RestoreChat } else { Command::Restore };
    let key = app.keymap.shown(back);
    let key = if key.is_empty() { format!("/{}", back.entry().name) } else { key };
    format!("{key} takes it back")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing::design::{capitals, empty};

    #[test]
    fn a_cost_is_said_only_where_it_is_known() {
        let check = |app: &App, command: Command, expected: &str| {
            assert_eq!(about(app, command.entry()), expected);
        };
        let (busy, idle) = (capitals(), empty());
        check(
            &busy,
            Command::Regenerate,
            "the reply there is stays, as another version; about 6 ms a token.",
        );
        check(&idle, Command::Regenerate, "the reply there is stays, as another version.");
        check(&busy, Command::Models, "the chat goes on with the model chosen; 77 tokens are read again.");
        check(&busy, Command::Unload, "the next message loads it again; frees 286 MiB.");
        check(&idle, Command::Unload, "the next message loads it again.");
        check(&busy, Command::DeleteTurn, "u takes it back");
    }
}

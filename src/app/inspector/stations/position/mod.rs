//! The position station: how queries and keys are turned by their place, and what that does to a score.
//!
//! Invariant: hands depend on the model alone, scores on the pass and the head.

mod choices;
mod state;

use super::{About, Hints, Keys, StationUnit, arrow};
use crate::app::Station;
use crate::app::inspector::{Exported, Wish};
use crate::app::{App, Display};
use crate::command::{Command, Context};
use crate::engine::protocol::{Capability, Live};
pub use state::PositionView;

/// 3
pub(crate) struct Position;

impl StationUnit for Position {
    fn about(&self) -> About {
        About {
            name: "position",
            title: "Position",
            strip: "pos",
            shows: "how its place is told",
            contexts: &[Context::Position],
            page: include_str!("position.md"),
        }
    }

    fn begins_with_own_pass(&self) -> bool {
        true
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::OpensPasses)
    }

    fn wants(&self, on: &Display<'_>) -> Option<Wish> {
        on.pass_wish(|mut asked| {
            let inside = &on.inspector.inside;
            let head = (on.opened_layer(), inside.head);
            let last = asked.ids.len() as u32 - 1;
            let other =
                on.inspector.position.other.filter(|other| *other <= last).unwrap_or(last.saturating_sub(1));
            let known = on.shown_inside().and_then(|seen| seen.trace.rotation.as_ref());
            if known.is_some_and(|known| known.head == head && known.other == other) {
                return None;
            }
            asked.want.rotation = Some((head.0, head.1, other));
            Some(asked)
        })
    }

    fn wants_live(&self, on: &Display<'_>, live: &mut Live) -> bool {
        live.rotation = Some((on.opened_layer(), on.inspector.inside.head));
        true
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::PositionPick => {
                app.inspector.pick_position(&mut app.out);
                app.station(Station::Position);
            }
            Command::PositionDegrees => app.inspector.position.degrees = !app.inspector.position.degrees,
            Command::OpenSelected if app.inspector.position.picking_head => {
                app.inspector.position.picking_head = false;
            }
            Command::OpenSelected => app.inspector.show_selected_alone(),
            Command::WatchToken => app.inspector.watch_selected(view!(app)),
            _ => {
                let Some((down, right)) = arrow(command) else { return false };
                app.inspector.move_position(view!(app), down, right);
            }
        }
        true
    }

    fn leave(&self, app: &mut App) -> bool {
        let inside = &mut app.inspector.inside;
        std::mem::take(&mut app.inspector.position.picking_head) || std::mem::take(&mut inside.opened)
    }

    fn hints(&self, on: &Display<'_>) -> Hints {
        let keys = Keys(on.view.keymap);
        if on.inspector.position.picking_head {
            return vec![
                (keys.columns(), "token read"),
                (keys.rows(), "head"),
                (keys.of(Command::OpenSelected), "done"),
            ];
        }
        vec![
            (keys.columns(), "pair"),
            (keys.rows(), "distance"),
            (keys.of(Command::PositionPick), "head and token"),
            (keys.of(Command::PositionDegrees), "degrees"),
        ]
    }

    fn export(&self, on: &Display<'_>, file: &mut Exported) {
        file.take_trace(on, |own, whole| own.rotation.clone_from(&whole.rotation));
    }
}

//! The layers station: what each depth would have said, of one token or over several.
//!
//! Invariant: a row is the model's own head on an unfinished state; only the last row is ever said.

mod depths;
mod state;

#[cfg(test)]
mod tests;

use super::{About, Hints, Keys, Station, StationUnit, arrow};
use crate::app::inspector::{Exported, Wish};
use crate::app::transcript::cursor::Move;
use crate::app::{App, Display};
use crate::command::{Command, Context};
use crate::engine::protocol::{Capability, Live};
pub use state::{Depths, Grid};

/// 6
pub(crate) struct Layers;

impl StationUnit for Layers {
    fn about(&self) -> About {
        About {
            name: "layers",
            title: "Layers",
            strip: "layers",
            shows: "where the choice was made",
            contexts: &[Context::Layers],
            page: include_str!("layers.md"),
        }
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::OpensPasses)
    }

    fn wants(&self, on: &Display<'_>) -> Option<Wish> {
        if on.inspector.depths.shows_grid {
            return None;
        }
        on.pass_wish(|mut asked| {
            let lens = on.shown_inside().and_then(|seen| seen.trace.lens.as_ref());
            let told = lens.and_then(|lens| lens.rows.first());
            let follow = asked.want.follow.iter().copied();
            if told.is_some_and(|row| row.followed.iter().map(|followed| followed.id).eq(follow)) {
                return None;
            }
            asked.want.lens = true;
            Some(asked)
        })
    }

    fn wants_live(&self, on: &Display<'_>, live: &mut Live) -> bool {
        live.want.lens = !on.inspector.depths.shows_grid;
        live.want.lens
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::LayersGrid => {
                app.inspector.toggle_grid(&mut app.out);
                app.station(Station::Layers);
            }
            Command::LayersRanks => app.inspector.depths.ranks = !app.inspector.depths.ranks,
            Command::OpenHeads => app.open_at(Station::Attention, Some(app.display().opened_layer()), None),
            Command::OpenNeurons => app.open_at(Station::Ffn, Some(app.display().opened_layer()), None),
            Command::NextRival => app.inspector.next_rival(view!(app)),
            Command::OpenSelected => app.inspector.show_selected_alone(),
            Command::SelectLeft if app.inspector.depths.shows_grid => {
                app.transcript.move_token(view!(app), &mut app.out, &mut app.focus, Move::Previous);
            }
            Command::SelectRight if app.inspector.depths.shows_grid => {
                app.transcript.move_token(view!(app), &mut app.out, &mut app.focus, Move::Next);
            }
            _ => {
                let Some((down, _)) = arrow(command) else { return false };
                app.inspector.aim_by(view!(app), down, 0);
            }
        }
        true
    }

    fn leave(&self, app: &mut App) -> bool {
        if !app.inspector.depths.shows_grid {
            return std::mem::take(&mut app.inspector.inside.opened);
        }
        app.inspector.toggle_grid(&mut app.out);
        app.station(Station::Layers);
        true
    }

    fn hints(&self, on: &Display<'_>) -> Hints {
        let keys = Keys(on.view.keymap);
        if on.inspector.depths.shows_grid {
            return vec![
                (keys.columns(), "token"),
                (keys.rows(), "layer"),
                (keys.of(Command::LayersGrid), "one token"),
            ];
        }
        vec![
            (keys.rows(), "layer"),
            (keys.of(Command::OpenHeads), "its heads"),
            (keys.of(Command::OpenNeurons), "its neurons"),
            (keys.of(Command::NextRival), "rival"),
            (keys.of(Command::LayersGrid), "grid over tokens"),
            (keys.of(Command::LayersRanks), "rank"),
        ]
    }

    fn export(&self, on: &Display<'_>, file: &mut Exported) {
        file.take_trace(on, |own, whole| own.lens.clone_from(&whole.lens));
        file.grid = on.shown_grid().map(|(grid, _)| (grid.from, grid.tokens.clone()));
    }
}

//! The softmax station: what could have come, and how likely each was.
//!
//! Invariant: odds are over the whole vocabulary and before the samplers.

mod list;

use crossterm::event::KeyEvent;

use super::{About, Hints, Keys, StationUnit};
use crate::app::inspector::Exported;
use crate::app::{App, Display, LiveStep};
use crate::command::{Command, Context};
use crate::engine::protocol::CapturePlan;
pub use list::{LIST_ROWS, Listed};

/// 7
pub(crate) struct Softmax;

impl StationUnit for Softmax {
    fn about(&self) -> About {
        About {
            name: "softmax",
            title: "Softmax",
            strip: "softmax",
            shows: "what else could have come",
            contexts: &[Context::Softmax],
            page: include_str!("softmax.md"),
        }
    }

    fn on_rail(&self) -> bool {
        true
    }

    fn shows_own_pass(&self, _on: &Display<'_>) -> bool {
        false
    }

    fn wants_replay(&self, on: &Display<'_>, shown: &LiveStep) -> bool {
        on.list_is_deep(shown) || on.inspector.watches_unlisted(shown)
    }

    fn records(&self, on: &Display<'_>, plan: &mut CapturePlan) {
        plan.watch = on.inspector.watch.iter().map(|watched| watched.id).collect();
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        let page = LIST_ROWS.cast_signed();
        let inspector = &mut app.inspector;
        match command {
            Command::SelectUp => app.inspector.move_in_list(view!(app), -1),
            Command::SelectDown => app.inspector.move_in_list(view!(app), 1),
            Command::SoftmaxPageUp => app.inspector.move_in_list(view!(app), -page),
            Command::SoftmaxPageDown => app.inspector.move_in_list(view!(app), page),
            Command::SoftmaxFilter => app.inspector.open_filter(),
            Command::SoftmaxLogits => inspector.logits = !inspector.logits,
            Command::SoftmaxLogScale => inspector.log_scale = !inspector.log_scale,
            Command::SoftmaxStrip => inspector.uncertainty_strip = !inspector.uncertainty_strip,
            Command::WatchToken => app.inspector.watch_selected(view!(app)),
            _ => return false,
        }
        true
    }

    fn input(&self, app: &mut App, key: KeyEvent) -> bool {
        app.inspector.filter_key(key)
    }

    fn leave(&self, app: &mut App) -> bool {
        app.inspector.leave_list()
    }

    fn hints(&self, on: &Display<'_>) -> Hints {
        let keys = Keys(on.view.keymap);
        vec![(keys.of(Command::Hold), "hold"), (keys.of(Command::SoftmaxLogits), "logits")]
    }

    fn export(&self, _on: &Display<'_>, _file: &mut Exported) {}
}

//! The softmax station: what could have come, and how likely each was.
//!
//! Invariant: odds are over the whole vocabulary and before the samplers.

mod list;

use crossterm::event::KeyEvent;

use super::{Hints, Keys, StationUnit};
use crate::app::inspector::Exported;
use crate::app::{App, LiveStep};
use crate::command::{Command, Context};
use crate::engine::protocol::CapturePlan;
pub use list::{LIST_ROWS, Listed};

/// 7
pub(crate) struct Softmax;

impl StationUnit for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn title(&self) -> &'static str {
        "Softmax"
    }

    fn strip(&self) -> [&'static str; 2] {
        ["sof", "softmax"]
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Softmax]
    }

    fn on_rail(&self) -> bool {
        true
    }

    fn shows_own_pass(&self, _app: &App) -> bool {
        false
    }

    fn wants_replay(&self, app: &App, shown: &LiveStep) -> bool {
        app.display().list_is_deep(shown) || app.inspector.watches_unlisted(shown)
    }

    fn records(&self, app: &App, plan: &mut CapturePlan) {
        plan.watch = app.inspector.watch.iter().map(|watched| watched.id).collect();
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        let page = LIST_ROWS.cast_signed();
        let inspector = &mut app.inspector;
        match command {
            Command::SelectUp => app.move_in_list(-1),
            Command::SelectDown => app.move_in_list(1),
            Command::SoftmaxPageUp => app.move_in_list(-page),
            Command::SoftmaxPageDown => app.move_in_list(page),
            Command::SoftmaxFilter => app.open_filter(),
            Command::SoftmaxLogits => inspector.logits = !inspector.logits,
            Command::SoftmaxLogScale => inspector.log_scale = !inspector.log_scale,
            Command::SoftmaxStrip => inspector.uncertainty_strip = !inspector.uncertainty_strip,
            Command::WatchToken => app.watch_selected(),
            _ => return false,
        }
        true
    }

    fn input(&self, app: &mut App, key: KeyEvent) -> bool {
        app.filter_key(key)
    }

    fn leave(&self, app: &mut App) -> bool {
        app.leave_list()
    }

    fn hints(&self, app: &App) -> Hints {
        let keys = Keys(app);
        vec![(keys.of(Command::Hold), "hold"), (keys.of(Command::SoftmaxLogits), "logits")]
    }

    fn page(&self) -> &'static str {
        include_str!("softmax.md")
    }

    fn export(&self, _app: &App, _file: &mut Exported) {}
}

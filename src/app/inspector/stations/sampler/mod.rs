//! The sampler station: what each stage cut, and what other settings would have made of the same odds.
//!
//! Invariant: what is tried changes nothing until it is made the chat's.

mod sandbox;

use crossterm::event::KeyEvent;

use super::{About, Hints, Keys, StationUnit};
use crate::app::inspector::Exported;
use crate::app::look::LISTED;
use crate::app::{App, Display, LiveStep};
use crate::command::{Command, Context};
use crate::engine::protocol::CapturePlan;
pub use sandbox::SANDBOX_KEYS;

/// 8
pub(crate) struct Sampler;

impl StationUnit for Sampler {
    fn about(&self) -> About {
        About {
            name: "sampler",
            title: "Sampler",
            strip: "sampler",
            shows: "how one of these was drawn",
            contexts: &[Context::Sampler],
            page: include_str!("sampler.md"),
        }
    }

    fn on_rail(&self) -> bool {
        true
    }

    fn shows_own_pass(&self, _on: &Display<'_>) -> bool {
        false
    }

    fn wants_replay(&self, on: &Display<'_>, shown: &LiveStep) -> bool {
        let tried = on.inspector.sandbox.as_ref().is_some_and(|sandbox| sandbox.open);
        let record = on.inspector.looks.record(shown.cursor());
        tried || record.is_none_or(|record| record.trace.is_none())
    }

    fn records(&self, _on: &Display<'_>, plan: &mut CapturePlan) {
        plan.stages = LISTED;
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::SamplerTry => app.inspector.open_sandbox(view!(app), &mut app.out),
            Command::SortCandidates => app.inspector.by_last = !app.inspector.by_last,
            Command::WatchToken => app.inspector.watch_selected(view!(app)),
            _ => return false,
        }
        true
    }

    fn input(&self, app: &mut App, key: KeyEvent) -> bool {
        app.sandbox_key(key)
    }

    fn leave(&self, _app: &mut App) -> bool {
        false
    }

    fn hints(&self, on: &Display<'_>) -> Hints {
        let keys = Keys(on.view.keymap);
        vec![(keys.of(Command::Hold), "hold"), (keys.of(Command::SamplerTry), "try a setting")]
    }

    fn export(&self, on: &Display<'_>, file: &mut Exported) {
        file.sampler = on.shown_trace();
    }
}

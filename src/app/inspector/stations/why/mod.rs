//! The why station: what each part of the network pushed the chosen token by, and what it would be without it.
//!
//! Invariant: a push is read off, an effect is measured; the two stand in different columns.

pub(crate) mod state;
mod trials;

use super::{About, Hints, Keys, Station, StationUnit};
use crate::app::inspector::{Exported, Wish};
use crate::app::{App, Display, Inspector};
use crate::command::{Command, Context};
use crate::engine::protocol::{Capability, Live};
use crate::inspect::trace::Component;
pub use state::{Picking, Pin, Trial, Unit, WhyView};
pub use trials::in_words;

/// 9
pub(crate) struct Why;

impl StationUnit for Why {
    fn about(&self) -> About {
        About {
            name: "why",
            title: "Why",
            strip: "why",
            shows: "which part chose this word",
            contexts: &[Context::Why, Context::Patching],
            page: include_str!("why.md"),
        }
    }

    fn mode(&self, inspector: &Inspector) -> Option<Context> {
        inspector.why.picking.is_some().then_some(Context::Patching)
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::OpensPasses)
    }

    fn wants(&self, on: &Display<'_>) -> Option<Wish> {
        on.pass_wish(|asked| on.why_wanted(asked.ids, asked.want.follow))
    }

    fn wants_live(&self, _on: &Display<'_>, live: &mut Live) -> bool {
        live.attribution = true;
        true
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        let patching = app.inspector.why.picking.is_some();
        match command {
            Command::SelectLeft if patching => app.inspector.move_source(view!(app), -1),
            Command::SelectRight if patching => app.inspector.move_source(view!(app), 1),
            Command::SelectUp | Command::SelectDown if patching => {}
            Command::PatchFirst => app.inspector.move_source(view!(app), i32::MIN / 2),
            Command::PatchLast => app.inspector.move_source(view!(app), i32::MAX / 2),
            Command::PatchText => app.inspector.other_text(view!(app), &mut app.out),
            Command::PatchStream => app.inspector.other_patch(view!(app)),
            Command::PatchApply => app.inspector.patch(view!(app), &mut app.out),
            Command::WhyPin => app.inspector.pin(view!(app), &mut app.out),
            Command::WhyAskOff => app.inspector.ask_off(view!(app), &mut app.out),
            Command::SortParts => app.inspector.next_unit(),
            Command::OpenHeads => app.open_part(Station::Attention),
            Command::OpenNeurons => app.open_part(Station::Ffn),
            Command::NextRival => app.inspector.next_rival(view!(app)),
            _ => return app.inspector.row_command(view!(app), command, app.display().ranked_parts().len()),
        }
        true
    }

    fn leave(&self, app: &mut App) -> bool {
        let inside = &mut app.inspector.inside;
        app.inspector.why.picking.take().is_some() || std::mem::take(&mut inside.opened)
    }

    fn selected(&self, on: &Display<'_>) -> Option<Component> {
        let parts = on.ranked_parts();
        let row = on.inspector.inside.row.min(parts.len().saturating_sub(1));
        parts.get(row).map(|part| part.part)
    }

    fn hints(&self, on: &Display<'_>) -> Hints {
        let keys = Keys(on.view.keymap);
        if on.inspector.why.picking.is_some() {
            let patch = on.view.keymap.shown_all(Command::PatchApply).pop().unwrap_or_default();
            return vec![(keys.columns(), "position"), (patch, "patch"), (keys.of(Command::Escape), "leave")];
        }
        vec![
            (keys.rows(), "part"),
            (keys.of(Command::SwitchOff), "switch off"),
            (keys.of(Command::Patch), "patch"),
            (keys.of(Command::WhyAskOff), "all of off"),
            (keys.of(Command::SortParts), "by heads, neurons"),
            (keys.of(Command::UndoChange), "undo"),
            (keys.of(Command::WhyPin), "pin"),
            (keys.of(Command::NextRival), "rival"),
        ]
    }

    fn export(&self, on: &Display<'_>, file: &mut Exported) {
        file.take_trace(on, |own, whole| own.attribution.clone_from(&whole.attribution));
        if let Some(seen) = on.shown_inside() {
            file.off.clone_from(&seen.off);
        }
        let tried = &on.inspector.why.tried;
        let off = tried.off.iter().copied().collect();
        file.card = on.shown_card().map(|card| (off, tried.everywhere, card.clone()));
    }
}

//! The attention station: which earlier tokens each head reads, over a stretch of text, and in the text itself.
//!
//! Invariant: asked only for what is shown; the pass goes before rows, rows before what heads usually do.

mod choices;
mod ink;
mod rows;
mod state;

#[cfg(test)]
mod tests;

use super::{About, Hints, Keys, StationUnit, arrow};
use crate::app::Station;
use crate::app::inspector::{Exported, Wish};
use crate::app::{App, ChatView, Display, Inspector};
use crate::command::{Command, Context};
use crate::engine::protocol::{Capability, Live, Want};
use crate::inspect::trace::Component;
pub use ink::{InkPlace, Inked};
pub use state::{AttentionPicture, AttentionView, Grain, Ink};

/// 4
pub(crate) struct Attention;

impl StationUnit for Attention {
    fn about(&self) -> About {
        About {
            name: "attention",
            title: "Attention",
            strip: "attn",
            shows: "which words it looked back at",
            contexts: &[Context::Attention],
            page: include_str!("attention.md"),
        }
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::OpensPasses)
    }

    fn wants(&self, on: &Display<'_>) -> Option<Wish> {
        on.pass_wish(|mut asked| {
            let (layer, head) = (on.opened_layer(), on.inspector.inside.head);
            let known = on.shown_inside().and_then(|seen| seen.trace.attention.as_ref());
            let there = known.is_some_and(|known| known.layers.iter().any(|known| known.layer == layer));
            let told = on.told_head().is_some_and(|told| told.tells_of(&asked.want.follow));
            let overview = known.is_none_or(|known| known.overview.is_empty());
            if !overview && there && told {
                return None;
            }
            asked.want.overview = overview;
            asked.want.attention = if there { Vec::new() } else { vec![layer] };
            asked.want.head = Some((layer, head)).filter(|_| !told);
            Some(asked)
        })
    }

    fn wants_live(&self, on: &Display<'_>, live: &mut Live) -> bool {
        live.want = Want { overview: true, attention: vec![on.opened_layer()], ..Want::default() };
        true
    }

    fn pass_opened(&self, inspector: &mut Inspector, view: ChatView<'_>) {
        inspector.aim(view);
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::AttentionPicture => {
                app.inspector.next_picture(&mut app.out);
                app.station(Station::Attention);
            }
            Command::AttentionMatrix => {
                app.inspector.show_picture(&mut app.out, AttentionPicture::Matrix);
                app.station(Station::Attention);
            }
            Command::AttentionRollout => {
                app.inspector.show_picture(&mut app.out, AttentionPicture::Rollout);
                app.station(Station::Attention);
            }
            Command::AttentionReaders => {
                app.inspector.turn_direction(&mut app.out);
                app.station(Station::Attention);
            }
            Command::AttentionRaw => app.inspector.attention.raw = !app.inspector.attention.raw,
            Command::AttentionFirstToken => app.inspector.hide_first(&mut app.out),
            Command::AttentionGrain => app.inspector.next_grain(&mut app.out),
            Command::AttentionContrast => app.inspector.next_contrast(&mut app.out),
            Command::OpenSelected => app.inspector.show_selected_alone(),
            Command::WatchToken => app.inspector.watch_selected(view!(app)),
            _ => {
                let Some((down, right)) = arrow(command) else { return false };
                if !app.inspector.moves_cell(view!(app), down, right) {
                    app.inspector.aim_by(view!(app), down, right);
                }
            }
        }
        true
    }

    fn leave(&self, app: &mut App) -> bool {
        if app.inspector.attention.picture == AttentionPicture::Heads {
            return std::mem::take(&mut app.inspector.inside.opened);
        }
        app.inspector.show_picture(&mut app.out, AttentionPicture::Heads);
        app.station(Station::Attention);
        true
    }

    fn selected(&self, on: &Display<'_>) -> Option<Component> {
        Some(Component::Head(on.opened_layer(), on.inspector.inside.head))
    }

    fn hints(&self, on: &Display<'_>) -> Hints {
        let keys = Keys(on.view.keymap);
        let (moves, next) = match on.inspector.attention.picture {
            AttentionPicture::Heads => ("head", "matrix"),
            AttentionPicture::Matrix => ("cell", "rollout"),
            AttentionPicture::Rollout => ("cell", "heads"),
        };
        vec![
            (keys.cells(), moves),
            (keys.of(Command::AttentionPicture), next),
            (keys.of(Command::AttentionReaders), "reads / is read by"),
            (keys.of(Command::AttentionInk), "ink"),
            (keys.of(Command::AttentionRaw), "weight / written"),
            (keys.of(Command::AttentionFirstToken), "token 0"),
            (keys.of(Command::SwitchOff), "switch off"),
        ]
    }

    fn export(&self, on: &Display<'_>, file: &mut Exported) {
        file.take_trace(on, |own, whole| own.attention.clone_from(&whole.attention));
        file.rows = on.rows_on_display();
    }
}
